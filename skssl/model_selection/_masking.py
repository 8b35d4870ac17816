"""Take labels away, as if fewer had been made."""

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
    """Return y with a part of the labels kept and -1 for the rest.

    With the same ``random_state``, the labels of a smaller fraction are among those of
    a larger one.

    Parameters
    ----------
    y : array-like of shape (n,)
        Classes, and -1 where there is no label already.
    fraction : float
        Share of the labels to keep, in [0, 1]: of the patients, if ``groups`` is given.
    groups : array-like of shape (n,), optional
        The patient of each row, whose labels are kept or taken together.
    stratify : bool, default=True
        Keep the share of each class, and one row or patient of it at least, unless
        ``fraction`` is 0. A patient with rows of several classes counts for the one
        that the fewest rows of the set have.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of shape (n,)
        Of the dtype of y; int64, if that has no -1; of objects for text.

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
        raise ValueError("y is None: there are no labels to take away.")
    labels: Any = check_labels(y, len(y))
    rows, classes = labels_of(labels)
    patients = check_groups(groups, len(labels))
    unit = rows if patients is None else patients[rows]
    _, unit = np.unique(unit, return_inverse=True)
    n_units = unit.max(initial=-1) + 1
    stratum = np.zeros(n_units, dtype=int)
    if stratify and len(rows):
        names, code = np.unique(classes, return_inverse=True)
        counts = np.zeros((n_units, len(names)), dtype=int)
        np.add.at(counts, (unit, code), 1)
        # Of a patient's classes the rarest, so that none gets lost.
        rarest = np.where(counts > 0, counts.sum(axis=0), len(rows) + 1)
        stratum = rarest.argmin(axis=1)
    rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
    place = rng.permutation(n_units)  # drawn alike for all fractions
    kept = np.zeros(n_units, dtype=bool)
    for of in np.unique(stratum):
        members = np.flatnonzero(stratum == of)
        n_kept = max(1, round(fraction * len(members))) if fraction else 0
        kept[members[np.argsort(place[members])[:n_kept]]] = True
    kind = labels.dtype.kind
    out = labels.astype(
        object if kind in "US" else np.int64 if kind in "ub" else labels.dtype
    )
    out[rows[~kept[unit]]] = -1
    return out
