"""Locks between processes: of a result, and of a graphics card."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from skssl._warn import warn
from skssl.exceptions import CacheWarning

__all__ = ["acquire", "device_lock"]

_PATIENCE = 10.0  # s, before a warning says what a process waits for


def acquire(lock: FileLock) -> None:
    """Wait for a lock, and say so after some seconds."""
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        warn(
            CacheWarning(
                f"another process is computing the same result; this one waits until "
                f"it releases {lock.lock_file}, and then uses that result"
            )
        )
        lock.acquire()


@contextmanager
def device_lock(device: torch.device) -> Iterator[None]:
    """Let one process of this user at a time use a card; a CPU is shared."""
    if device.type != "cuda":
        yield
        return
    card = torch.cuda.get_device_properties(device).uuid
    user = os.getuid() if hasattr(os, "getuid") else ""
    path = Path(tempfile.gettempdir()) / f"skssl-{user}-{card}.lock"
    with FileLock(path, is_singleton=True):  # a callback may transform
        try:
            yield
        finally:
            torch.cuda.empty_cache()
