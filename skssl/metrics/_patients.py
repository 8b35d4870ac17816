"""Patient-level scores from those of slices."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array, column_or_1d

from skssl._labels import check_groups


class PatientScores(NamedTuple):
    """Scores of patients, sorted by patient.

    Attributes
    ----------
    groups : ndarray of shape (n_patients,)
    y_score : ndarray of shape (n_patients,) or (n_patients, n_classes), float64
    y_true : ndarray of shape (n_patients,) or None
    n_rows : ndarray of shape (n_patients,), int
        Number of rows of each patient.
    """

    groups: np.ndarray
    y_score: np.ndarray
    y_true: np.ndarray | None
    n_rows: np.ndarray


def aggregate_by_group(
    y_score: Any,
    groups: Any,
    *,
    y_true: Any = None,
    how: str = "mean",
    pos_label: Any = 1,
) -> PatientScores:
    """Return one score per patient, aggregated over the patient's slices.

    Parameters
    ----------
    y_score : array-like of shape (n,) or (n, n_classes)
        Scores of the slices; two-dimensional only with ``how="mean"``.
    groups : array-like of shape (n,)
        The patient of each slice.
    y_true : array-like of shape (n,), optional
        The class of each slice. A patient with slices of several classes is assigned
        ``pos_label``, which must be one of them.
    how : {"mean", "max", "noisy_or"}, default="mean"
        "max" takes the slice with the highest score. "noisy_or" is the probability that
        at least one of independent slices is positive, 1 - Π (1 - p); it grows with the
        number of slices, and needs scores in [0, 1].
    pos_label : label, default=1
        The positive class.

    Returns
    -------
    PatientScores

    Raises
    ------
    ValueError
        If lengths differ, a patient has several classes without ``pos_label``, a score
        is not finite, or ``how`` does not fit the scores.

    Examples
    --------
    >>> patients = aggregate_by_group([0.2, 0.4, 0.9], ["a", "a", "b"], how="noisy_or")
    >>> patients.groups.tolist(), patients.y_score.round(2).tolist()
    (['a', 'b'], [0.52, 0.9])
    """
    scores = check_array(
        y_score, ensure_2d=False, dtype=np.float64, input_name="y_score"
    )
    if groups is None:
        raise ValueError("groups is None: give the patient of each slice.")
    patients: Any = check_groups(groups, len(scores))
    names, unit = np.unique(patients, return_inverse=True)
    n_rows = np.bincount(unit)
    if scores.ndim == 2 and how != "mean":
        raise ValueError(f"how={how!r} takes one score per slice: give y_score[:, k].")
    if how == "mean":
        sums = np.zeros((len(names), *scores.shape[1:]))
        np.add.at(sums, unit, scores)
        patient_score = sums / n_rows.reshape(-1, *[1] * (scores.ndim - 1))
    elif how == "max":
        patient_score = np.full(len(names), -np.inf)
        np.maximum.at(patient_score, unit, scores)
    elif how == "noisy_or":
        if scores.min() < 0 or scores.max() > 1:
            raise ValueError(
                "how='noisy_or' needs y_score in [0, 1], got values from "
                f"{scores.min()} to {scores.max()}."
            )
        all_negative = np.ones(len(names))  # probability that no slice is positive
        np.multiply.at(all_negative, unit, 1 - scores)
        patient_score = 1 - all_negative
    else:
        raise ValueError(f"how must be 'mean', 'max' or 'noisy_or', got {how!r}.")
    labels = None
    if y_true is not None:
        labels = _patient_labels(column_or_1d(y_true), names, unit, pos_label)
    return PatientScores(names, patient_score, labels, n_rows)


def _patient_labels(
    y_true: np.ndarray, names: np.ndarray, unit: np.ndarray, pos_label: Any
) -> np.ndarray:
    """Return the class of each patient, shape (n_patients,)."""
    if len(y_true) != len(unit):
        raise ValueError(f"y_true has {len(y_true)} rows, but y_score has {len(unit)}.")
    classes, code = np.unique(y_true, return_inverse=True)
    has_class = np.zeros((len(names), len(classes)), dtype=bool)
    has_class[unit, code] = True
    several = has_class.sum(axis=1) > 1
    has_positive = has_class[:, classes == pos_label].any(axis=1)
    if np.any(several & ~has_positive):
        first = np.flatnonzero(several & ~has_positive)[0]
        raise ValueError(
            f"patient {names.tolist()[first]!r} has slices of classes "
            f"{classes[has_class[first]].tolist()}, none of which is "
            f"pos_label={pos_label!r}: each patient needs one class."
        )
    labels: np.ndarray = classes[has_class.argmax(axis=1)]
    if several.any():
        labels[several] = classes[classes == pos_label][0]
    return labels
