"""Which rows of X a training uses: a fraction of them, and a validation split."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

from skssl._random import isolated_rng

__all__ = ["draw_rows", "inner_split", "rows_apart"]

Rows = np.ndarray


def draw_rows(
    n_images: int, fraction: float, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """Draw a fraction of the images or patients; larger draws contain smaller ones.

    Parameters
    ----------
    n_images : int
    fraction : float
        In (0, 1].
    groups : ndarray of shape (n_images,) or None
        If given, whole patients are drawn: as many as bring the number of images
        nearest to the fraction, and at least one.
    seed : int

    Returns
    -------
    ndarray of int, sorted

    Raises
    ------
    ValueError
        If fewer than two images are left.
    """
    if fraction == 1:
        return np.arange(n_images)
    rng = np.random.default_rng(seed)
    n_drawn = round(fraction * n_images)
    if groups is None:
        rows = rng.permutation(n_images)[:n_drawn]
    else:
        _, patient, counts = np.unique(groups, return_inverse=True, return_counts=True)
        order = rng.permutation(len(counts))
        totals = np.concatenate([[0], counts[order].cumsum()])
        n_patients = max(1, int(np.argmin(np.abs(totals - n_drawn))))
        rows = np.flatnonzero(np.isin(patient, order[:n_patients]))
    if len(rows) < 2:
        raise ValueError(
            f"fraction={fraction} of {n_images} images leaves {len(rows)}: at least 2 "
            "are needed for a batch."
        )
    return np.sort(rows)


def rows_apart(held_out: Rows, n_images: int, groups: np.ndarray | None) -> Rows:
    """Return the rows that are not held out, nor of a patient who is.

    Examples
    --------
    >>> rows_apart(np.array([0]), 4, np.array(["a", "a", "b", "c"]))
    array([2, 3])
    """
    excluded = np.zeros(n_images, dtype=bool)
    excluded[held_out] = True
    if groups is not None:
        excluded |= np.isin(groups, groups[held_out])
    return np.flatnonzero(~excluded)


def inner_split(
    rows: Rows,
    fraction: Any,
    *,
    y: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[Rows, Rows]:
    """Split rows into a training and a validation split.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
        Rows of X.
    fraction : float or splitter
        Fraction to hold out, in [0, 0.5]; 0 holds nothing out. With both ``y`` and
        ``groups`` it becomes the nearest of 1/2, 1/3, 1/4 and so on, and the first such
        split with all classes is taken. A splitter provides its first split of these
        rows.
    y : ndarray of shape (n_images,), optional
        Classes. Both splits get the same proportions of them, as far as patients allow.
    groups : ndarray of shape (n_images,), optional
        Patients. All rows of a patient are in the same split.
    seed : int

    Returns
    -------
    (train, validation) : ndarrays of int, sorted
        Rows of X.

    Raises
    ------
    ValueError
        If there are too few rows or patients, or a class is missing from a split.

    Examples
    --------
    >>> train, validation = inner_split(np.arange(8), 0.25)
    >>> len(train), len(validation)
    (6, 2)
    """
    if isinstance(fraction, Real) and fraction == 0:
        return rows, rows[:0]
    classes = None if y is None else y[rows]
    patients = None if groups is None else groups[rows]
    parameter = f"validation_fraction={fraction}"
    try:
        splitter = _splitter(fraction, classes, patients, seed % 2**32)
        with isolated_rng(seed):
            splits = list(splitter.split(rows, classes, patients))
    except ValueError as error:
        raise ValueError(f"{parameter} cannot be split off: {error}") from error
    if not splits:
        raise ValueError(f"{parameter} makes no split.")
    if not isinstance(fraction, Real):
        splits = splits[:1]
        _check_apart(parameter, splits[0], patients)
    if classes is None:
        train, held = splits[0]
    else:
        train, held = _with_all_classes(parameter, splits, classes)
    return np.sort(rows[train]), np.sort(rows[held])


def _splitter(
    fraction: Any, y: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> Any:
    """Return a splitter, each of whose splits holds out the fraction."""
    if isinstance(fraction, str):  # which has a method split of its own
        raise ValueError("it is text, and neither a number nor a splitter.")
    if not isinstance(fraction, Real):
        return fraction
    if y is not None and groups is not None:
        n_splits = min(range(2, 1001), key=lambda k: abs(1 / k - float(fraction)))
        return StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    kind = ShuffleSplit if groups is None else GroupShuffleSplit
    kind = kind if y is None else StratifiedShuffleSplit
    return kind(1, test_size=fraction, random_state=seed)


def _check_apart(parameter: str, split: tuple[Rows, Rows], groups: Rows | None) -> None:
    """Refuse a user's splitter that shares rows or patients between the splits."""
    train, held = split
    if len(np.intersect1d(train, held)):
        raise ValueError(f"{parameter} puts rows into both splits.")
    if groups is not None and len(np.intersect1d(groups[train], groups[held])):
        raise ValueError(
            f"{parameter} puts patients (groups) into both splits: use a splitter that "
            "keeps groups together, such as GroupShuffleSplit."
        )


def _with_all_classes(
    parameter: str, splits: list[tuple[Rows, Rows]], y: np.ndarray
) -> tuple[Rows, Rows]:
    """Return the first split that has each class on both sides."""
    problems = []
    for train, held in splits:
        for rows, name in ((held, "validation"), (train, "training")):
            missing = np.setdiff1d(y, y[rows]).tolist()
            if missing:
                problems.append((name, missing[0]))
                break
        else:
            return train, held
    name, label = problems[0]
    raise ValueError(
        f"{parameter} leaves no image of class {label!r} in the {name} split; "
        f"{np.sum(y == label)} of the {len(y)} labelled images belong to it. Use "
        "another fraction or random_state, or 0."
    )
