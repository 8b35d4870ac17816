"""What X is: images, files or a table; others are refused, with what to pass."""

from collections.abc import Iterator, Sequence
from io import IOBase
from os import PathLike, fsdecode
from typing import Any

import numpy as np
import torch
from PIL import Image

from skssl.data.files import ImageSlice
from skssl.data.sources import (
    ArraySource,
    FileSource,
    ImageSource,
    SequenceSource,
    tensor_to_array,
    unmasked,
)

__all__ = ["ImageShape", "fold_rows", "is_table", "make_source"]

ImageShape = Sequence[int] | str | None

# More channels than these are refused unless they are asked for: most likely the axes
# are in another order, or the array is a volume.
_MAX_CHANNELS = 4
_HOW = (
    "pass a list of paths, arrays or PIL images, an array (n, H, W) or (n, H, W, C), "
    "or a tensor (n, C, H, W)"
)


def is_table(X: Any) -> bool:
    """Return whether X is a table, with one row of numbers per sample.

    scikit-learn validates tables, numbers and None, and raises its usual errors.

    Raises
    ------
    TypeError
        If X is neither images nor a table; the message says what to pass.
    """
    _refuse_unknown(X)
    if isinstance(X, (str, PathLike, Image.Image)) or _n_dims(X) > 2:
        return False
    items = _as_items(X)
    if items is None:
        return True
    if len(items) == 0:
        return False
    _refuse_unknown_item(items[0])
    return not (_is_file(items[0]) or _is_image(items[0]))


def make_source(X: Any, image_shape: Sequence[Any] | str | None = None) -> ImageSource:
    """Wrap images of any supported type, without copying or decoding them.

    Parameters
    ----------
    X : paths, arrays, PIL images or a tensor
        A sequence, Series or array of str, Path or `ImageSlice`; an array (n, H, W) or
        (n, H, W, C); a tensor (n, H, W) or (n, C, H, W); a sequence of arrays
        (H, W[, C]), tensors ([C, ]H, W) or PIL images, whose sizes may differ.
    image_shape : (H, W, C), optional
        More than 4 channels are refused, unless C asks for them. Without effect
        otherwise.

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
    limit = _MAX_CHANNELS
    if image_shape is not None and len(image_shape) == 3:
        limit = max(limit, int(image_shape[2]))
    if isinstance(X, torch.Tensor):
        return _tensor_source(X, limit)
    if _n_dims(X) > 2:
        return _stack_source(unmasked(X, "X"), limit)
    items = _as_items(X)
    if items is None or len(items) == 0:
        raise ValueError("X holds no images: found 0 samples, at least 1 is required.")
    has_type = _is_file if _is_file(items[0]) else _is_image
    for row, item in enumerate(items):
        if not has_type(item):
            raise TypeError(
                f"X[{row}] is of type {type(item).__name__}, but X[0] is of type "
                f"{type(items[0]).__name__}: pass either paths or images."
            )
    if has_type is _is_file:
        return FileSource(
            [item if isinstance(item, ImageSlice) else fsdecode(item) for item in items]
        )
    return SequenceSource(items, limit)


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


def _refuse_unknown(X: Any) -> None:
    """Raise TypeError, with what to pass, for what neither images nor a table is."""
    kind = type(X).__name__
    if isinstance(X, (bytes, bytearray, IOBase)):
        raise TypeError(f"X is of type {kind}: {_HOW}.")
    if isinstance(X, torch.utils.data.DataLoader):
        raise TypeError("X is a DataLoader: pass the images of its dataset, and y.")
    if isinstance(X, torch.utils.data.Dataset):
        samples = getattr(X, "samples", None)
        how = (
            "pass its paths, [path for path, _ in X.samples], and y = X.targets"
            if isinstance(samples, list)
            else "pass its images, [X[i][0] for i in range(len(X))], and labels as y"
        )
        raise TypeError(f"X is a torch Dataset ({kind}): {how}.")
    if isinstance(X, (dict, set, frozenset)) and not hasattr(X, "toarray"):
        raise TypeError(f"X is a {kind}, which has no rows: {_HOW}.")
    if isinstance(X, Iterator) or (
        hasattr(X, "__iter__") and not hasattr(X, "__len__") and not hasattr(X, "shape")
    ):
        raise TypeError(f"X is an iterator ({kind}): pass list(X).")
    library = _library(X)
    if library in ("datasets", "tensorflow"):
        raise TypeError(f"X is a {kind} of {library}: {_HOW}.")
    if library in ("nibabel", "SimpleITK"):
        raise TypeError(
            f"X is an image of {library}: pass slices of its file, which "
            "skssl.data.list_slices(path) lists, or a list of arrays (H, W)."
        )
    if len(getattr(X, "shape", ())) == 2 and hasattr(X, "columns"):
        _refuse_text_beside_others(X)


def _refuse_text_beside_others(frame: Any) -> None:
    """Refuse a data frame with a column of paths and others."""
    names = list(getattr(frame, "column_names", frame.columns))  # pyarrow, or others
    if len(names) < 2 or len(frame) == 0:
        return
    for name in names:
        if isinstance(next(iter(frame[name])), (str, PathLike)):
            raise TypeError(
                f"X is a table of {len(names)} columns, and column {name!r} holds "
                f"text: pass one column of paths as X, X[{name!r}], and labels as y."
            )


def _refuse_unknown_item(item: Any) -> None:
    """Raise TypeError, with what to pass, for items that are no images."""
    kind = type(item).__name__
    is_opened = hasattr(item, "read") or hasattr(item, "read_bytes")  # zipfile.Path
    if isinstance(item, (bytes, bytearray)) or (is_opened and not _is_file(item)):
        raise TypeError(
            f"X[0] is of type {kind}: pass paths, or PIL images that PIL.Image.open "
            "returns for such objects."
        )
    library = _library(item)
    if library in ("nibabel", "SimpleITK"):
        raise TypeError(
            f"X[0] is an image of {library}: pass slices of the file, which "
            "skssl.data.list_slices(path) lists, or arrays (H, W)."
        )
    if (
        isinstance(item, tuple)
        and len(item) == 2
        and (_is_file(item[0]) or _is_image(item[0]))
    ):
        raise TypeError(
            "X[0] is a pair, of an image and its label it seems: pass images as X and "
            "labels as y, X, y = zip(*pairs)."
        )


def _library(X: Any) -> str:
    return type(X).__module__.split(".", maxsplit=1)[0]


def _n_dims(X: Any) -> int:
    """Return the number of axes of an array of any library; 0 for other objects."""
    if isinstance(X, (np.ndarray, torch.Tensor)):
        return X.ndim
    if hasattr(X, "__array__") and isinstance(getattr(X, "ndim", None), int):
        return int(X.ndim)
    return 0


def _as_items(X: Any) -> Sequence[Any] | None:
    """Return X as a 1-D sequence, or None if it is a table (2-D, sparse, a scalar)."""
    if isinstance(X, (list, tuple)):
        return X
    if isinstance(X, torch.Tensor) or hasattr(X, "toarray"):  # sparse
        return None
    to_list = getattr(X, "to_pylist", None) or getattr(X, "to_list", None)
    if to_list is not None and not hasattr(X, "columns"):  # of pyarrow, polars, pandas
        return list(to_list())
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) == 2 and shape[1] == 1 and len(X):  # a column of paths
        column = _only_column(X)
        return column if _is_file(column[0]) else None
    return list(X) if len(shape) == 1 else None


def _only_column(X: Any) -> list[Any]:
    if hasattr(X, "columns"):
        return list(X[next(iter(X.columns))])
    return list(X[:, 0])


def _is_file(item: Any) -> bool:
    return isinstance(item, (str, PathLike, ImageSlice))


def _is_image(item: Any) -> bool:
    if isinstance(item, Image.Image):
        return True
    if isinstance(item, (list, tuple)):
        return np.ndim(item) >= 2 if item and np.ndim(item[0]) else False
    return getattr(item, "ndim", 0) >= 2


def _tensor_source(images: torch.Tensor, max_channels: int) -> ArraySource:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"X is a tensor of shape {tuple(images.shape)}: expected (n, C, H, W) or "
            "(n, H, W)."
        )
    stack = images[:, None] if images.ndim == 3 else images  # (n, C, H, W)
    return _stack_source(tensor_to_array(stack.permute(0, 2, 3, 1)), max_channels)


def _stack_source(images: np.ndarray, max_channels: int) -> ArraySource:
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
    if stack.shape[3] > max_channels:
        looks = (
            "looks channels-first: pass arrays as (n, H, W, C), or a torch tensor "
            "(n, C, H, W)"
            if stack.shape[1] <= max_channels
            else f"would have {stack.shape[3]} channels as (n, H, W, C): pass slices "
            "of volumes as (n, H, W) or, if channels are meant, image_shape=(H, W, C)"
        )
        raise ValueError(f"X has shape {images.shape}, which {looks}.")
    return ArraySource(stack)
