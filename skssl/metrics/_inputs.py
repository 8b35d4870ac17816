"""What all metrics read: labels against a class, scores, patients."""

from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skssl._labels import check_groups
from skssl._warn import warn


def is_class(pos_label: Any, *labels: Any) -> list[np.ndarray]:
    """Return where each array of labels is ``pos_label``, the others being the rest.

    Raises
    ------
    ValueError
        If the arrays differ in length, or if there are classes, but not this one.
    """
    arrays = [column_or_1d(array) for array in labels]
    check_consistent_length(*arrays)
    check_alike(*arrays)
    present = np.unique(np.concatenate([np.unique(array) for array in arrays]))
    # Text and numbers compare to one False, not to one for each row.
    found = [
        np.broadcast_to(array == pos_label, array.shape).copy() for array in arrays
    ]
    if len(present) > 1 and not any(np.any(hits) for hits in found):
        raise ValueError(
            f"pos_label={pos_label!r} is not among the labels {present.tolist()}: name "
            "the class that is to be found."
        )
    return found


def check_alike(*arrays: np.ndarray) -> None:
    """Raise ValueError for missing labels, and for text compared with numbers."""
    of_text = set()
    for array in arrays:
        values = array.tolist()
        if any(value is None or value != value for value in values):  # noqa: PLR0124
            raise ValueError("labels hold missing values (None or NaN).")
        of_text |= {isinstance(value, str) for value in values}
    if len(of_text) > 1:
        raise ValueError("labels hold text and numbers, which are never equal.")


def check_columns(
    y_true: np.ndarray, y_score: np.ndarray, labels: Any, name: str
) -> np.ndarray:
    """Return the classes of the columns of scores, by default those of ``y_true``.

    Raises
    ------
    ValueError
        If there is not one column a class, or a class without a column.
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
            f"{classes.tolist()}: give the classes of the columns, such as classes_."
        )
    return classes


def check_scores(y_score: Any, n: int, name: str = "y_score") -> np.ndarray:
    """Return scores as float64 of shape (n,)."""
    scores = check_array(
        column_or_1d(y_score), ensure_2d=False, dtype=np.float64, input_name=name
    )
    if len(scores) != n:
        raise ValueError(f"{name} has {len(scores)} values, but y_true has {n}.")
    return scores


def group_codes(groups: Any, n: int) -> np.ndarray:
    """Return a number from 0 for the patient of each row; each its own if not told."""
    if groups is None:
        return np.arange(n)
    patients: Any = check_groups(groups, n)
    return np.unique(patients, return_inverse=True)[1]


def check_level(confidence_level: float) -> None:
    """Raise ValueError if a confidence level is not in (0, 1)."""
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must be in (0, 1), got {confidence_level}.")


def undefined(message: str) -> float:
    """Warn that a figure is not defined, and return NaN."""
    warn(UndefinedMetricWarning(message))
    return np.nan
