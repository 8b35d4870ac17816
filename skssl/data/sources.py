"""A common interface to the inputs that are accepted as X."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from skssl.data.decode import ImageHeader, pil_to_array, read_header, read_image
from skssl.exceptions import ImageReadError

ImageShape = Sequence[int] | str | None
Result = TypeVar("Result")

# A numpy array with more "channels" than this is assumed to have wrong axis order.
_MAX_CHANNELS = 16


class ImageSource(ABC):
    """A sequence of raw images, which several threads can read.

    Attributes
    ----------
    mixes_channels : bool
        Whether gray and RGB images may be mixed, and are converted as needed.
    """

    mixes_channels = False

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def read(self, row: int, *, min_side: int | None = None) -> np.ndarray:
        """Return image ``row`` as (H, W) or (H, W, C), any real dtype."""

    @abstractmethod
    def header(self, row: int) -> ImageHeader:
        """Return size and type of image ``row``, without decoding a file."""

    def describe(self, row: int) -> str:
        """Return the name of image ``row`` for error messages."""
        return f"X[{row}]"


class ArraySource(ImageSource):
    """Images of the same size in one array (n, H, W, C)."""

    def __init__(self, images: np.ndarray):
        self.images = images  # (n, H, W, C)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, row: int, *, min_side: int | None = None) -> np.ndarray:  # noqa: ARG002
        return np.asarray(self.images[row])

    def header(self, row: int) -> ImageHeader:  # noqa: ARG002
        _, height, width, n_channels = self.images.shape
        return ImageHeader(height, width, n_channels, _is_eight_bit(self.images))


class SequenceSource(ImageSource):
    """A sequence of arrays, tensors or PIL images, whose sizes may differ."""

    def __init__(self, images: Sequence[Any]):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, row: int, *, min_side: int | None = None) -> np.ndarray:  # noqa: ARG002
        image = self.images[row]
        if isinstance(image, Image.Image):
            return pil_to_array(image)
        if isinstance(image, torch.Tensor):
            image = tensor_to_array(image)
            image = image.transpose(1, 2, 0) if image.ndim == 3 else image
        image = np.asarray(image)
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
        return image

    def header(self, row: int) -> ImageHeader:
        image = self.read(row)
        height, width = image.shape[:2]
        n_channels = 1 if image.ndim == 2 else image.shape[2]
        return ImageHeader(height, width, n_channels, _is_eight_bit(image))


class FileSource(ImageSource):
    """Image files. Errors name the row and the file."""

    mixes_channels = True

    def __init__(self, paths: Sequence[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, *, min_side: int | None = None) -> np.ndarray:
        return self.call_on_path(row, read_image, min_side=min_side)

    def header(self, row: int) -> ImageHeader:
        return self.call_on_path(row, read_header)

    def describe(self, row: int) -> str:
        return f"X[{row}] ({self.paths[row]!r})"

    def call_on_path(
        self, row: int, read: Callable[..., Result], **options: Any
    ) -> Result:
        """Return ``read(path, **options)``; an error names the row."""
        try:
            return read(self.paths[row], **options)
        except ImageReadError as error:
            raise type(error)(f"X[{row}]: {error}") from error


def is_table(X: Any) -> bool:
    """Return whether X is a table, with one row of numbers per sample.

    Anything that is not an array or a sequence of images or paths counts as a table.
    scikit-learn then validates it and raises its usual errors.
    """
    if isinstance(X, (torch.Tensor, np.ndarray)) and X.ndim > 2:
        return False
    if isinstance(X, (str, PathLike, Image.Image)):
        return False
    items = _as_items(X)
    if items is None:
        return True
    return not (len(items) == 0 or _is_path(items[0]) or _is_image(items[0]))


def make_source(X: Any) -> ImageSource:
    """Wrap images of any supported type, without copying or decoding them.

    Parameters
    ----------
    X : paths, arrays, PIL images or a tensor
        A sequence, Series or array of str or Path; an array (n, H, W) or
        (n, H, W, C); a tensor (n, H, W) or (n, C, H, W); a sequence of arrays
        (H, W[, C]), tensors ([C, ]H, W) or PIL images, whose sizes may differ.

    Returns
    -------
    ImageSource

    Raises
    ------
    ValueError, TypeError
        If X has another type or shape.
    """
    if isinstance(X, (str, PathLike, Image.Image)):
        raise TypeError(f"X is a single {type(X).__name__}: pass a sequence of images.")
    if isinstance(X, torch.Tensor):
        return _tensor_source(X)
    if isinstance(X, np.ndarray) and X.ndim > 2:
        return _stack_source(X)
    items = _as_items(X)
    if items is None or len(items) == 0:
        raise ValueError("X holds no images: found 0 samples, at least 1 is required.")
    has_type = _is_path if _is_path(items[0]) else _is_image
    for row, item in enumerate(items):
        if not has_type(item):
            raise TypeError(
                f"X[{row}] is of type {type(item).__name__}, but X[0] is of type "
                f"{type(items[0]).__name__}: pass either paths or images."
            )
    if has_type is _is_path:
        return FileSource([str(path) for path in items])
    return SequenceSource(items)


def fold_rows(rows: np.ndarray, image_shape: ImageShape) -> np.ndarray:
    """Reshape the rows of a table to images.

    Parameters
    ----------
    rows : ndarray of shape (n, p)
    image_shape : (H, W), (H, W, C), "flat" or None
        None reshapes p = k² values to k × k. "flat" makes each row a 1 × p image.

    Returns
    -------
    ndarray of shape (n, H, W, C)

    Raises
    ------
    ValueError
        If p does not match the shape.

    Examples
    --------
    >>> fold_rows(np.zeros((5, 64)), None).shape
    (5, 8, 8, 1)
    """
    n, p = rows.shape
    if image_shape is None:
        side = int(np.sqrt(p) + 0.5)
        if side * side != p:
            raise ValueError(
                f"X has {p} features, which is not a perfect square: pass "
                "image_shape=(H, W) or (H, W, C), or image_shape='flat' for 1 × p "
                "images."
            )
        image_shape = (side, side)
    elif isinstance(image_shape, str):
        image_shape = (1, p)
    if np.prod(image_shape) != p:
        raise ValueError(
            f"X has {p} features, but image_shape={tuple(image_shape)} needs "
            f"{np.prod(image_shape)}."
        )
    shape = (*image_shape, 1) if len(image_shape) == 2 else tuple(image_shape)
    return rows.reshape(n, *shape)


def tensor_to_array(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16 becomes float32, since numpy lacks it."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy(force=True)


def _as_items(X: Any) -> Sequence[Any] | None:
    """Return X as a 1-D sequence, or None if it is a table (2-D, sparse, a scalar)."""
    if isinstance(X, (list, tuple)):
        return X
    if hasattr(X, "toarray"):
        return None
    n_dims = getattr(X, "ndim", None)
    if n_dims == 2 and X.shape[1] == 1 and len(X):  # a column of paths
        column = list(X.iloc[:, 0] if hasattr(X, "iloc") else X[:, 0])
        return column if _is_path(column[0]) else None
    if n_dims == 1:
        return list(X)
    return None


def _is_eight_bit(image: np.ndarray) -> bool:
    return image.dtype in (np.uint8, np.bool_)


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, PathLike))


def _is_image(item: Any) -> bool:
    if isinstance(item, Image.Image):
        return True
    if isinstance(item, (list, tuple)):
        return np.ndim(item) >= 2 if item and np.ndim(item[0]) else False
    return getattr(item, "ndim", 0) >= 2


def _tensor_source(images: torch.Tensor) -> ArraySource:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"X is a tensor of shape {tuple(images.shape)}: expected (n, C, H, W) or "
            "(n, H, W)."
        )
    stack = images[:, None] if images.ndim == 3 else images  # (n, C, H, W)
    return _stack_source(tensor_to_array(stack.permute(0, 2, 3, 1)))


def _stack_source(images: np.ndarray) -> ArraySource:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"X has shape {images.shape}: expected (n, H, W) or (n, H, W, C)."
        )
    if images.dtype.kind not in "buif":
        raise ValueError(f"X has dtype {images.dtype}: expected real numbers.")
    if 0 in images.shape:
        raise ValueError(
            f"X has shape {images.shape}: found 0 samples or pixels, at least 1 is "
            "required."
        )
    stack = images[..., None] if images.ndim == 3 else images  # (n, H, W, C)
    if stack.shape[3] > _MAX_CHANNELS >= stack.shape[1]:
        raise ValueError(
            f"X has shape {images.shape}, which looks channels-first: pass arrays as "
            "(n, H, W, C), or a torch tensor (n, C, H, W)."
        )
    return ArraySource(stack)
