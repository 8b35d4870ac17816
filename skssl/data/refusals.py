"""What is neither images nor a table is refused, and the message says what to pass."""

from collections.abc import Iterator
from io import IOBase
from os import PathLike
from typing import Any

import torch

from skssl.data.kinds import column_names, is_file, is_image, library_of

__all__ = ["refuse_unknown", "refuse_unknown_item"]

_HOW = (
    "pass a list of paths, arrays or PIL images, an array (n, H, W) or (n, H, W, C), "
    "or a tensor (n, C, H, W)"
)


def refuse_unknown(X: Any) -> None:
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
    library = library_of(X)
    if library in ("datasets", "tensorflow"):
        raise TypeError(f"X is a {kind} of {library}: {_HOW}.")
    if library in ("nibabel", "SimpleITK"):
        raise TypeError(
            f"X is an image of {library}: pass slices of its file, which "
            "skssl.data.list_slices(path) lists, or a list of arrays (H, W)."
        )
    if hasattr(X, "__iter__") and not (
        hasattr(X, "shape") or isinstance(X, (list, tuple, str, PathLike))
    ):
        is_known = hasattr(X, "to_pylist") or hasattr(X, "__array__")
        if isinstance(X, Iterator) or not (is_known or hasattr(X, "toarray")):
            raise TypeError(f"X is an iterator or a collection ({kind}): pass list(X).")
    if hasattr(X, "collect") and hasattr(X, "collect_schema"):  # of polars
        raise TypeError(f"X is a {kind}: pass X.collect().")
    if len(getattr(X, "shape", ())) == 2 and hasattr(X, "columns"):
        _refuse_text_beside_others(X)


def _refuse_text_beside_others(frame: Any) -> None:
    """Refuse a data frame with a column of paths and others."""
    names = column_names(frame)
    if len(names) < 2 or len(frame) == 0:
        return
    for name in names:
        first = next(iter(frame[name]))
        first = first.as_py() if hasattr(first, "as_py") else first  # of pyarrow
        if isinstance(first, (str, PathLike)):
            raise TypeError(
                f"X is a table of {len(names)} columns, and column {name!r} holds "
                f"text: pass one column of paths as X, X[{name!r}], and labels as y."
            )


def refuse_unknown_item(item: Any) -> None:
    """Raise TypeError, with what to pass, for items that are no images."""
    kind = type(item).__name__
    is_opened = hasattr(item, "read") or hasattr(item, "read_bytes")  # zipfile.Path
    if isinstance(item, (bytes, bytearray)) or (is_opened and not is_file(item)):
        raise TypeError(
            f"X[0] is of type {kind}: pass paths, or PIL images that PIL.Image.open "
            "returns for such objects."
        )
    library = library_of(item)
    if library in ("nibabel", "SimpleITK"):
        raise TypeError(
            f"X[0] is an image of {library}: pass slices of the file, which "
            "skssl.data.list_slices(path) lists, or arrays (H, W)."
        )
    if (
        isinstance(item, tuple)
        and len(item) == 2
        and (is_file(item[0]) or is_image(item[0]))
    ):
        raise TypeError(
            "X[0] is a pair, of an image and its label it seems: pass images as X and "
            "labels as y, X, y = zip(*pairs)."
        )
