"""What X is: images, files or a table; others are refused, with what to pass."""

from collections.abc import Sequence
from os import PathLike, fsdecode
from typing import Any

import numpy as np
import torch
from PIL import Image

from skssl.data.files import ImageSlice
from skssl.data.kinds import as_items, is_file, is_image, n_dims
from skssl.data.refusals import refuse_unknown, refuse_unknown_item
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


def is_table(X: Any) -> bool:
    """Return whether X is a table, with one row of numbers per sample.

    scikit-learn validates tables, numbers and None, and raises its usual errors.

    Raises
    ------
    TypeError
        If X is neither images nor a table; the message says what to pass.
    """
    refuse_unknown(X)
    if isinstance(X, (str, PathLike, Image.Image)) or n_dims(X) > 2:
        return False
    items = as_items(X)
    if items is None:
        return True
    if len(items) == 0:
        return False
    refuse_unknown_item(items[0])
    # A missing first path does not make a table of the others.
    return not any(is_file(item) or is_image(item) for item in items[:2])


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
    if n_dims(X) > 2:
        return _stack_source(unmasked(X, "X"), limit)
    items = as_items(X)
    if items is None or len(items) == 0:
        raise ValueError("X holds no images: found 0 samples, at least 1 is required.")
    has_type = is_file if any(map(is_file, items[:2])) else is_image
    for row, item in enumerate(items):
        if not has_type(item):
            other = next((k for k, other in enumerate(items) if has_type(other)), 0)
            raise TypeError(
                f"X[{row}] is of type {type(item).__name__}, but X[{other}] is of type "
                f"{type(items[other]).__name__}: pass either paths or images."
            )
    if has_type is is_file:
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
