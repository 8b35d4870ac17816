"""The folder of a cache: it knows its own files, and touches no others."""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_WRITTEN_WITHIN = 3600  # s; an older unfinished file belongs to a killed process

_DIGEST_SIZE = 32

_KEY = r"[0-9a-f]{32}"
_OWN_FILE = re.compile(rf"{_KEY}\.(pt|npz|lock|u8|idx|json)(\.{_KEY}\.part)?")
_OWN_FOLDER = re.compile(_KEY)


@dataclass(frozen=True)
class Entry:
    """Files that are used, counted and deleted together."""

    used: float  # s since the epoch
    n_bytes: int
    files: list[Path]


@dataclass(frozen=True)
class CacheFolder:
    """A folder that skssl made, marked by a tag, with files named by keys.

    Files are taken for its own by the tag, by their place and by their names: 32
    hexadecimal digits and a suffix. Symbolic links are never followed.
    """

    root: Path

    def make(self) -> None:
        """Make the folder and its tag.

        Raises
        ------
        ValueError
            If the folder has other files and no tag.
        """
        if self.is_own():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        has_others = any(not p.name.startswith(_TAG) for p in self.root.iterdir())
        if has_others and not self.is_own():  # another thread may have just made it
            raise ValueError(
                f"cache: {self.root} holds other files and was not made by skssl. "
                "Choose another directory."
            )
        with written_at_once(self.root / _TAG) as temporary:
            temporary.write_text(f"{_SIGNATURE}\n# Results of skssl, safe to delete.\n")

    def is_own(self) -> bool:
        """Return whether the folder has the tag."""
        try:
            return (self.root / _TAG).read_text().startswith(_SIGNATURE)
        except (OSError, UnicodeDecodeError):
            return False

    def files(self, place: str) -> list[Path]:
        """Return the folder's own files in a place, such as "fits"."""
        folder = self.root / place
        if not self.is_own() or folder.is_symlink() or not folder.is_dir():
            return []
        return sorted(
            path
            for path in folder.iterdir()
            if _OWN_FILE.fullmatch(path.name)
            and not path.is_symlink()
            and path.is_file()
        )

    def entries(self) -> list[Entry]:
        """Return the entries, the least recently used first."""
        single = (*self.files("fits"), *self.files("answers"))
        groups = [[path] for path in single]
        for place in ("features", "images"):
            folders = self.root / place
            if folders.is_dir() and not folders.is_symlink():
                groups += [
                    self.files(f"{place}/{folder.name}")
                    for folder in folders.iterdir()
                    if _OWN_FOLDER.fullmatch(folder.name)
                ]
        entries = []
        for files in groups:
            stats = {path: stat for path in files if (stat := _finished(path))}
            if stats:
                used = max(stat.st_mtime for stat in stats.values())
                n_bytes = sum(stat.st_size for stat in stats.values())
                entries.append(Entry(used, n_bytes, list(stats)))
        return sorted(entries, key=lambda entry: entry.used)


def delete(files: list[Path]) -> None:
    """Delete own files, and the folder of a network's features once it is empty."""
    for path in files:
        path.unlink(missing_ok=True)
        if _OWN_FOLDER.fullmatch(path.parent.name):
            with suppress(OSError):  # something else is in it
                path.parent.rmdir()


def with_checksum(content: bytes) -> bytes:
    """Return content with its SHA-256 digest behind it."""
    return content + hashlib.sha256(content).digest()


def checked(data: bytes) -> bytes:
    """Return the content of data that `with_checksum` made.

    Raises
    ------
    ValueError
        If the content or the digest was changed.
    """
    content, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its checksum is wrong")
    return content


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes its place when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # first the content, then the name
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """Note that a file was used now."""
    with suppress(OSError):  # deleted meanwhile, or a directory that is read-only
        os.utime(path)


def _finished(path: Path) -> os.stat_result | None:
    """Return facts of a file, or None if it is gone or still being written."""
    try:
        stat = path.stat()
    except FileNotFoundError:  # another process deleted it
        return None
    is_recent = time.time() - stat.st_mtime <= _WRITTEN_WITHIN
    return None if path.suffix == ".part" and is_recent else stat
