"""Figures of a run, their means over seeds with intervals by patients, and pairs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from skssl.metrics import bootstrap_interval, paired_bootstrap, specificity_score

N_RESAMPLES = 1000


def binary_figures(y: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return the figures of two classes, whose border is a score of 0."""
    told = (scores > 0).astype(int)
    return {
        "accuracy": accuracy_score(y, told),
        "balanced_accuracy": balanced_accuracy_score(y, told),
        "precision": precision_score(y, told, zero_division=0.0),
        "sensitivity": recall_score(y, told),
        "specificity": specificity_score(y, told),
        "f1": f1_score(y, told),
        "auc": roc_auc_score(y, scores),
    }


def _accuracy(y: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean((scores > 0) == (y[:, None] == 1)))


def _auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUC over the columns: U / (n₁ n₀), of all of them at once."""
    ill, well = scores[y == 1], scores[y == 0]
    u = mannwhitneyu(ill, well, axis=0, method="asymptotic").statistic
    return float(np.mean(u) / (len(ill) * len(well)))


#: Figures of which intervals are drawn: of scores (n, n_seeds), their mean over seeds.
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "auc": _auc,
}


class Mean(NamedTuple):
    """A mean over seeds, with its 95 % interval by patients where there are scores."""

    value: float
    spread: float  # over seeds
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.value:.3f} ± {self.spread:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def summarize(runs: list[dict[str, Any]], test: dict[str, Any], figure: str) -> Mean:
    """Return the mean of a figure over the runs of a row.

    The interval is that of the mean of these very networks on other patients.
    """
    values = [run["figures"][figure] for run in runs]
    mean = Mean(float(np.mean(values)), float(np.std(values)))
    if figure not in METRICS or any("scores" not in run for run in runs):
        return mean
    interval = bootstrap_interval(
        np.asarray(test["y"]),
        _columns(runs),
        metric=METRICS[figure],
        groups=test["groups"],
        n_resamples=N_RESAMPLES,
        random_state=0,
    )
    return mean._replace(low=interval.low, high=interval.high)


def compare(
    better: list[dict[str, Any]],
    worse: list[dict[str, Any]],
    test: dict[str, Any],
    figure: str,
) -> Any:
    """Return by how much one row is above another, on the same patients."""
    return paired_bootstrap(
        np.asarray(test["y"]),
        _columns(better),
        _columns(worse),
        metric=METRICS[figure],
        groups=test["groups"],
        n_resamples=N_RESAMPLES,
        random_state=0,
    )


def _columns(runs: list[dict[str, Any]]) -> np.ndarray:
    return np.stack([run["scores"] for run in runs], axis=1)  # (n_test, n_seeds)
