"""Global generators are lent to one thread at a time, also in forked processes."""

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_does_not_wait_for_a_thread_that_it_has_not():
    script = """
        import os, signal, threading, warnings
        from skssl._random import isolated_rng

        warnings.simplefilter("ignore")  # of forking with threads
        inside, done = threading.Event(), threading.Event()

        def hold():
            with isolated_rng(0):
                inside.set()
                done.wait()

        threading.Thread(target=hold, daemon=True).start()
        inside.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends a child that waits for ever
            with isolated_rng(1):
                pass
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        done.set()
        raise SystemExit(status != 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run(command, check=False, timeout=120).returncode == 0
