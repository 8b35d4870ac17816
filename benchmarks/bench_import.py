"""Measure how long ``import skssl`` takes, as a ratio of its two largest dependencies.

    python benchmarks/bench_import.py

Prints medians over fresh interpreters, and the ratio of the time of ``import torch,
sklearn, skssl`` to that of ``import torch, sklearn``.
"""

import statistics
import subprocess
import sys

N_RUNS = 7
SCRIPT = """
import time
start = time.perf_counter()
import torch, sklearn
before = time.perf_counter() - start
import skssl
print(before, time.perf_counter() - start)
"""


def measure() -> tuple[float, float]:
    """Return the seconds without and with skssl, of one fresh interpreter."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, total = map(float, done.stdout.split())
    return before, total


def main() -> None:
    """Print seconds and ratio."""
    runs = [measure() for _ in range(N_RUNS)]
    before, total = map(statistics.median, zip(*runs, strict=True))
    ratio = statistics.median(b / a for a, b in runs)
    print(f"torch, sklearn {before:.2f} s; with skssl {total:.2f} s; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
