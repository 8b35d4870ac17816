"""The split to which each image is assigned, such as "train" or "fold 2"."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skssl._labels import is_missing

UNASSIGNED = "in no split"


@dataclass(frozen=True)
class Assignments:
    """The split of each image, in one or in several partitions of the set.

    Attributes
    ----------
    codes : ndarray of shape (n_partitions, n), int
        Index into ``names``; -1 for an image in no split.
    names : list of list of str
        The names of the splits of each partition.
    """

    codes: np.ndarray
    names: list[list[str]]

    def differ(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return, for pairs of rows, whether a partition puts them in two splits."""
        codes_a, codes_b = self.codes[:, a], self.codes[:, b]  # (n_partitions, n_pairs)
        return ((codes_a != codes_b) & (codes_a >= 0) & (codes_b >= 0)).any(axis=0)

    def split_names(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the splits of some rows, in the first partition that separates them.

        If none does, the first partition is used.
        """
        codes = self.codes[:, list(rows)]  # (n_partitions, n_rows)
        assigned = np.where(codes < 0, codes.max(axis=1, keepdims=True), codes)
        separates = (assigned != assigned[:, :1]).any(axis=1)
        partition = int(separates.argmax())
        names = self.names[partition]
        return tuple(UNASSIGNED if c < 0 else names[c] for c in codes[partition])

    def sizes(self) -> dict[str, int]:
        """Return the number of images of each split; empty for several partitions."""
        if len(self.codes) > 1:
            return {}
        counts = np.bincount(self.codes[0][self.codes[0] >= 0])
        return dict(zip(self.names[0], counts.tolist(), strict=True))


def read_splits(splits: Any, n: int, y: Any, groups: Any) -> Assignments | None:
    """Return the assignments that ``splits`` of `audit_split` describes.

    Parameters
    ----------
    splits : splitter, iterable of (train, test), array-like of shape (n,) or None
    n : int
        Number of images.
    y, groups : ndarray of shape (n,) or None
        For a splitter.

    Raises
    ------
    ValueError
        If ``splits`` is of an unknown kind, or does not fit n images.
    """
    if splits is None:
        return None
    if hasattr(splits, "split") and hasattr(splits, "get_n_splits"):
        splits = _run_splitter(splits, n, y, groups)
    elif isinstance(splits, str) or not isinstance(splits, Iterable):
        raise ValueError(
            "splits must be a splitter, (train, test) pairs of rows or the split of "
            f"each image, got {splits!r}."
        )
    items = list(splits.tolist() if hasattr(splits, "detach") else splits)
    if len(items) == 0:
        raise ValueError("splits is empty.")
    if all(isinstance(item, str) or not hasattr(item, "__len__") for item in items):
        return _from_names(items, n)
    pairs = [_check_pair(item, i, n) for i, item in enumerate(items)]
    return _from_folds(pairs, n) or _from_pairs(pairs, n)


def _run_splitter(splitter: Any, n: int, y: Any, groups: Any) -> list[Any]:
    """Return the (train, test) pairs of a splitter."""
    with warnings.catch_warnings():
        # Splitters that ignore groups warn; the audit reports the consequences.
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        try:
            return list(splitter.split(np.zeros((n, 1)), y, groups))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"splits={splitter!r} cannot split {n} images: {error}"
            ) from error


def _from_names(items: list[Any], n: int) -> Assignments:
    """Read the name or number of the split of each row."""
    if len(items) != n:
        raise ValueError(
            f"splits gives the split of {len(items)} images, but X has {n}: expected "
            "one per image."
        )
    for row, item in enumerate(items):
        if is_missing(item):
            raise ValueError(f"splits[{row}] is missing: every image needs a split.")
    names, codes = np.unique([str(item) for item in items], return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"splits puts all images into one split, {str(names[0])!r}: at least two "
            "are needed. Use splits=None to skip the checks between splits."
        )
    return Assignments(codes.reshape(1, n), [names.tolist()])


def _check_pair(item: Any, number: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training and test rows of a pair; raise ValueError if it is none."""
    if not isinstance(item, (tuple, list, np.ndarray)) or len(item) != 2:
        raise ValueError(
            f"splits[{number}] is no pair (train, test) of rows, got a "
            f"{type(item).__name__}. Wrap a single pair in a list: [(train, test)]."
        )
    train, test = (np.asarray(rows) for rows in item)
    for name, rows in (("train", train), ("test", test)):
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise ValueError(
                f"the {name} rows of splits[{number}] must be a sequence of row "
                f"numbers, got {rows.dtype} of shape {rows.shape}. Convert a mask with "
                "np.flatnonzero(mask)."
            )
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(
                f"the {name} rows of splits[{number}] span {rows.min()} to "
                f"{rows.max()}, but X has {n} images."
            )
    both = np.intersect1d(train, test)
    if len(both):
        raise ValueError(
            f"splits[{number}] has {len(both)} rows in both the training and the test "
            f"set, such as {both[:5].tolist()}."
        )
    return train, test


def _from_folds(
    pairs: list[tuple[np.ndarray, np.ndarray]], n: int
) -> Assignments | None:
    """Return the folds of a cross-validation; None if the pairs are not such folds."""
    fold = np.full(n, -1)
    for number, (_, test) in enumerate(pairs):
        if (fold[test] >= 0).any():
            return None
        fold[test] = number
    for number, (train, _) in enumerate(pairs):
        others = np.flatnonzero((fold >= 0) & (fold != number))
        if not np.array_equal(np.unique(train), others):
            return None
    return Assignments(fold[None], [[f"fold {i}" for i in range(len(pairs))]])


def _from_pairs(pairs: list[tuple[np.ndarray, np.ndarray]], n: int) -> Assignments:
    """Return one partition into training and test set for each pair."""
    codes = np.full((len(pairs), n), -1)
    for row, (train, test) in zip(codes, pairs, strict=True):
        row[train] = 0
        row[test] = 1
    suffixes = [f" of split {i}" for i in range(len(pairs))] if len(pairs) > 1 else [""]
    return Assignments(codes, [[f"train{s}", f"test{s}"] for s in suffixes])
