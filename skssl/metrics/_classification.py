"""Sensitivity, specificity and metrics derived from them."""

from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skssl._sklearn import check_sample_weight
from skssl._warn import warn
from skssl.metrics._inputs import (
    check_scores,
    check_specificity,
    is_positive,
    warn_undefined,
)


def sensitivity_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the sensitivity: the fraction of positive rows predicted positive.

    Also called recall or true positive rate.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        True and predicted classes; there may be more than two.
    pos_label : label, default=1
        The positive class; all other classes are negative.
    sample_weight : array-like of shape (n,), optional
        Not negative.
    zero_division : float or "warn", default="warn"
        Value to return if no row is positive. "warn" returns 0 and gives an
        ``UndefinedMetricWarning``, as in scikit-learn.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        If lengths differ, a label is missing, or there are several classes and
        ``pos_label`` is not one of them.

    Examples
    --------
    >>> y, y_pred = ["covid", "covid", "other"], ["covid", "other", "other"]
    >>> sensitivity_score(y, y_pred, pos_label="covid")
    0.5
    """
    positive, predicted = is_positive(pos_label, y_true=y_true, y_pred=y_pred)
    return _fraction_correct(
        positive, predicted, "sensitivity", sample_weight, zero_division
    )


def specificity_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the specificity: the fraction of negative rows predicted negative.

    Also called true negative rate. Parameters, returned value and errors are those of
    `sensitivity_score`; ``zero_division`` applies if no row is negative.

    Examples
    --------
    >>> specificity_score([1, 0, 0, 0], [1, 1, 0, 0]).__round__(3)
    0.667
    """
    positive, predicted = is_positive(pos_label, y_true=y_true, y_pred=y_pred)
    return _fraction_correct(
        ~positive, ~predicted, "specificity", sample_weight, zero_division
    )


def harmonic_mean_score(
    y_true: Any,
    y_pred: Any,
    *,
    pos_label: Any = 1,
    sample_weight: Any = None,
    zero_division: float | str = "warn",
) -> float:
    """Return the harmonic mean (HM) of sensitivity and specificity.

    2 se sp / (se + sp), in [0, 1]: low if either of the two is low, 0 if both are 0.
    Parameters and errors are those of `sensitivity_score`.

    References
    ----------
    .. [1] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", 2023.
       :doi:`10.1007/s11548-022-02813-x`

    Examples
    --------
    >>> harmonic_mean_score([1, 1, 0, 0], [1, 0, 0, 0]).__round__(3)
    0.667
    """
    options = {
        "pos_label": pos_label,
        "sample_weight": sample_weight,
        "zero_division": zero_division,
    }
    se = sensitivity_score(y_true, y_pred, **options)
    sp = specificity_score(y_true, y_pred, **options)
    return 2 * se * sp / (se + sp) if se + sp else 0.0


def sensitivity_at_specificity(
    y_true: Any,
    y_score: Any,
    *,
    specificity: float = 0.9,
    pos_label: Any = 1,
) -> float:
    """Return the highest sensitivity among thresholds that reach a specificity.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,)
        Higher for ``pos_label``.
    specificity : float, default=0.9
        Lowest specificity that a threshold must reach, in [0, 1]. There is no
        interpolation between thresholds.
    pos_label : label, default=1
        The positive class; all other classes are negative.

    Returns
    -------
    float in [0, 1]
        NaN, with an ``UndefinedMetricWarning``, if there is no positive or no negative
        row.

    Raises
    ------
    ValueError
        If lengths differ, a score is not finite, or a parameter is out of range.

    Examples
    --------
    >>> y, scores = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.5, 0.7, 0.9]
    >>> sensitivity_at_specificity(y, scores, specificity=1.0).__round__(3)
    0.667
    >>> sensitivity_at_specificity(y, scores, specificity=0.6)
    1.0
    """
    check_specificity(specificity)
    (positive,) = is_positive(pos_label, y_true=y_true)
    scores = check_scores(y_score, len(positive))
    if positive.all() or not positive.any():
        return warn_undefined(
            "y_true has one class only, so the sensitivity is undefined"
        )
    return best_sensitivity(positive, scores, specificity)


def best_sensitivity(
    positive: np.ndarray, scores: np.ndarray, specificity: float
) -> float:
    """Return the sensitivity at the lowest threshold that is specific enough.

    NaN if there is no positive or no negative row.
    """
    negative = np.sort(scores[~positive])
    if len(negative) == 0 or len(negative) == len(scores):
        return float("nan")
    # The small term absorbs rounding: 0.9 * 10 is 9.000…2, and 9 rows are enough.
    n_below = int(np.ceil(specificity * len(negative) - 1e-9))
    threshold = negative[n_below - 1] if n_below else -np.inf
    return float(np.mean(scores[positive] > threshold))


def _fraction_correct(
    truth: np.ndarray,
    predicted: np.ndarray,
    name: str,
    sample_weight: Any,
    zero_division: float | str,
) -> float:
    """Return the weighted fraction of the rows in ``truth`` that are ``predicted``."""
    weight = check_sample_weight(sample_weight, truth, ensure_non_negative=True)
    total = weight[truth].sum()
    if total > 0:
        return float(weight[truth & predicted].sum() / total)
    if zero_division == "warn":
        kind = "positive" if name == "sensitivity" else "negative"
        warn(
            UndefinedMetricWarning(
                f"{name} is not defined, since y_true has no {kind} rows: it is set to "
                "0. Use zero_division to control this."
            )
        )
        return 0.0
    return float(zero_division)
