"""The parts of a split: which rows train, and which are to test."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_PART = "in no part"


@dataclass(frozen=True)
class Parts:
    """Each image's part, in one or in several ways to divide the set.

    Attributes
    ----------
    codes : ndarray of shape (n_ways, n), int
        The number of the part; -1 for an image in none.
    names : list of list of str
        Those of the parts, for each way.
    """

    codes: np.ndarray
    names: list[list[str]]

    def differ(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return for pairs of rows whether they lie in two parts, in any way."""
        of_a, of_b = self.codes[:, a], self.codes[:, b]
        return ((of_a != of_b) & (of_a >= 0) & (of_b >= 0)).any(axis=0)

    def of(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Return the parts of some rows, in the first way that divides them."""
        codes = self.codes[:, list(rows)]  # (n_ways, n_rows)
        within = np.where(codes < 0, codes.max(axis=1, keepdims=True), codes)
        divided = (within != within[:, :1]).any(axis=1)
        way = int(divided.argmax())
        names = self.names[way]
        return tuple(NO_PART if c < 0 else names[c] for c in codes[way])

    def sizes(self) -> dict[str, int]:
        """Return how many images each part has, if there is one way only."""
        if len(self.codes) > 1:
            return {}
        counts = np.bincount(self.codes[0][self.codes[0] >= 0])
        return dict(zip(self.names[0], counts.tolist(), strict=True))


def read_splits(splits: Any, n: int, y: Any, groups: Any) -> Parts | None:
    """Read splits of any kind; see `audit_split`.

    Raises
    ------
    ValueError
        If it is none of the kinds that are known, or does not fit n rows.
    """
    if splits is None:
        return None
    if hasattr(splits, "split") and hasattr(splits, "get_n_splits"):
        with warnings.catch_warnings():
            # Of splitters that do not heed patients: the audit tells what comes of it.
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            try:
                splits = list(splits.split(np.zeros((n, 1)), y, groups))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"splits={splits!r} cannot split {n} images: {error}"
                ) from error
    elif isinstance(splits, str) or not isinstance(splits, Iterable):
        raise ValueError(
            "splits must be a splitter, (train, test) pairs of rows or the part of "
            f"each image, got {splits!r}."
        )
    items = list(splits.tolist() if hasattr(splits, "detach") else splits)
    if len(items) == 0:
        raise ValueError("splits is empty.")
    if all(isinstance(item, str) or not hasattr(item, "__len__") for item in items):
        return _named_parts(items, n)
    pairs = [_read_pair(item, i, n) for i, item in enumerate(items)]
    return _folds(pairs, n) or _ways(pairs, n)


def _named_parts(items: list[Any], n: int) -> Parts:
    """Read the name or number of each row's part."""
    if len(items) != n:
        raise ValueError(
            f"splits names the parts of {len(items)} images, but X has {n}: one part "
            "an image is needed."
        )
    for row, item in enumerate(items):
        if item is None or type(item).__name__ == "NAType" or item != item:  # noqa: PLR0124
            raise ValueError(f"splits[{row}] is missing: every image needs a part.")
    names, codes = np.unique([str(item) for item in items], return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"splits puts all images into one part, {str(names[0])!r}: a leak needs "
            "two at least. With splits=None parts are not looked at."
        )
    return Parts(codes.reshape(1, n), [names.tolist()])


def _read_pair(item: Any, number: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a training and of a test part."""
    if not isinstance(item, (tuple, list, np.ndarray)) or len(item) != 2:
        raise ValueError(
            f"splits[{number}] is no pair (train, test) of rows, got a "
            f"{type(item).__name__}: one pair stands in a list, [(train, test)]."
        )
    train, test = (np.asarray(rows) for rows in item)
    for name, rows in (("train", train), ("test", test)):
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise ValueError(
                f"the {name} rows of splits[{number}] must be a sequence of row "
                f"numbers, got {rows.dtype} of shape {rows.shape}. Of a mask they are "
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
            f"splits[{number}] has {len(both)} rows in both parts, such as "
            f"{both[:5].tolist()}: the same image trains and tests."
        )
    return train, test


def _folds(pairs: list[tuple[np.ndarray, np.ndarray]], n: int) -> Parts | None:
    """Return the folds of a cross-validation; None if the pairs are no such thing."""
    fold = np.full(n, -1)
    for number, (_, test) in enumerate(pairs):
        if (fold[test] >= 0).any():
            return None
        fold[test] = number
    for number, (train, _) in enumerate(pairs):
        others = np.flatnonzero((fold >= 0) & (fold != number))
        if not np.array_equal(np.unique(train), others):
            return None
    return Parts(fold[None], [[f"fold {i}" for i in range(len(pairs))]])


def _ways(pairs: list[tuple[np.ndarray, np.ndarray]], n: int) -> Parts:
    """Return training and test part of each pair."""
    codes = np.full((len(pairs), n), -1)
    for way, (train, test) in enumerate(pairs):
        codes[way, train] = 0
        codes[way, test] = 1
    ends = [""] if len(pairs) == 1 else [f" of split {i}" for i in range(len(pairs))]
    return Parts(codes, [[f"train{end}", f"test{end}"] for end in ends])
