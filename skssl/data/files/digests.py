"""Digests of files."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path

from skssl.data.files.errors import errors_naming

__all__ = ["digest_file"]

_CLOCK_TICK_NS = 2 * 10**9  # two changes within a tick may have the same time


def digest_file(path: str | Path) -> bytes:
    """Return the SHA-256 digest of a file, which is cached until the file changes.

    Raises
    ------
    ImageNotFoundError, ImageReadError
        If the file cannot be read.
    """
    with errors_naming(path):
        stat = Path(path).stat()
        version = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if time.time_ns() - stat.st_mtime_ns < _CLOCK_TICK_NS:
            return _digest_version.__wrapped__(str(path), version)
        return _digest_version(str(path), version)


@lru_cache(maxsize=1_000_000)
def _digest_version(path: str, version: tuple[int, ...]) -> bytes:  # noqa: ARG001
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
