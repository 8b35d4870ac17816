"""Confidence intervals of any metric, by a bootstrap of patients."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_consistent_length

from skssl._random import RandomState, spawn_seeds
from skssl.metrics._inputs import check_level, group_codes, warn_undefined
from skssl.metrics._intervals import Comparison, Interval
from skssl.metrics._ranks import rank_auc

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
    """Return a metric with its percentile bootstrap interval.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,) or (n, n_classes)
        The second argument of ``metric``.
    metric : callable, default=roc_auc_score
        Called as ``metric(y_true, y_score)``.
    groups : array-like of shape (n,), optional
        The patient of each row. If given, whole patients are resampled: slices of one
        patient are not independent, and resampling rows would give intervals that are
        too narrow.
    confidence_level : float, default=0.95
        In (0, 1).
    n_resamples : int, default=2000
        At least 1.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Interval
        The bounds are NaN, with an ``UndefinedMetricWarning``, if the metric has the
        same value in all resamples: a metric of 1 in every resample does not prove
        that its true value is 1.

    Raises
    ------
    ValueError
        If the lengths differ, or if a number is out of range.

    Notes
    -----
    Resamples are skipped if the metric is NaN or gives an ``UndefinedMetricWarning``,
    as the AUC does with one class only. For two-dimensional scores, resamples that lack
    a class are skipped, too.

    The interval describes one fitted model on new patients. Cross-validated scores come
    from several models, which were trained on rows that are also resampled here; for
    the procedure as a whole the interval is then too narrow.

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
    resamples = Resamples(y_true, groups, n_resamples, random_state)
    estimate = float(metric(y_true, y_score))
    # Scores of several classes need all classes in a resample.
    min_classes = resamples.n_classes if y_score.ndim == 2 else 1
    value_of = _metric_of_rows(metric, y_true, y_score)
    with undefined_as_error():
        values = [value_of(rows) for rows in resamples.draw(min_classes)]
    low, high = percentiles(values, confidence_level)
    if low == high:
        low = high = warn_undefined(
            "the metric has the same value in all resamples, so it has no interval"
        )
    return Interval(estimate, low, high, confidence_level, resamples.name)


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
    """Test whether a metric differs between two models, by a paired bootstrap.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    score_a, score_b : array-like of shape (n,) or (n, n_classes)
        Scores of the two models: the second argument of ``metric``.
    metric, groups, confidence_level, n_resamples, random_state
        As in `bootstrap_interval`.

    Returns
    -------
    Comparison
        The metric of a minus that of b. The p-value is twice the fraction of resamples
        on the far side of 0, with one resample added to numerator and denominator, so
        it is at least 2 / (n_resamples + 1). All values are NaN, with an
        ``UndefinedMetricWarning``, if the metric is undefined.

    Raises
    ------
    ValueError
        As `bootstrap_interval`.

    Notes
    -----
    Both models are scored on the same patients in each resample, so variation that the
    models share does not widen the interval. For areas under ROC curves, `delong_test`
    needs no resampling.

    References are those of `bootstrap_interval`.

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
    resamples = Resamples(y_true, groups, n_resamples, random_state)
    estimate = float(metric(y_true, a) - metric(y_true, b))
    min_classes = resamples.n_classes if max(a.ndim, b.ndim) == 2 else 1
    value_a, value_b = (_metric_of_rows(metric, y_true, scores) for scores in (a, b))
    with undefined_as_error():
        values = np.array(
            [value_a(rows) - value_b(rows) for rows in resamples.draw(min_classes)]
        )
    values = values[~np.isnan(values)]
    name = resamples.name
    if np.isnan(estimate) or len(values) == 0:
        nan = warn_undefined("the metric is undefined, so there is no test")
        return Comparison(Interval(nan, nan, nan, confidence_level, name), nan)
    low, high = percentiles(values, confidence_level)
    n_beyond = min(np.sum(values <= 0), np.sum(values >= 0))
    pvalue = min(1.0, 2 * (n_beyond + 1) / (len(values) + 1))
    interval = Interval(estimate, low, high, confidence_level, name)
    return Comparison(interval, float(pvalue))


class Resamples:
    """Bootstrap resamples of patients, or of rows without ``groups``.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
        Classes.
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
        self._unit_rows = np.split(by_unit, np.cumsum(np.bincount(unit))[:-1])
        self._rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])

    def draw(self, min_classes: int) -> Iterator[np.ndarray]:
        """Yield the rows of each resample that has at least ``min_classes`` classes."""
        n_units = len(self._unit_rows)
        for _ in range(self.n_resamples):
            drawn = self._rng.integers(n_units, size=n_units)
            rows = np.concatenate([self._unit_rows[i] for i in drawn])
            if np.count_nonzero(np.bincount(self._class[rows])) >= min_classes:
                yield rows


@contextmanager
def undefined_as_error() -> Iterator[None]:
    """Turn ``UndefinedMetricWarning`` into an error, for `metric_or_nan` to catch."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        yield


def metric_or_nan(metric: Metric, y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Return the metric, or NaN if it is undefined; inside `undefined_as_error`."""
    try:
        return metric(y_true, y_score)
    except UndefinedMetricWarning:
        return float("nan")


def _metric_of_rows(
    metric: Metric, y_true: np.ndarray, y_score: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return the metric as a function of rows, or NaN where it is undefined.

    The AUC of two classes is computed from ranks, ten times as fast as scikit-learn's,
    to which it is equal but for rounding.
    """
    classes = np.unique(y_true)
    if metric is roc_auc_score and y_score.ndim == 1 and len(classes) == 2:
        positive = y_true == classes[1]
        return lambda rows: rank_auc(positive[rows], y_score[rows])
    return lambda rows: metric_or_nan(metric, y_true[rows], y_score[rows])


def percentiles(values: Any, confidence_level: float) -> tuple[float, float]:
    """Return the quantiles that leave equal tails; NaN if no value is defined."""
    if len(values) == 0 or np.isnan(values).all():
        return float("nan"), float("nan")
    tail = (1 - confidence_level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
