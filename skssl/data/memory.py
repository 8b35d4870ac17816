"""How much memory this process may use."""

import os
from functools import lru_cache
from pathlib import Path

__all__ = ["physical_ram"]

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
