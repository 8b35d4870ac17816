"""Figures of a run, their means over seeds with intervals by patients, and pairs."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from benchmarks._areas import mean_auc
from skssl.metrics import Comparison, bootstrap_interval, paired_bootstrap

N_RESAMPLES = 1000


def binary_figures(y: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the figures of two classes, whose border is a score of 0."""
    return {name: metric(y, scores[:, None]) for name, metric in METRICS.items()}


class Counts(NamedTuple):
    """How many images are told right and wrong, by column of scores."""

    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    tn: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, scores: np.ndarray) -> "Counts":
        """Count the signs of scores (n, k) of labels (n,)."""
        ill, told = (y == 1)[:, None], scores > 0
        pairs = ((ill, told), (ill, ~told), (~ill, told), (~ill, ~told))
        return cls(*(np.sum(a & b, axis=0) for a, b in pairs))


def _accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.of(y, scores)
    return _mean((n.tp + n.tn) / len(y))


def _balanced_accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    return (_sensitivity(y, scores) + _specificity(y, scores)) / 2


def _sensitivity(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.of(y, scores)
    return _mean(n.tp / (n.tp + n.fn))


def _specificity(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.of(y, scores)
    return _mean(n.tn / (n.tn + n.fp))


def _f1(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.of(y, scores)
    return _mean(2 * n.tp / (2 * n.tp + n.fp + n.fn))


def _f1_negative(y: np.ndarray, scores: np.ndarray) -> float:
    n = Counts.of(y, scores)
    return _mean(2 * n.tn / (2 * n.tn + n.fn + n.fp))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


#: Figures of scores (n, k), of k runs: their mean over the runs.
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
    """A mean over runs, with their spread and its 95 % interval by patients."""

    value: float
    spread: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.3f}"
        bounds = "" if self.low is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{spread}{bounds}"


def summarize(runs: list[dict[str, Any]], test: dict[str, Any], figure: str) -> Mean:
    """Return the mean of a figure over the runs of a row.

    The spread is over the last epochs where a run tells it (``figure_sd``), and else
    over the runs, if there are several. The interval is that of the mean of these very
    networks on other patients, and leaves that spread out. Without scores it is the
    mean of the runs' bounds (``figure_low`` and ``figure_high``), if they tell some,
    which is wider.
    """
    values = [run["figures"][figure] for run in runs]
    mean = Mean(float(np.mean(values)))
    if runs[1:]:
        mean = mean._replace(spread=float(np.std(values, ddof=1)))
    if figure in METRICS and all("scores" in run for run in runs):
        interval = _interval(_columns(runs), test, METRICS[figure])
        return mean._replace(**interval)
    told = {kind: _told(runs, f"{figure}_{kind}") for kind in ("low", "high")}
    spread = _told(runs, f"{figure}_sd")
    return mean._replace(spread=mean.spread if spread is None else spread, **told)


def _told(runs: list[dict[str, Any]], name: str) -> float | None:
    """Return the mean of a figure that all runs tell, or None."""
    values = [run["figures"].get(name) for run in runs]
    return None if None in values else float(np.mean(values))


def _interval(
    scores: np.ndarray, test: dict[str, Any], metric: Callable
) -> dict[str, float]:
    """Return the bounds, or nothing where all draws are alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        found = bootstrap_interval(
            np.asarray(test["y"]),
            scores,
            metric=metric,
            groups=test["groups"],
            n_resamples=N_RESAMPLES,
            random_state=0,
        )
    return {"low": found.low, "high": found.high} if found.low < found.high else {}


def compare(
    better: list[dict[str, Any]],
    worse: list[dict[str, Any]],
    test: dict[str, Any],
    figure: str,
) -> tuple[Comparison, int] | None:
    """Return by how much one row is above another on the same patients.

    Returns
    -------
    comparison, n_seeds
        Of the mean over the seeds that both have, whose number is the second; None if
        there is no such seed.
    """
    shared = {run["seed"] for run in better} & {run["seed"] for run in worse}
    if not shared:
        return None
    pair = (
        _columns([run for run in runs if run["seed"] in shared])
        for runs in (better, worse)
    )
    comparison = paired_bootstrap(
        np.asarray(test["y"]),
        *pair,
        metric=METRICS[figure],
        groups=test["groups"],
        n_resamples=N_RESAMPLES,
        random_state=0,
    )
    return comparison, len(shared)


def _columns(runs: list[dict[str, Any]]) -> np.ndarray:
    return np.stack([run["scores"] for run in runs], axis=1)  # (n_test, n_seeds)
