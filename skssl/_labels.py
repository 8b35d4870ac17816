"""Checks of labels and groups: missing values, mixed types, -1 for unlabelled."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import is_classifier


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, NaT or ``pandas.NA``."""
    # Only NaN and NaT differ from themselves; pandas.NA has no truth value at all.
    return value is None or type(value).__name__ == "NAType" or value != value  # noqa: PLR0124


def refuse_missing(name: str, values: np.ndarray, fix: str) -> None:
    """Raise ValueError if a value is missing.

    Parameters
    ----------
    name : str
        The parameter that the message names.
    values : ndarray of shape (n,)
    fix : str
        What would be right; ends the message.
    """
    if values.dtype.kind not in "OfmMT":  # other dtypes cannot hold a missing value
        return
    for row, value in enumerate(values.tolist()):
        if is_missing(value):
            raise ValueError(
                f"{name} holds missing values (None, NaN or NA), the first in row "
                f"{row}: {fix}"
            )


def refuse_mixed_types(name: str, values: Iterable[Any], fix: str) -> None:
    """Raise ValueError if some values are strings and others are not.

    Parameters are those of `refuse_missing`.
    """
    if len({isinstance(value, str) for value in values}) > 1:
        raise ValueError(
            f"{name} holds text and numbers, so it is unclear whether 1 and '1' are "
            f"the same value: {fix}"
        )


def check_groups(groups: Any, n_images: int) -> np.ndarray | None:
    """Return groups as an array, or None.

    Parameters
    ----------
    groups : array-like of shape (n_images,) or None
        The patient of each image: numbers or strings.
    n_images : int

    Returns
    -------
    ndarray of shape (n_images,) or None
        Arrays of objects are converted to the dtype of their values.

    Raises
    ------
    ValueError
        If the shape is not (n_images,), a group is missing, or strings and numbers
        are mixed.

    Examples
    --------
    >>> check_groups([2.0, 1, 1], 3)
    array([2., 1., 1.])
    """
    if groups is None:
        return None
    groups = _as_array(groups)
    if groups.shape != (n_images,):
        raise ValueError(
            f"groups has shape {groups.shape}, but X has {n_images} images: expected "
            "one group (patient) per image."
        )
    refuse_missing("groups", groups, "every image needs a patient.")
    if groups.dtype.kind != "O":
        return groups
    refuse_mixed_types("groups", groups, "use one type for all patients.")
    typed = np.array(groups.tolist())
    return typed.astype(str) if typed.dtype.kind == "O" else typed


def check_labels(y: Any, n_images: int) -> np.ndarray | None:
    """Return labels as an array, or None.

    Parameters
    ----------
    y : array-like of shape (n_images,) or (n_images, 1), or None
    n_images : int

    Returns
    -------
    ndarray of shape (n_images,) or None

    Raises
    ------
    ValueError
        If the shape does not fit, or if an array of objects has a missing value. NaN
        in an array of floats is accepted: it marks unlabelled rows of a regression.
    """
    if y is None:
        return None
    y = _as_array(y)
    if len(y.shape) == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n_images,):
        raise ValueError(
            f"y has shape {y.shape}, but X has {n_images} images: expected one label "
            "per image, -1 for unlabelled images."
        )
    if y.dtype.kind == "O":
        refuse_missing(
            "y",
            y,
            "mark unlabelled images with -1, or with NaN in an array of floats for a "
            "regression.",
        )
    return y


def labels_of(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that have a class label, and their labels.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Classes, and -1 for unlabelled rows.

    Returns
    -------
    rows : ndarray of shape (n_with_label,), int
    labels : ndarray of shape (n_with_label,)

    Raises
    ------
    ValueError
        If a label is the string "-1", or if strings and numbers are mixed.

    Examples
    --------
    >>> rows, labels = labels_of(np.array([3, -1, 0]))
    >>> rows.tolist(), labels.tolist()
    ([0, 2], [3, 0])
    """
    rows = _rows_with_label(y)
    labels = y[rows].tolist()
    refuse_mixed_types(
        "y",
        labels,
        "use one type for all classes; only the number -1, for unlabelled images, may "
        "stand beside strings.",
    )
    return rows, np.array(labels)  # objects take the dtype of their values


def labelled_rows(y: np.ndarray, estimator: Any) -> np.ndarray:
    """Return the rows that have a label.

    For classifiers these are the rows that are not -1, as in
    ``sklearn.semi_supervised``; for other estimators those that are not NaN.

    Raises
    ------
    ValueError
        If a label is the string "-1".
    """
    if not is_classifier(estimator):
        is_nan = np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)
        return np.flatnonzero(~is_nan)
    return _rows_with_label(y)


def _rows_with_label(y: np.ndarray) -> np.ndarray:
    """Return the rows that are not -1; raise ValueError for the string "-1"."""
    labels = y.tolist()
    if "-1" in labels:
        raise ValueError(
            f"y holds the string '-1', first in row {labels.index('-1')}. Mark "
            "unlabelled images with the number -1; beside strings, use a list or an "
            "array of dtype object."
        )
    return np.flatnonzero([label != -1 for label in labels])


def _as_array(values: Any) -> np.ndarray:
    """Return values as an array; a list that mixes strings with others keeps its types.

    numpy would convert all of them to strings, NaN to "nan" included.
    """
    array = np.asarray(values)
    if array.dtype.kind in "US" and not hasattr(values, "dtype"):
        return np.asarray(values, dtype=object)
    return array
