"""Metrics of runs: means over seeds, intervals by patients, paired comparisons."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from benchmarks._auc import mean_auc
from skssl.metrics import Comparison, bootstrap_interval, paired_bootstrap

N_RESAMPLES = 1000


def binary_metrics(y: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the metrics of two classes; a score above 0 predicts class 1."""
    return {name: metric(y, scores[:, None]) for name, metric in METRICS.items()}


class Counts(NamedTuple):
    """Confusion counts, by column of scores."""

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    tn: np.ndarray

    @classmethod
    def from_scores(cls, y: np.ndarray, scores: np.ndarray) -> "Counts":
        """Count labels (n,) by the signs of scores (n, k)."""
        positive, predicted = (y == 1)[:, None], scores > 0
        pairs = (
            (positive, predicted),
            (positive, ~predicted),
            (~positive, predicted),
            (~positive, ~predicted),
        )
        return cls(*(np.sum(a & b, axis=0) for a, b in pairs))


def _accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.from_scores(y, scores)
    return _mean((n.tp + n.tn) / len(y))


def _balanced_accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    return (_sensitivity(y, scores) + _specificity(y, scores)) / 2


def _sensitivity(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.from_scores(y, scores)
    return _mean(n.tp / (n.tp + n.fn))


def _specificity(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.from_scores(y, scores)
    return _mean(n.tn / (n.tn + n.fp))


def _f1(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.from_scores(y, scores)
    return _mean(2 * n.tp / (2 * n.tp + n.fp + n.fn))


def _f1_negative(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.from_scores(y, scores)
    return _mean(2 * n.tn / (2 * n.tn + n.fn + n.fp))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


#: Metrics of labels (n,) and scores (n, k): means over the k runs.
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "sensitivity": _sensitivity,
    "specificity": _specificity,
    "f1": _f1,
    "f1_negative": _f1_negative,
    "auc": mean_auc,
}


class Mean(NamedTuple):
    """A mean over runs, with standard deviation and 95 % interval by patients."""

    value: float
    spread: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.3f}"
        bounds = "" if self.low is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{spread}{bounds}"


def summarize(runs: list[dict[str, Any]], test: dict[str, Any], metric: str) -> Mean:
    """Return the mean of a metric over the runs of a row.

    The standard deviation is over the runs, if there are several. Without scores, it is
    over the last epochs if all runs have it (``metric_sd``).

    The interval covers the choice of patients, for the mean of these networks. It does
    not cover the variation between seeds. Without scores, its bounds are the means of
    the bounds of the runs (``metric_low`` and ``metric_high``), if all runs have them.
    Such an interval is wider.
    """
    values = [run["figures"][metric] for run in runs]
    mean = Mean(float(np.mean(values)))
    if runs[1:]:
        mean = mean._replace(spread=float(np.std(values, ddof=1)))
    if metric in METRICS and all("scores" in run for run in runs):
        interval = _interval(_columns(runs), test, METRICS[metric])
        return mean._replace(**interval)
    bounds = {end: _mean_value(runs, f"{metric}_{end}") for end in ("low", "high")}
    spread = _mean_value(runs, f"{metric}_sd")
    return mean._replace(spread=mean.spread if spread is None else spread, **bounds)


def _mean_value(runs: list[dict[str, Any]], name: str) -> float | None:
    """Return the mean of a value that all runs have, or None."""
    values = [run["figures"].get(name) for run in runs]
    return None if None in values else float(np.mean(values))


def _interval(
    scores: np.ndarray, test: dict[str, Any], metric: Callable
) -> dict[str, float]:
    """Return the bounds, or nothing if all resamples give the same value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        interval = bootstrap_interval(
            np.asarray(test["y"]),
            scores,
            metric=metric,
            groups=test["groups"],
            n_resamples=N_RESAMPLES,
            random_state=0,
        )
    if interval.low < interval.high:
        return {"low": interval.low, "high": interval.high}
    return {}


def compare(
    better: list[dict[str, Any]],
    worse: list[dict[str, Any]],
    test: dict[str, Any],
    metric: str,
) -> tuple[Comparison, int] | None:
    """Compare the means of two rows over their common seeds, on the same patients.

    Returns
    -------
    comparison, n_seeds
        None if there is no common seed.
    """
    common = {run["seed"] for run in better} & {run["seed"] for run in worse}
    if not common:
        return None
    pair = (
        _columns([run for run in runs if run["seed"] in common])
        for runs in (better, worse)
    )
    comparison = paired_bootstrap(
        np.asarray(test["y"]),
        *pair,
        metric=METRICS[metric],
        groups=test["groups"],
        n_resamples=N_RESAMPLES,
        random_state=0,
    )
    return comparison, len(common)


def _columns(runs: list[dict[str, Any]]) -> np.ndarray:
    return np.stack([run["scores"] for run in runs], axis=1)  # (n_test, n_seeds)
