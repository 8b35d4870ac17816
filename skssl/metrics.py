"""Figures with the intervals that a report needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_consistent_length

from skssl._random import RandomState, spawn_seeds

__all__ = ["Interval", "bootstrap_interval"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, low, high : float
        In the units of the metric.
    confidence_level : float
        In (0, 1).

    Examples
    --------
    >>> print(Interval(0.8, 0.72, 0.87))
    0.800 [0.720, 0.870]
    """

    estimate: float
    low: float
    high: float
    confidence_level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(
    y_true: Any,
    y_score: Any,
    *,
    metric: Callable[[np.ndarray, np.ndarray], float] = roc_auc_score,
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

    Raises
    ------
    ValueError
        If the lengths differ, if ``y_true`` holds one class only, or if a number is
        out of range.

    Notes
    -----
    Resamples that miss a class are left out (for two-dimensional scores), or hold one
    class only (for others).

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
    if n_resamples < 1 or not 0 < confidence_level < 1:
        raise ValueError(
            "n_resamples must be at least 1 and confidence_level in (0, 1), got "
            f"{n_resamples} and {confidence_level}."
        )
    if len(np.unique(y_true)) < 2:
        raise ValueError("y_true holds one class only: nothing can be told apart.")
    estimate = float(metric(y_true, y_score))
    units = np.arange(len(y_true)) if groups is None else np.asarray(groups)
    _, unit = np.unique(units, return_inverse=True)
    rows_of = np.split(
        np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1]
    )
    # Scores of several classes need all of them in a resample.
    n_classes = len(np.unique(y_true)) if y_score.ndim == 2 else 2
    rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
    values = []
    for _ in range(n_resamples):
        drawn = rng.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[i] for i in drawn])
        if len(np.unique(y_true[rows])) >= n_classes:
            values.append(metric(y_true[rows], y_score[rows]))
    tail = (1 - confidence_level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), confidence_level)
