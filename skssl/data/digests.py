"""Images named by their content."""

import hashlib

import numpy as np

from skssl.data.decode import digest_file
from skssl.data.sources import FileSource, ImageSource
from skssl.data.threads import map_rows

_N_BYTES = 16  # of a digest
_CHUNK = 64  # images a thread takes at a time


def image_digests(source: ImageSource, n_jobs: int | None = -1) -> np.ndarray:
    """Return a digest of the content of each image.

    Parameters
    ----------
    source : ImageSource
        Files count by their bytes, whatever their names; other images by type, shape
        and values.
    n_jobs : int or None
        Threads.

    Returns
    -------
    ndarray of shape (n,), of 16 bytes each

    Raises
    ------
    ImageReadError
        If a file cannot be read; the message names it.
    """

    def digest(row: int) -> bytes:
        if isinstance(source, FileSource):
            return source.naming_row(row, digest_file)[:_N_BYTES]
        image = source.read(row)
        image = image[:, :, 0] if image.shape[2:] == (1,) else image
        kind = f"{image.dtype.str} {image.shape} ".encode()
        return hashlib.sha256(kind + image.tobytes()).digest()[:_N_BYTES]

    def of_chunk(start: int) -> bytes:
        rows = range(start, min(start + _CHUNK, len(source)))
        return b"".join(map(digest, rows))

    chunks = map_rows(of_chunk, range(0, len(source), _CHUNK), n_jobs)
    return np.frombuffer(b"".join(chunks), dtype=np.dtype(f"V{_N_BYTES}"))
