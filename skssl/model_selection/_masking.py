"""Mask labels, to simulate a set with fewer of them."""

from typing import Any

import numpy as np

from skssl._labels import check_groups, check_labels, labels_of
from skssl._random import RandomState, spawn_seeds


def mask_labels(
    y: Any,
    fraction: float,
    *,
    groups: Any = None,
    stratify: bool = True,
    random_state: RandomState = None,
) -> np.ndarray:
    """Return y with a fraction of its labels; the others become -1.

    With the same ``random_state``, the labels kept for a smaller fraction are a subset
    of those kept for a larger one.

    Parameters
    ----------
    y : array-like of shape (n,)
        Classes, and -1 for rows that are already unlabelled.
    fraction : float
        Fraction of the labels to keep, in [0, 1]; with ``groups``, the fraction of
        patients with a label who keep their labels.
    groups : array-like of shape (n,), optional
        The patient of each row. All labels of a patient are kept or masked together.
    stratify : bool, default=True
        Keep the class proportions, and at least one row or patient of each class,
        unless ``fraction`` is 0. A patient with rows of several classes counts towards
        the class that is rarest in the whole set.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of shape (n,)
        With the dtype of y; int64 for unsigned and boolean dtypes, object for strings.

    Raises
    ------
    ValueError
        If ``fraction`` is not in [0, 1], or lengths differ.

    Examples
    --------
    >>> from skssl.model_selection import mask_labels
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> mask_labels(y, 0.5, random_state=0).tolist()
    [-1, 0, 0, -1, -1, 1, -1, 1]
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction}.")
    if y is None:
        raise ValueError("y is None: there are no labels to mask.")
    labels: Any = check_labels(y, len(y))
    rows, classes = labels_of(labels)
    patients = check_groups(groups, len(labels))
    units = rows if patients is None else patients[rows]
    _, unit = np.unique(units, return_inverse=True)
    n_units = unit.max(initial=-1) + 1
    stratum = np.zeros(n_units, dtype=int)
    if stratify and len(rows):
        stratum = _rarest_class(unit, classes)
    rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
    rank = rng.permutation(n_units)  # does not depend on fraction
    kept = np.zeros(n_units, dtype=bool)
    for value in np.unique(stratum):
        members = np.flatnonzero(stratum == value)
        n_kept = max(1, round(fraction * len(members))) if fraction else 0
        kept[members[np.argsort(rank[members])[:n_kept]]] = True
    kind = labels.dtype.kind
    masked = labels.astype(
        object if kind in "US" else np.int64 if kind in "ub" else labels.dtype
    )
    masked[rows[~kept[unit]]] = -1
    return masked


def _rarest_class(unit: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the class code by which each unit is stratified, shape (n_units,).

    Among the classes of a unit it is the rarest in the whole set, so that rare classes
    keep their labels.
    """
    names, code = np.unique(classes, return_inverse=True)
    counts = np.zeros((unit.max() + 1, len(names)), dtype=int)
    np.add.at(counts, (unit, code), 1)
    rarest = np.where(counts > 0, counts.sum(axis=0), len(classes) + 1)
    return rarest.argmin(axis=1)
