"""The area under the ROC curve: its variance, interval and test, without resampling.

E. DeLong, D. DeLong, D. Clarke-Pearson, 1988; for several images per patient
N. Obuchowski, 1997.
"""

from typing import Any

import numpy as np
from scipy import stats

from skssl.metrics._inputs import (
    check_level,
    check_scores,
    group_codes,
    is_positive,
    warn_undefined,
)
from skssl.metrics._intervals import Comparison, Interval
from skssl.metrics._ranks import placements, rank_auc

_ONE_CLASS = "y_true has one class only, so the area under the ROC curve is undefined"


def auc_covariance(
    positive: np.ndarray, scores: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas of k scores and the covariance of their estimates.

    Parameters
    ----------
    positive : ndarray of shape (n,), bool
    scores : ndarray of shape (n, k)
    unit : ndarray of shape (n,), int
        The patient of each row, from 0.

    Returns
    -------
    areas : ndarray of shape (k,)
    covariance : ndarray of shape (k, k)
        NaN if a class has fewer than two patients.

    Notes
    -----
    A row's placement is the fraction of the other class on whose correct side its score
    lies; the mean over each class is the area. Deviations from the area are summed
    within patients; their squares and products, scaled by I / (I - 1) for I patients,
    give the covariance. With one row per patient this is DeLong's estimate.
    """
    areas = np.array([rank_auc(positive, column) for column in scores.T])  # (k,)
    n_rows = np.where(positive, positive.sum(), (~positive).sum())[:, None]
    deviations = (placements(positive, scores) - areas) / n_rows  # (n, k)
    n_units = unit.max() + 1
    sums = np.zeros((2, n_units, scores.shape[1]))
    np.add.at(sums, (positive.astype(int), unit), deviations)
    negative_sums, positive_sums = sums  # (n_units, k) each
    n_negative = len(np.unique(unit[~positive]))  # patients with a negative row
    n_positive = len(np.unique(unit[positive]))
    if min(n_negative, n_positive) < 2:
        return areas, np.full((len(areas), len(areas)), np.nan)
    cross = positive_sums.T @ negative_sums
    covariance = (
        _unbiased(n_positive) * positive_sums.T @ positive_sums
        + _unbiased(n_negative) * negative_sums.T @ negative_sums
        + _unbiased(n_units) * (cross + cross.T)
    )
    return areas, covariance


def _unbiased(n: int) -> float:
    return n / (n - 1)


def delong_interval(
    y_true: Any,
    y_score: Any,
    *,
    pos_label: Any = 1,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> Interval:
    """Return the area under the ROC curve with DeLong's confidence interval.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,)
        Higher for ``pos_label``.
    pos_label : label, default=1
        The positive class; all other classes are negative.
    groups : array-like of shape (n,), optional
        The patient of each row. The variance is then Obuchowski's, for clustered rows;
        a patient may have rows of both classes.
    confidence_level : float, default=0.95
        In (0, 1).

    Returns
    -------
    Interval
        All values are NaN, with an ``UndefinedMetricWarning``, if there is one class
        only. The bounds are NaN if a class has fewer than two patients, or if the
        classes do not overlap, where the variance is 0.

    Raises
    ------
    ValueError
        If lengths differ, a score is not finite, or a parameter is out of range.

    Notes
    -----
    The interval is symmetric on the logit scale, log(A / (1 - A)), and therefore stays
    within (0, 1). DeLong's own interval is symmetric in A; its coverage is lower near
    1.

    References
    ----------
    .. [1] E. DeLong, D. DeLong, D. Clarke-Pearson. "Comparing the Areas under Two or
       More Correlated Receiver Operating Characteristic Curves: A Nonparametric
       Approach", 1988. :doi:`10.2307/2531595`
    .. [2] N. Obuchowski. "Nonparametric Analysis of Clustered ROC Curve Data", 1997.
       :doi:`10.2307/2533958`
    .. [3] X. Sun, W. Xu. "Fast Implementation of DeLong's Algorithm for Comparing the
       Areas Under Correlated Receiver Operating Characteristic Curves", 2014.
       :doi:`10.1109/LSP.2014.2337313`

    Examples
    --------
    >>> y = [0, 0, 1, 1, 0, 1, 0, 1]
    >>> scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.7]
    >>> print(delong_interval(y, scores))
    0.875 [0.345, 0.989]
    """
    check_level(confidence_level)
    (positive,) = is_positive(pos_label, y_true=y_true)
    scores = check_scores(y_score, len(positive))[:, None]
    unit = group_codes(groups, len(positive))
    if positive.all() or not positive.any():
        nan = warn_undefined(_ONE_CLASS)
        return Interval(nan, nan, nan, confidence_level, "DeLong")
    areas, covariance = auc_covariance(positive, scores, unit)
    name = "DeLong" if groups is None else "Obuchowski"
    area, variance = float(areas[0]), float(covariance[0, 0])
    if not variance > 0 or area in (0, 1):
        nan = warn_undefined(
            "the variance of the area is 0 or undefined, so it has no interval"
        )
        return Interval(area, nan, nan, confidence_level, name)
    z = stats.norm.isf((1 - confidence_level) / 2)
    centre, half = np.log(area / (1 - area)), z * variance**0.5 / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    return Interval(area, float(low), float(high), confidence_level, name)


def delong_test(
    y_true: Any,
    score_a: Any,
    score_b: Any,
    *,
    pos_label: Any = 1,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> Comparison:
    """Test whether the areas under two ROC curves on the same rows differ.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    score_a, score_b : array-like of shape (n,)
        Scores of the two models, higher for ``pos_label``.
    pos_label, groups, confidence_level
        As in `delong_interval`.

    Returns
    -------
    Comparison
        The area of a minus that of b. ``statistic`` is standard normal under the null
        hypothesis of no difference. All values are NaN, with an
        ``UndefinedMetricWarning``, if there is one class only.

    Raises
    ------
    ValueError
        As `delong_interval`.

    Notes
    -----
    References are those of `delong_interval`. If both scores rank all rows identically,
    p is 1.

    Examples
    --------
    >>> y = [0, 0, 1, 1, 0, 1, 0, 1]
    >>> a = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.7]
    >>> b = [0.3, 0.4, 0.25, 0.5, 0.2, 0.3, 0.6, 0.7]
    >>> print(delong_test(y, a, b))
    0.281 [-0.047, 0.609], p = 0.093
    """
    check_level(confidence_level)
    (positive,) = is_positive(pos_label, y_true=y_true)
    n = len(positive)
    scores = np.stack(
        [check_scores(score_a, n, "score_a"), check_scores(score_b, n, "score_b")], 1
    )
    unit = group_codes(groups, n)
    name = "DeLong" if groups is None else "Obuchowski"
    if positive.all() or not positive.any():
        nan = warn_undefined(_ONE_CLASS)
        return Comparison(Interval(nan, nan, nan, confidence_level, name), nan)
    areas, covariance = auc_covariance(positive, scores, unit)
    difference = float(areas[0] - areas[1])
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ covariance @ contrast)
    error = np.nan if np.isnan(variance) else max(0.0, variance) ** 0.5
    z = stats.norm.isf((1 - confidence_level) / 2)
    low, high = difference - z * error, difference + z * error
    interval = Interval(difference, low, high, confidence_level, name)
    if error > 1e-12:
        statistic = difference / error
        return Comparison(interval, float(2 * stats.norm.sf(abs(statistic))), statistic)
    if error <= 1e-12 and abs(difference) < 1e-12:
        return Comparison(interval, 1.0, 0.0)
    nan = warn_undefined(
        "the variance of the difference is 0 or undefined, so there is no test"
    )
    return Comparison(Interval(difference, nan, nan, confidence_level, name), nan)
