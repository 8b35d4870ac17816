"""Hold patients of the training rows out, to choose a checkpoint."""

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

Rows = np.ndarray


def inner_split(
    rows: Rows,
    fraction: Any,
    *,
    y: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[Rows, Rows]:
    """Split rows into those to train on and those to choose by.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
        Rows of X.
    fraction : float or splitter
        Share to hold out, in [0, 0.5]; 0 holds nothing out. With both ``y`` and
        ``groups`` it is the nearest of 1/2, 1/3, 1/4 and so on, and the first such
        part with all classes. Of a splitter, the first split of these rows is taken.
    y : ndarray of shape (n_images,), optional
        Classes, of which both parts get equal shares, as far as patients allow.
    groups : ndarray of shape (n_images,), optional
        Patients, of whom all rows are in one part.
    seed : int

    Returns
    -------
    (train, validation) : ndarrays of int, sorted
        Rows of X.

    Raises
    ------
    ValueError
        If there are too few rows or patients, or a part lacks a class.

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
    said = f"validation_fraction={fraction}"
    try:
        splitter = _splitter(fraction, classes, patients, seed % 2**32)
        with isolated_rng(seed):
            splits = list(splitter.split(rows, classes, patients))
    except ValueError as error:
        raise ValueError(f"{said} cannot be split off: {error}") from error
    if not splits:
        raise ValueError(f"{said} makes no split.")
    if not isinstance(fraction, Real):
        splits = splits[:1]
        _check_apart(said, splits[0], patients)
    if classes is None:
        train, held = splits[0]
    else:
        train, held = _with_all_classes(said, splits, classes)
    return np.sort(rows[train]), np.sort(rows[held])


def _splitter(
    fraction: Any, y: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> Any:
    """Return a splitter whose splits each hold out the fraction."""
    if isinstance(fraction, str):  # which has a method split of its own
        raise ValueError("it is text, and neither a number nor a splitter.")
    if not isinstance(fraction, Real):
        return fraction
    if y is not None and groups is not None:
        share = float(fraction)
        n_splits = min(range(2, 1001), key=lambda k: abs(1 / k - share))
        return StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    kind = ShuffleSplit if groups is None else GroupShuffleSplit
    kind = kind if y is None else StratifiedShuffleSplit
    return kind(1, test_size=fraction, random_state=seed)


def _check_apart(said: str, split: tuple[Rows, Rows], groups: Rows | None) -> None:
    """Refuse a split of the user's whose parts have rows or patients in common."""
    train, held = split
    if len(np.intersect1d(train, held)):
        raise ValueError(f"{said} puts rows into both parts.")
    if groups is not None and len(np.intersect1d(groups[train], groups[held])):
        raise ValueError(
            f"{said} puts patients (groups) into both parts: take a splitter that "
            "keeps groups together, such as GroupShuffleSplit."
        )


def _with_all_classes(
    said: str, splits: list[tuple[Rows, Rows]], y: np.ndarray
) -> tuple[Rows, Rows]:
    """Return the first split with each class in both parts."""
    problems = []
    for train, held in splits:
        for part, name in ((held, "validation"), (train, "training")):
            missing = np.setdiff1d(y, y[part]).tolist()
            if missing:
                problems.append((name, missing[0]))
                break
        else:
            return train, held
    name, label = problems[0]
    raise ValueError(
        f"{said} leaves the {name} part without class {label!r}, of which "
        f"{np.sum(y == label)} of the {len(y)} labelled images are. Take another "
        "fraction or random_state, or 0."
    )
