"""Sequences of raw images: arrays, objects in memory, and files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image

from skssl.data.files import (
    FileItem,
    ImageHeader,
    ImageSlice,
    RawImage,
    check_depth,
    decode_file,
    decode_picture,
    read_header,
)
from skssl.data.memory import physical_ram
from skssl.exceptions import ImageReadError

__all__ = [
    "ArraySource",
    "FileSource",
    "ImageSource",
    "SequenceSource",
    "tensor_to_array",
]

Result = TypeVar("Result")

SEE_CHECK_IMAGES = " (skssl.data.check_images lists all such images)"

_KEPT_FRACTION = 0.1  # of the memory, for pixels that were decoded in the survey


class StoredImages(Protocol):
    """Decoded images on disk, which are mapped into memory."""

    def fetch(
        self,
        source: Any,
        rows: np.ndarray,
        *,
        image_format: Any,
        size: tuple[int, int],
        n_jobs: int | None,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return mapped images and where those of ``rows`` are; None without room."""

    def recall(
        self,
        source: Any,
        rows: np.ndarray,
        question: Any,
        answer: Callable[[], Any],
        *,
        n_jobs: int | None,
    ) -> Any:
        """Return what is known about images, or else find it out and keep it.

        The answer is of lists, numbers, str and None.
        """


class ImageSource(ABC):
    """A sequence of raw images, which several threads can read.

    Attributes
    ----------
    mixes_channels : bool
        Whether gray and RGB images may be mixed, and are converted as needed.
    maps : StoredImages or None
        Where decoded images are kept on disk.
    """

    mixes_channels = False
    maps: StoredImages | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def decode(
        self,
        row: int,
        *,
        min_side: int | None = None,
        window: int | None = None,
        keep: bool = False,
    ) -> RawImage:
        """Return image ``row``.

        Parameters
        ----------
        row : int
        min_side : int, optional
            The size that is needed at least, pixels.
        window : int, optional
            Apply this window of the file.
        keep : bool, default=False
            Whether the image will be decoded once more, and may be kept until then.
        """

    @abstractmethod
    def header(self, row: int) -> ImageHeader:
        """Return size and type of image ``row``, without decoding a file."""

    def read(self, row: int) -> np.ndarray:
        """Return image ``row`` as (H, W) or (H, W, C), any real dtype."""
        return self.decode(row).pixels

    def describe(self, row: int) -> str:
        """Return the name of image ``row`` for error messages."""
        return f"X[{row}]"


class ArraySource(ImageSource):
    """Images of the same size in one array (n, H, W, C)."""

    def __init__(self, images: np.ndarray):
        self.images = images  # (n, H, W, C)

    def __len__(self) -> int:
        return len(self.images)

    def decode(self, row: int, **how: Any) -> RawImage:  # noqa: ARG002
        return RawImage(np.asarray(self.images[row]), dtype_levels(self.images.dtype))

    def header(self, row: int) -> ImageHeader:  # noqa: ARG002
        _, height, width, n_channels = self.images.shape
        return ImageHeader(height, width, n_channels, _is_eight_bit(self.images))


class SequenceSource(ImageSource):
    """A sequence of arrays, tensors or PIL images, whose sizes may differ."""

    def __init__(self, images: Sequence[Any], max_channels: int):
        self.images = images
        self.max_channels = max_channels

    def __len__(self) -> int:
        return len(self.images)

    def decode(self, row: int, **how: Any) -> RawImage:  # noqa: ARG002
        image = self.images[row]
        if isinstance(image, Image.Image):
            return self._decode_pil(row, image)
        if isinstance(image, torch.Tensor):
            image = tensor_to_array(image)
            image = image.transpose(1, 2, 0) if image.ndim == 3 else image
        image = unmasked(image, self.describe(row))
        if (
            image.ndim not in (2, 3)
            or image.size == 0
            or image.dtype.kind not in "buif"
        ):
            raise ValueError(
                f"{self.describe(row)} has shape {image.shape} and dtype "
                f"{image.dtype}: expected a non-empty array (H, W) or (H, W, C) of "
                "real numbers."
            )
        if image.ndim == 3 and image.shape[2] > self.max_channels:
            raise ValueError(
                f"{self.describe(row)} has shape {image.shape}: read as (H, W, C), it "
                f"would have {image.shape[2]} channels. Pass arrays with the channels "
                "last (image.transpose(1, 2, 0)), slices of a volume as images (H, W), "
                "or image_shape=(H, W, C) if the channels are meant."
            )
        return RawImage(image, dtype_levels(image.dtype))

    def header(self, row: int) -> ImageHeader:
        image = self.read(row)
        height, width = image.shape[:2]
        n_channels = 1 if image.ndim == 2 else image.shape[2]
        return ImageHeader(height, width, n_channels, _is_eight_bit(image))

    def _decode_pil(self, row: int, image: Image.Image) -> RawImage:
        """Decode a PIL image, upright and with the values of its file."""
        try:
            # pillow would map an uncompressed TIFF file by name, and turn it wrongly.
            if (
                image.format == "TIFF"
                and Path(getattr(image, "filename", "")).is_file()
            ):
                image.filename = ""
            check_depth(image)
            return decode_picture(image)
        except Exception as error:  # of decoders, nearly any type
            raise ImageReadError(
                f"{self.describe(row)} is a PIL image that could not be decoded: "
                f"{error}"
            ) from error


class FileSource(ImageSource):
    """Image files, or images of files that hold several. Errors name row and file."""

    mixes_channels = True

    def __init__(self, items: Sequence[FileItem]):
        self.items = items
        self._kept: dict[int, RawImage] = {}
        self._lock = Lock()
        self._room = _KEPT_FRACTION * physical_ram()  # bytes

    def __len__(self) -> int:
        return len(self.items)

    def __getstate__(self) -> dict[str, Any]:
        return {"items": self.items}  # without decoded pixels

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["items"])  # type: ignore[misc]

    def decode(
        self,
        row: int,
        *,
        min_side: int | None = None,
        window: int | None = None,
        keep: bool = False,
    ) -> RawImage:
        with self._lock:
            image = self._kept.pop(row, None)
            if image is not None:
                self._room += image.pixels.nbytes
        if image is None or window is not None:
            image = self.call_on_file(
                row, decode_file, min_side=min_side, window=window
            )
        if keep and window is None and not image.is_reduced:
            with self._lock:
                if image.pixels.nbytes <= self._room:
                    self._room -= image.pixels.nbytes
                    self._kept[row] = image
        return image

    def header(self, row: int) -> ImageHeader:
        return self.call_on_file(row, read_header)

    def path(self, row: int) -> str:
        """Return the path of the file that holds image ``row``."""
        item = self.items[row]
        return item.path if isinstance(item, ImageSlice) else str(item)

    def describe(self, row: int) -> str:
        return f"X[{row}] ({str(self.items[row])!r})"

    def call_on_file(
        self, row: int, read: Callable[..., Result], **options: Any
    ) -> Result:
        """Return ``read(item, **options)``; an error names the row."""
        try:
            return read(self.items[row], **options)
        except ImageReadError as error:
            raise type(error)(f"X[{row}]: {error}{SEE_CHECK_IMAGES}") from error


def tensor_to_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16 becomes float32, since numpy lacks it.

    Raises
    ------
    ValueError
        If the tensor has no values.
    """
    if tensor.is_meta:
        raise ValueError("X is a tensor on the device 'meta', which holds no values.")
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy(force=True)


def unmasked(images: Any, name: str) -> np.ndarray:
    """Return an array; refuse a masked one, whose masked values would be taken."""
    if isinstance(images, np.ma.MaskedArray) and np.ma.is_masked(images):
        raise ValueError(
            f"{name} has masked values: fill them with {name}.filled(value), where "
            "value is that of black."
        )
    return np.asarray(images)


def dtype_levels(dtype: np.dtype) -> tuple[float, float] | None:
    """Return the lowest and highest value of an integer dtype."""
    if dtype.kind not in "ui":
        return None
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def _is_eight_bit(image: np.ndarray) -> bool:
    return image.dtype in (np.uint8, np.bool_)
