"""How much memory this process may use."""

import os
from functools import lru_cache
from pathlib import Path
from typing import IO

__all__ = ["physical_ram", "reserve"]

_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",  # version 2
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",  # version 1
)


@lru_cache
def physical_ram() -> float:
    """Return the memory of this machine in bytes, or infinity if it is unknown.

    In a container or a batch job, the limit of the control group may be lower.
    """
    limits = [_limit_of(Path(name)) for name in _CGROUP_LIMITS]
    return min(_installed(), *limits)


def reserve(file: IO[bytes], n_bytes: int) -> None:
    """Make a file so long, with room on the disk for all of it.

    Without the reservation, a full disk would kill the process at a later write to a
    mapping of the file.

    Raises
    ------
    OSError
        If the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    file.truncate(n_bytes)


def _installed() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _limit_of(file: Path) -> float:
    try:
        return float(file.read_text(encoding="utf-8"))  # "max" without a limit
    except (OSError, ValueError):
        return float("inf")
