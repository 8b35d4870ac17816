"""Any metric with its interval, by drawing patients again."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_consistent_length

from skssl._random import RandomState, spawn_seeds
from skssl.metrics._inputs import check_level, group_codes, undefined
from skssl.metrics._intervals import Comparison, Interval

Metric = Callable[[np.ndarray, np.ndarray], float]


def bootstrap_interval(
    y_true: Any,
    y_score: Any,
    *,
    metric: Metric = roc_auc_score,
    groups: Any = None,
    confidence_level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = None,
) -> Interval:
    """Return a metric with its percentile bootstrap interval, by patients if given.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,) or (n, n_classes)
        What ``metric`` takes as its second argument.
    metric : callable, default=roc_auc_score
        Called as ``metric(y_true, y_score)``.
    groups : array-like of shape (n,), optional
        The patient of each row. Whole patients are then drawn, since slices of one
        patient are no independent observations: without it, intervals come out too
        narrow.
    confidence_level : float, default=0.95
        In (0, 1).
    n_resamples : int, default=2000
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Interval
        Its bounds are NaN, with an ``UndefinedMetricWarning``, if all resamples are
        equal: a metric that is 1 everywhere is not certain to be 1.

    Raises
    ------
    ValueError
        If the lengths differ, or if a number is out of range.

    Notes
    -----
    Resamples are left out on which the metric is NaN or gives an
    ``UndefinedMetricWarning``, as the area does with one class only; for
    two-dimensional scores all that miss a class.

    The interval is that of one fitted model on new patients. Scores that come from a
    cross-validation are of several models, trained on the very rows that are drawn:
    there it is too narrow for the procedure as a whole.

    References
    ----------
    .. [1] B. Efron, R. Tibshirani. "An Introduction to the Bootstrap", 1993, chapters
       8 and 13. :doi:`10.1201/9780429246593`

    Examples
    --------
    >>> y = [0, 0, 1, 1, 0, 1, 0, 1]
    >>> scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.7]
    >>> bootstrap_interval(y, scores, random_state=0).estimate
    0.875
    """
    y_true, y_score = np.asarray(y_true), np.asarray(y_score)
    check_consistent_length(y_true, y_score, groups)
    check_level(confidence_level)
    draws = Resamples(y_true, groups, n_resamples, random_state)
    estimate = float(metric(y_true, y_score))
    # Scores of several classes need all of them in a resample.
    n_needed = draws.n_classes if y_score.ndim == 2 else 1
    with undefined_is_an_error():
        values = [
            or_nan(metric, y_true[rows], y_score[rows])
            for rows in draws.having(n_needed)
        ]
    low, high = percentiles(values, confidence_level)
    if low == high:
        low = high = undefined("all resamples are equal: there is no interval")
    return Interval(estimate, low, high, confidence_level, draws.name)


def paired_bootstrap(
    y_true: Any,
    score_a: Any,
    score_b: Any,
    *,
    metric: Metric = roc_auc_score,
    groups: Any = None,
    confidence_level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = None,
) -> Comparison:
    """Compare two models by any metric, on the same rows drawn again.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    score_a, score_b : array-like of shape (n,) or (n, n_classes)
        Of the two models: what ``metric`` takes as its second argument.
    metric, groups, confidence_level, n_resamples, random_state
        As in `bootstrap_interval`.

    Returns
    -------
    Comparison
        The metric of a less that of b. The p-value is twice the share of resamples on
        the far side of 0, these counted as one more, so at least 2 / (n_resamples + 1).
        All is NaN, with an ``UndefinedMetricWarning``, if the metric is not defined.

    Raises
    ------
    ValueError
        As `bootstrap_interval`.

    Notes
    -----
    The patients of a resample are the same for both models, so that what makes a
    resample easy does not widen the interval. For areas under ROC curves `delong_test`
    needs no resampling.

    Examples
    --------
    >>> y = [0, 0, 1, 1, 0, 1, 0, 1]
    >>> a = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.7]
    >>> b = [0.3, 0.4, 0.25, 0.5, 0.2, 0.3, 0.6, 0.7]
    >>> paired_bootstrap(y, a, b, random_state=0).difference.estimate
    0.28125
    """
    y_true = np.asarray(y_true)
    a, b = np.asarray(score_a), np.asarray(score_b)
    check_consistent_length(y_true, a, b, groups)
    check_level(confidence_level)
    draws = Resamples(y_true, groups, n_resamples, random_state)
    estimate = float(metric(y_true, a) - metric(y_true, b))
    n_needed = draws.n_classes if max(a.ndim, b.ndim) == 2 else 1
    with undefined_is_an_error():
        values = np.array(
            [
                or_nan(metric, y_true[rows], a[rows])
                - or_nan(metric, y_true[rows], b[rows])
                for rows in draws.having(n_needed)
            ]
        )
    values = values[~np.isnan(values)]
    if np.isnan(estimate) or len(values) == 0:
        nan = undefined("the metric is not defined: there is no test")
        return Comparison(Interval(nan, nan, nan, confidence_level, draws.name), nan)
    low, high = percentiles(values, confidence_level)
    beyond = min(np.sum(values <= 0), np.sum(values >= 0))
    pvalue = min(1.0, 2 * (beyond + 1) / (len(values) + 1))
    interval = Interval(estimate, low, high, confidence_level, draws.name)
    return Comparison(interval, float(pvalue))


class Resamples:
    """Draw patients, or rows, with replacement, as many as there are.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
    groups : array-like of shape (n,), optional
    n_resamples : int
    random_state : int, RandomState, Generator or None
    """

    def __init__(
        self,
        y_true: np.ndarray,
        groups: Any,
        n_resamples: int,
        random_state: RandomState,
    ):
        if n_resamples < 1:
            raise ValueError(f"n_resamples must be at least 1, got {n_resamples}.")
        self.n_resamples = n_resamples
        self.name = "bootstrap" if groups is None else "bootstrap by patients"
        _, self._class = np.unique(y_true, return_inverse=True)
        self.n_classes = len(np.unique(self._class))
        unit = group_codes(groups, len(y_true))
        by_unit = np.argsort(unit, kind="stable")
        self._rows_of = np.split(by_unit, np.cumsum(np.bincount(unit))[:-1])
        self._rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])

    def having(self, n_classes: int) -> Iterator[np.ndarray]:
        """Yield the rows of each resample that has at least so many classes."""
        for _ in range(self.n_resamples):
            drawn = self._rng.integers(len(self._rows_of), size=len(self._rows_of))
            rows = np.concatenate([self._rows_of[i] for i in drawn])
            if np.count_nonzero(np.bincount(self._class[rows])) >= n_classes:
                yield rows


@contextmanager
def undefined_is_an_error() -> Iterator[None]:
    """Raise ``UndefinedMetricWarning`` inside the block, for `or_nan` to catch."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        yield


def or_nan(metric: Metric, y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Return the metric, or NaN where it is not defined."""
    try:
        return metric(y_true, y_score)
    except UndefinedMetricWarning:
        return float("nan")


def percentiles(values: Any, confidence_level: float) -> tuple[float, float]:
    """Return the bounds between which the values lie, but for equal tails."""
    if len(values) == 0 or np.isnan(values).all():
        return float("nan"), float("nan")
    tail = (1 - confidence_level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
