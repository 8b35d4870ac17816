"""Labels and patients as users have them: with gaps, mixed types, and -1 for none."""

from typing import Any

import numpy as np
from sklearn.base import is_classifier


def check_groups(groups: Any, n_images: int) -> np.ndarray | None:
    """Return groups as an array of shape (n_images,), or None.

    Raises
    ------
    ValueError
        If there is not one group an image, if some are missing, or if text is mixed
        with numbers.
    """
    if groups is None:
        return None
    groups = _as_array(groups)
    if groups.shape != (n_images,):
        raise ValueError(
            f"groups has shape {groups.shape}, but X has {n_images} images: one group "
            "(patient) an image is needed."
        )
    if _has_missing(groups):
        raise ValueError("groups holds missing values: every image needs a patient.")
    if groups.dtype.kind != "O":
        return groups
    of_text = {isinstance(group, str) for group in groups}
    if len(of_text) > 1:
        raise ValueError(
            "groups holds text and numbers, so that 1 and '1' may be one patient or "
            "two: use one kind for all."
        )
    plain = np.array(groups.tolist())  # objects become what they are
    return plain.astype(str) if plain.dtype.kind == "O" else plain


def _as_array(values: Any) -> np.ndarray:
    """Return values as an array; in a list with text, other objects stay as they are.

    numpy would turn them into text, too: NaN into "nan".
    """
    array = np.asarray(values)
    if array.dtype.kind in "US" and not hasattr(values, "dtype"):
        return np.asarray(values, dtype=object)
    return array


def _has_missing(values: np.ndarray) -> bool:
    """Tell whether there is a None, NaN, NaT or pandas' NA among the values."""
    if values.dtype.kind not in "OfmM":
        return False
    # Only NaN and NaT differ from themselves; pandas' NA has no truth value at all.
    return any(
        value is None or type(value).__name__ == "NAType" or value != value  # noqa: PLR0124
        for value in values.tolist()
    )


def check_labels(y: Any, n_images: int) -> np.ndarray | None:
    """Return labels as an array of shape (n_images,), or None.

    Raises
    ------
    ValueError
        If there is not one label an image, or if one in an array of objects is
        missing. (NaN in an array of floats is for the probe to read.)
    """
    if y is None:
        return None
    y = _as_array(y)
    if len(y.shape) == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n_images,):
        raise ValueError(
            f"y has shape {y.shape}, but X has {n_images} images: one label an image "
            "is needed, -1 for those without."
        )
    if y.dtype.kind == "O" and _has_missing(y):
        raise ValueError(
            "y holds missing values (None, NaN or NA): the label of an image without "
            "one is -1, for a regression NaN in an array of floats."
        )
    return y


def labels_of(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the labels of a classification are, and the labels.

    Raises
    ------
    ValueError
        As `labelled_rows`; and if there is text beside numbers.

    Examples
    --------
    >>> rows, labels = labels_of(np.array([3, -1, 0]))
    >>> rows.tolist(), labels.tolist()
    ([0, 2], [3, 0])
    """
    rows = _rows_with_label(y)
    labels = y[rows].tolist()
    if len({isinstance(label, str) for label in labels}) > 1:
        raise ValueError(
            "y holds text and numbers, so that 1 and '1' may be one class or two: use "
            "one kind for all but -1, which marks an image without a label."
        )
    return rows, np.array(labels)  # objects become what they are


def labelled_rows(y: np.ndarray, estimator: Any) -> np.ndarray:
    """Return where y is a label.

    For classifiers that is everywhere but at -1, as in ``sklearn.semi_supervised``;
    for others everywhere but at NaN.

    Raises
    ------
    ValueError
        If a label is the string "-1".
    """
    if not is_classifier(estimator):
        is_missing = np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)
        return np.flatnonzero(~is_missing)
    return _rows_with_label(y)


def _rows_with_label(y: np.ndarray) -> np.ndarray:
    """Return where y is not -1; refuse the string "-1"."""
    labels = y.tolist()
    if "-1" in labels:
        raise ValueError(
            "y holds the string '-1'. For images without a label use the number -1, "
            "beside strings in a list or in an array of dtype object."
        )
    return np.flatnonzero([label != -1 for label in labels])
