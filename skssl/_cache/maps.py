"""Decoded images on disk, mapped into memory and shared by fits and processes."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from skssl._cache.disk_cache import DiskCache
from skssl._cache.fingerprint import code_version, fingerprint
from skssl._cache.folder import touch
from skssl._warn import warn
from skssl.data import ImageFormat, ImageSource, image_digests, render_row
from skssl.data.memory import reserve
from skssl.exceptions import CacheWarning

__all__ = ["ImageMaps"]

_RECORD = np.dtype([("digest", "V16"), ("checksum", "<u4")])
_CHUNK_SIZE = 64  # images per task of a thread


@dataclass(frozen=True)
class ImageMaps:
    """The decoded images of a cache, one file for each format and size.

    A file grows by images that are not in it yet. An index beside it holds the digest
    of the content of each image, and a checksum of its pixels. The index is written
    last, so that a process may be killed at any moment.

    Parameters
    ----------
    cache : DiskCache
    """

    cache: DiskCache

    def fetch(
        self,
        source: ImageSource,
        rows: np.ndarray,
        *,
        image_format: ImageFormat,
        size: tuple[int, int],
        n_jobs: int | None,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return mapped images and where those of ``rows`` are, or None.

        Parameters
        ----------
        source : ImageSource
        rows : ndarray of int
        image_format : ImageFormat
        size : (height, width)
        n_jobs : int or None

        Returns
        -------
        images : ndarray of shape (n_stored, C, height, width), uint8
            A private mapping: what is written to it stays in this process.
        positions : ndarray of shape (len(rows),), int64
            If the images cannot be stored, a warning says why, and None is returned.

        Raises
        ------
        ValueError
            If an image cannot be read or converted; the message names its row.
        """
        shape = (image_format.n_channels, size[0], size[1])
        if len(rows) * int(np.prod(shape)) > self.cache.max_bytes:
            warn(
                CacheWarning(
                    "the decoded images are not stored, since they take more than "
                    f"max_bytes={self.cache.max_bytes:,} of the cache"
                )
            )
            return None
        key = fingerprint(code_version(), image_format, size)
        digests = image_digests(source, n_jobs, rows=rows)
        file = _MapFile(self.cache.images_folder(key), key, shape)
        try:
            with self.cache.lock(key):
                known = file.open(digests, n_jobs)
                missing = _first_of_each(digests, known)
                if len(missing):
                    self.cache.make_folder()
                    file.append(
                        source, rows[missing], digests[missing], image_format, n_jobs
                    )
                    known = file.places()
        except OSError as error:
            if isinstance(error, ValueError):  # of an image, not of the disk
                raise
            warn(CacheWarning(f"decoded images could not be stored: {error!r}"))
            return None
        if len(missing):
            self.cache.evict_for(file.pixels)
        file.touch()
        positions = np.array([known[digest] for digest in digests.tolist()], np.int64)
        return file.mapped(), positions

    def recall(
        self,
        source: ImageSource,
        rows: np.ndarray,
        question: Any,
        answer: Callable[[], Any],
        *,
        n_jobs: int | None,
    ) -> Any:
        """Return what the cache knows about images, or else find it out and keep it.

        Parameters
        ----------
        source : ImageSource
        rows : ndarray of int
        question : list, str or number
            With the content of the images, the key of the answer.
        answer : callable
            Returns lists, numbers, str and None.
        n_jobs : int or None
        """
        digests = image_digests(source, n_jobs, rows=rows)
        key = fingerprint(code_version(), question, digests)
        known = self.cache.recall_answer(key)
        if known is not None:
            return known[0]
        found = answer()
        self.cache.keep_answer(key, [found])
        return found


class _MapFile:
    """One file of decoded images of equal shape, and its index."""

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int]):
        self.pixels = folder / f"{key}.u8"
        self.index = folder / f"{key}.idx"
        self.shape = shape
        self.n_bytes = int(np.prod(shape))

    def records(self) -> np.ndarray:
        """Return digest and checksum of each complete image."""
        if not (self.index.is_file() and self.pixels.is_file()):
            return np.empty(0, _RECORD)
        data = self.index.read_bytes()
        n = min(
            len(data) // _RECORD.itemsize, self.pixels.stat().st_size // self.n_bytes
        )
        return np.frombuffer(data[: n * _RECORD.itemsize], _RECORD)

    def places(self) -> dict[bytes, int]:
        """Return the last position of each digest."""
        digests = self.records()["digest"].tolist()
        return {digest: place for place, digest in enumerate(digests)}

    def mapped(self) -> np.ndarray:
        """Return all complete images."""
        n = len(self.records())
        return np.memmap(self.pixels, np.uint8, mode="c", shape=(n, *self.shape))

    def open(self, digests: np.ndarray, n_jobs: int | None) -> dict[bytes, int]:
        """Return the positions of those images that are undamaged."""
        places = self.places()
        wanted = [(d, places[d]) for d in set(digests.tolist()) if d in places]
        if not wanted:
            return {}
        images, checksums = self.mapped(), self.records()["checksum"]

        def is_sound(place: int) -> bool:
            return zlib.crc32(images[place]) == checksums[place]

        sound = Parallel(n_jobs=n_jobs, require="sharedmem", batch_size=_CHUNK_SIZE)(
            delayed(is_sound)(place) for _, place in wanted
        )
        n_damaged = len(wanted) - sum(sound)
        if n_damaged:
            warn(
                CacheWarning(
                    f"{n_damaged} images of {self.pixels} are damaged, and decoded anew"
                )
            )
        return {
            digest: place
            for (digest, place), ok in zip(wanted, sound, strict=True)
            if ok
        }

    def append(
        self,
        source: ImageSource,
        rows: np.ndarray,
        digests: np.ndarray,
        image_format: ImageFormat,
        n_jobs: int | None,
    ) -> None:
        """Decode images to the end of the file, and then complete the index."""
        self.pixels.parent.mkdir(parents=True, exist_ok=True)
        first = len(self.records())
        total = (first + len(rows)) * self.n_bytes
        with self.pixels.open("ab") as file:
            reserve(file, total)
        images = np.memmap(self.pixels, np.uint8, mode="r+", shape=(total,))
        new = images[first * self.n_bytes :].reshape(len(rows), *self.shape)
        checksums = np.empty(len(rows), np.uint32)
        size = self.shape[1], self.shape[2]

        def fill(start: int) -> None:
            for i in range(start, min(start + _CHUNK_SIZE, len(rows))):
                new[i] = render_row(source, rows[i], image_format, size)
                checksums[i] = zlib.crc32(new[i])

        Parallel(n_jobs=n_jobs, require="sharedmem")(
            delayed(fill)(start) for start in range(0, len(rows), _CHUNK_SIZE)
        )
        images.flush()
        records = np.empty(len(rows), _RECORD)
        records["digest"], records["checksum"] = digests, checksums
        with self.index.open("r+b" if self.index.exists() else "wb") as index:
            index.seek(first * _RECORD.itemsize)
            index.truncate()
            index.write(records.tobytes())
            index.flush()
            os.fsync(index.fileno())

    def touch(self) -> None:
        """Note that the file was used now."""
        for path in (self.pixels, self.index):
            touch(path)


def _first_of_each(digests: np.ndarray, known: dict[bytes, int]) -> np.ndarray:
    """Return the position of one image of each content that is not known yet."""
    new: dict[bytes, int] = {}
    for position, digest in enumerate(digests.tolist()):
        if digest not in known:
            new.setdefault(digest, position)
    return np.array(list(new.values()), dtype=np.intp)
