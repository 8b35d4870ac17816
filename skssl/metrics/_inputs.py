"""Checks of the inputs that all metrics share: labels, scores, patients."""

from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skssl._labels import check_groups, refuse_missing, refuse_mixed_types
from skssl._warn import warn


def is_positive(pos_label: Any, **labels: Any) -> list[np.ndarray]:
    """Return, for each array of labels, which rows are ``pos_label``.

    Parameters
    ----------
    pos_label : label
    **labels : array-like of shape (n,)
        By parameter name, such as ``y_true`` and ``y_pred``.

    Returns
    -------
    list of ndarray of shape (n,), bool

    Raises
    ------
    ValueError
        If the arrays differ in length, values are missing or of mixed types, or there
        are several classes but not this one.
    """
    arrays = {name: column_or_1d(values) for name, values in labels.items()}
    check_consistent_length(*arrays.values())
    check_same_type(**arrays)
    present = np.unique(np.concatenate([np.unique(a) for a in arrays.values()]))
    # Comparing text with numbers gives a single False, not one per row.
    matches = [
        np.broadcast_to(array == pos_label, array.shape).copy()
        for array in arrays.values()
    ]
    if len(present) > 1 and not any(np.any(rows) for rows in matches):
        raise ValueError(
            f"pos_label={pos_label!r} is not among the labels {present.tolist()}: set "
            "pos_label to the positive class."
        )
    return matches


def check_same_type(**labels: np.ndarray) -> None:
    """Raise ValueError for missing labels, and for text compared with numbers.

    Parameters
    ----------
    **labels : ndarray of shape (n,)
        By parameter name.
    """
    for name, array in labels.items():
        refuse_missing(name, array, "every row needs a label.")
    refuse_mixed_types(
        " with ".join(labels),
        (value for array in labels.values() for value in array.tolist()),
        "convert all labels to one type.",
    )


def check_columns(
    y_true: np.ndarray, y_score: np.ndarray, labels: Any, name: str
) -> np.ndarray:
    """Return the classes of the score columns, by default those of ``y_true``.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
    y_score : ndarray of shape (n, n_classes)
    labels : array-like of shape (n_classes,) or None
    name : str
        Parameter name of ``y_score``, for messages.

    Raises
    ------
    ValueError
        If the number of columns differs from the number of classes, or if a class of
        ``y_true`` has no column.
    """
    classes = np.unique(y_true) if labels is None else np.asarray(labels)
    if y_score.shape != (len(y_true), len(classes)):
        raise ValueError(
            f"{name} has shape {y_score.shape}, but y_true has {len(y_true)} rows and "
            f"there are {len(classes)} classes: give labels, one for each column."
        )
    unknown = set(y_true.tolist()) - set(classes.tolist())
    if unknown:
        raise ValueError(
            f"y_true holds {sorted(unknown, key=str)}, not among labels "
            f"{classes.tolist()}: give the class of each column, such as classes_."
        )
    return classes


def check_scores(y_score: Any, n: int, name: str = "y_score") -> np.ndarray:
    """Return scores as float64 of shape (n,); raise ValueError if they are not."""
    scores = check_array(
        column_or_1d(y_score), ensure_2d=False, dtype=np.float64, input_name=name
    )
    if len(scores) != n:
        raise ValueError(f"{name} has {len(scores)} values, but y_true has {n}.")
    return scores


def group_codes(groups: Any, n: int) -> np.ndarray:
    """Return the patient of each row as an int from 0; without groups, the row."""
    if groups is None:
        return np.arange(n)
    patients: Any = check_groups(groups, n)
    return np.unique(patients, return_inverse=True)[1]


def check_level(confidence_level: float) -> None:
    """Raise ValueError if a confidence level is not in (0, 1)."""
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must be in (0, 1), got {confidence_level}.")


def check_specificity(specificity: float) -> None:
    """Raise ValueError if a specificity is not in [0, 1]."""
    if not 0 <= specificity <= 1:
        raise ValueError(f"specificity must be in [0, 1], got {specificity}.")


def warn_undefined(message: str) -> float:
    """Give an ``UndefinedMetricWarning`` and return NaN."""
    warn(UndefinedMetricWarning(message))
    return float("nan")
