"""Kinds of X and of its items."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image

from skssl.data.files import ImageSlice

__all__ = ["as_items", "column_names", "is_file", "is_image", "library_of", "n_dims"]


def library_of(X: Any) -> str:
    """Return the name of the package that a type comes from."""
    return type(X).__module__.split(".", maxsplit=1)[0]


def n_dims(X: Any) -> int:
    """Return the number of axes of an array of any library; 0 for other objects."""
    if isinstance(X, (np.ndarray, torch.Tensor)):
        return X.ndim
    if hasattr(X, "__array__") and isinstance(getattr(X, "ndim", None), int):
        return int(X.ndim)
    return 0


def as_items(X: Any) -> Sequence[Any] | None:
    """Return X as a 1-D sequence, or None if it is a table (2-D, sparse, a scalar)."""
    if isinstance(X, (list, tuple)):
        return X
    if isinstance(X, torch.Tensor) or hasattr(X, "toarray"):  # sparse
        return None
    to_list = getattr(X, "to_pylist", None) or getattr(X, "to_list", None)
    if to_list is not None and not hasattr(X, "columns"):  # of pyarrow, polars, pandas
        return list(to_list())
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) == 1 and not isinstance(X, np.ndarray) and hasattr(X, "__array__"):
        return np.asarray(X).tolist()  # of xarray
    if len(shape) == 2 and shape[1] == 1 and len(X):  # a column of paths
        column = _only_column(X)
        return column if is_file(column[0]) else None
    return list(X) if len(shape) == 1 else None


def _only_column(X: Any) -> list[Any]:
    if hasattr(X, "columns"):
        column = X[next(iter(column_names(X)))]
        return column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    return list(X[:, 0])


def column_names(frame: Any) -> list[Any]:
    """Return the names of the columns of a data frame of any library."""
    return list(getattr(frame, "column_names", frame.columns))  # pyarrow, or others


def is_file(item: Any) -> bool:
    """Return whether an item of X names a file, or an image in one."""
    return isinstance(item, (str, PathLike, ImageSlice))


def is_image(item: Any) -> bool:
    """Return whether an item of X is an image in memory."""
    if isinstance(item, Image.Image):
        return True
    if isinstance(item, (list, tuple)):
        return np.ndim(item) >= 2 if item and np.ndim(item[0]) else False
    return getattr(item, "ndim", 0) >= 2
