"""All training images, decoded once, in one uint8 tensor."""

import math
import os
import tempfile
from collections.abc import Iterator

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs

from skssl.data.formats import ImageFormat
from skssl.data.memory import physical_ram, reserve
from skssl.data.sources import ArraySource, ImageSource
from skssl.data.threads import ahead, map_rows, n_threads

# A store larger than this fraction of the memory is mapped to a file.
_RAM_FRACTION = 0.4
_DEVICE_FRACTION = 0.3
_CHUNK_SIZE = 64  # images per task of a thread
_TASK_SIZE, _BLOCK_SIZE = 8, 128  # the same for batches, and images between two waits


class ImageStore:
    """Decoded training images, with the row and the patient of each.

    Parameters
    ----------
    images : Tensor of shape (m, C, H, W), uint8
    rows : ndarray of shape (n,), int
        The row of X of each image.
    groups : ndarray of shape (n,) or None
        The patient of each image.
    positions : Tensor of shape (n,), int64, optional
        Where each image is in ``images``, of which the store is a view. Default: in
        order, with m = n.
    """

    def __init__(
        self,
        images: torch.Tensor,
        rows: np.ndarray,
        groups: np.ndarray | None = None,
        positions: torch.Tensor | None = None,
    ):
        self._images = images
        self.rows = rows
        self.groups = groups
        self._positions = positions

    def __len__(self) -> int:
        return len(self._images if self._positions is None else self._positions)

    @property
    def images(self) -> torch.Tensor:
        """All images (n, C, H, W), uint8; a copy if the store is a view of others."""
        if self._positions is None:
            return self._images
        return self._images.index_select(0, self._positions)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._images.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self._images.shape
        return channels, height, width

    def take(self, index: torch.Tensor) -> torch.Tensor:
        """Return images (len(index), C, H, W), uint8, on the device of the store."""
        if self._positions is not None:
            index = self._positions[index]
        return self._images.index_select(0, index)

    @classmethod
    def build(
        cls,
        source: ImageSource,
        rows: np.ndarray,
        *,
        image_format: ImageFormat,
        size: tuple[int, int],
        groups: np.ndarray | None = None,
        n_jobs: int | None = -1,
        max_ram: int | None = None,
    ) -> "ImageStore":
        """Decode ``rows`` of a source in several threads.

        Parameters
        ----------
        source : ImageSource
        rows : ndarray of int
            The images to store.
        image_format : ImageFormat
        size : (height, width)
            Stored size in pixels.
        groups : ndarray of shape (len(source),), optional
        n_jobs : int or None
        max_ram : int, optional
            A store of more bytes is memory-mapped to a temporary file, which is
            deleted together with the store. Default: the environment variable
            ``SKSSL_MAX_RAM`` or, without it, 40 % of the memory of the machine.

        Returns
        -------
        ImageStore

        Raises
        ------
        ValueError
            If an image cannot be read or converted. The message names it.
        OSError
            If the temporary file does not fit on its disk.
        """
        shape = (len(rows), image_format.n_channels, *size)
        groups = None if groups is None else groups[rows]
        if _needs_no_change(source, rows, shape):
            # A view of the array, without a copy.
            view = source.images.transpose(0, 3, 1, 2)  # type: ignore[attr-defined]
            return cls(torch.from_numpy(view), rows, groups)
        if source.maps is not None:
            found = source.maps.fetch(
                source, rows, image_format=image_format, size=size, n_jobs=n_jobs
            )
            if found is not None:
                images, positions = map(torch.from_numpy, found)
                return cls(images, rows, groups, positions)
        out = _allocate(shape, _default_max_ram() if max_ram is None else max_ram)

        def fill(start: int) -> None:
            for i in range(start, min(start + _CHUNK_SIZE, len(rows))):
                out[i] = render_row(source, rows[i], image_format, size)

        starts = range(0, len(rows), _CHUNK_SIZE)
        # Not prefer="threads", which joblib.parallel_config overrides: processes would
        # fill copies of the array.
        Parallel(n_jobs=n_threads(n_jobs, len(starts)), require="sharedmem")(
            delayed(fill)(start) for start in starts
        )
        return cls(torch.from_numpy(out), rows, groups)

    def to(self, device: torch.device) -> "ImageStore":
        """Move the images to the device if they fit in 30 % of its free memory."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        n_bytes = len(self) * math.prod(self.shape)
        if n_bytes > free * _DEVICE_FRACTION:
            return self
        return ImageStore(self.images.to(device), self.rows, self.groups)

    def pixel_statistics(self, n_images: int = 256) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation per channel, for values in [0, 1].

        They are computed from about ``n_images`` evenly spaced images.
        """
        step = max(1, len(self) // n_images)
        index = torch.arange(0, len(self), step, device=self.device)
        sample = self.take(index)  # (m, C, H, W)
        # Computed by a histogram, which needs no floating-point copy of the pixels.
        counts = torch.stack(
            [
                torch.bincount(sample[:, c].flatten(), minlength=256)
                for c in range(sample.shape[1])
            ]
        ).double()  # (C, 256)
        frequency = counts / counts.sum(dim=1, keepdim=True)
        level = torch.linspace(0, 1, 256, dtype=torch.float64, device=counts.device)
        mean = frequency @ level  # (C,)
        std = (frequency @ level.square() - mean.square()).clamp_min(0).sqrt()
        return mean.tolist(), std.clamp_min(1 / 255).tolist()


def render_row(
    source: ImageSource, row: int, image_format: ImageFormat, size: tuple[int, int]
) -> np.ndarray:
    """Read and convert one image to uint8 (C, h, w). Errors name the row."""
    raw = source.decode(row, min_side=max(size), window=image_format.window)
    try:
        return image_format.render(raw, size, convert=source.mixes_channels)
    except ValueError as error:
        raise ValueError(f"{source.describe(row)}: {error}.") from error


def iter_batches(
    source: ImageSource,
    *,
    image_format: ImageFormat,
    size: tuple[int, int],
    batch_size: int,
    rows: np.ndarray | None = None,
    n_jobs: int | None = -1,
) -> Iterator[torch.Tensor]:
    """Yield batches of all images of a source in order, or of ``rows``.

    The next batches are decoded while the caller works on the present ones.

    Yields
    ------
    Tensor of shape (b, C, h, w), uint8
    """
    order = np.arange(len(source)) if rows is None else rows
    if n_jobs is None:  # as joblib is configured in this thread
        n_jobs = effective_n_jobs()

    # Threads get several images at a time, and several batches in one go.
    block_size = batch_size * max(1, _BLOCK_SIZE // batch_size)

    def decode(start: int) -> torch.Tensor:
        block = order[start : start + block_size]

        def render(first: int) -> list[np.ndarray]:
            rows = block[first : first + _TASK_SIZE]
            return [render_row(source, row, image_format, size) for row in rows]

        parts = map_rows(render, range(0, len(block), _TASK_SIZE), n_jobs)
        return torch.from_numpy(np.stack([image for part in parts for image in part]))

    for block in ahead(map(decode, range(0, len(order), block_size))):
        yield from block.split(batch_size)


def _default_max_ram() -> float:
    """Return the size in bytes above which a store is mapped to a file."""
    setting = os.environ.get("SKSSL_MAX_RAM")
    if setting is None:
        return physical_ram() * _RAM_FRACTION
    try:
        return float(setting)
    except ValueError as error:
        raise ValueError(
            f"the environment variable SKSSL_MAX_RAM must be a number of bytes, got "
            f"{setting!r}."
        ) from error


def _needs_no_change(
    source: ImageSource, rows: np.ndarray, shape: tuple[int, ...]
) -> bool:
    """Return whether the array of the caller can be used as the store."""
    if not isinstance(source, ArraySource):
        return False
    images = source.images  # (n, H, W, C)
    return (
        images.dtype == np.uint8
        and images.flags.writeable  # torch warns about read-only arrays
        and min(images.strides) >= 0
        and (images.shape[0], images.shape[3], *images.shape[1:3]) == shape
        and np.array_equal(rows, np.arange(len(images)))
    )


def _allocate(shape: tuple[int, ...], max_ram: float) -> np.ndarray:
    n_bytes = int(np.prod(shape, dtype=np.int64))
    if n_bytes <= max_ram:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(prefix="skssl-store-") as file:
        try:
            reserve(file, n_bytes)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the decoded images take {n_bytes / 1e9:.1f} GB, which cannot be "
                f"reserved in {tempfile.gettempdir()} ({error.strerror}): name another "
                "folder in the environment variable TMPDIR, or use a smaller "
                "image_size",
            ) from error
        # The mapping keeps the unnamed file open. The disk space is freed with it.
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
