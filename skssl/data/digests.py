"""Digests of image content."""

import hashlib

import numpy as np

from skssl.data.files import FileItem, ImageSlice, digest_file
from skssl.data.files.volume_files import data_files
from skssl.data.sources import FileSource, ImageSource
from skssl.data.threads import map_rows

_N_BYTES = 16  # length of a digest
_CHUNK_SIZE = 64  # images per task of a thread


def image_digests(
    source: ImageSource, n_jobs: int | None = -1, *, rows: np.ndarray | None = None
) -> np.ndarray:
    """Return a digest of the content of each image, or of those of ``rows``.

    Parameters
    ----------
    source : ImageSource
        Digests of files depend on their bytes, not on their names. Digests of other
        images depend on data type, shape and values.
    n_jobs : int or None
        Number of threads.
    rows : ndarray of int, optional

    Returns
    -------
    ndarray of shape (n,), of 16 bytes each

    Raises
    ------
    ImageReadError
        If a file cannot be read; the message names it.
    """
    rows = np.arange(len(source)) if rows is None else rows

    def digest(row: int) -> bytes:
        if isinstance(source, FileSource):
            return source.call_on_file(row, _digest_item)[:_N_BYTES]
        image = source.read(row)
        image = image[:, :, 0] if image.shape[2:] == (1,) else image
        kind = f"{image.dtype.str} {image.shape} ".encode()
        return hashlib.sha256(kind + image.tobytes()).digest()[:_N_BYTES]

    def digest_chunk(start: int) -> bytes:
        return b"".join(map(digest, rows[start : start + _CHUNK_SIZE]))

    chunks = map_rows(digest_chunk, range(0, len(rows), _CHUNK_SIZE), n_jobs)
    return np.frombuffer(b"".join(chunks), dtype=np.dtype(f"V{_N_BYTES}"))


def _digest_item(item: FileItem) -> bytes:
    """Return the digest of a file, or of one image of it."""
    if not isinstance(item, ImageSlice):
        return digest_file(item)
    files = data_files(item.path, item.series)
    content = b"".join(map(digest_file, files))
    place = f"{item.index} {item.axis} {item.series}".encode()
    return hashlib.sha256(content + place).digest()
