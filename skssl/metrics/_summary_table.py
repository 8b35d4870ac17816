"""The figures of a class against the rest, with the interval that fits each."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skssl._random import RandomState
from skssl.metrics._bootstrap import Resamples, percentiles
from skssl.metrics._classification import (
    best_sensitivity,
    expected_calibration_error,
)
from skssl.metrics._delong import delong_interval
from skssl.metrics._intervals import Interval, proportion_interval


@dataclass(frozen=True)
class SummaryRow:
    """One figure.

    Attributes
    ----------
    label : label or str
        The class that is looked for; "all" for figures of all classes.
    metric : str
    interval : Interval
    n : int
        How many rows the figure is of: for the sensitivity those of the class.
    """

    label: Any
    metric: str
    interval: Interval
    n: int


class SummaryTable:
    """The rows of a summary, as they are added.

    Parameters are those of `classification_summary`.
    """

    def __init__(
        self,
        groups: Any,
        confidence_level: float,
        specificity: float,
        n_resamples: int,
        random_state: RandomState,
    ):
        self.rows: list[SummaryRow] = []
        self.groups = groups
        self.level = confidence_level
        self.specificity = specificity
        self.n_resamples = n_resamples
        self.random_state = random_state

    def add(
        self, label: Any, positive: np.ndarray, told: np.ndarray, score: np.ndarray
    ) -> None:
        """Add the figures of one class against the rest."""
        self._add(label, "AUC", self._area(positive, score), len(positive))
        hits = {
            "sensitivity": told[positive],
            "specificity": ~told[~positive],
            "PPV": positive[told],
            "NPV": ~positive[~told],
            "accuracy": told == positive,
        }
        probable = score.min() >= 0 and score.max() <= 1

        def figures(rows: np.ndarray) -> dict[str, float]:
            of = positive[rows], told[rows], score[rows]
            values = _figures(*of, self.specificity)
            if probable:
                ece = expected_calibration_error(of[0], of[2], pos_label=True)
                values["ECE"] = ece
            return values

        intervals = self._bootstrap(positive, figures)
        self._add_all(label, intervals, hits, len(positive))

    def add_overall(
        self, y_true: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, classes: Any
    ) -> None:
        """Add the accuracy of all classes, and the mean of their areas."""

        def figures(rows: np.ndarray) -> dict[str, float]:
            areas = [
                _area(y_true[rows] == label, y_score[rows, k])
                for k, label in enumerate(classes)
            ]
            accuracy = np.mean(y_true[rows] == y_pred[rows])
            return {"accuracy": float(accuracy), "mean AUC": float(np.mean(areas))}

        hits = {"accuracy": y_true == y_pred}
        self._add_all("all", self._bootstrap(y_true, figures), hits, len(y_true))

    def _add_all(
        self,
        label: Any,
        intervals: dict[str, Interval],
        hits: dict[str, np.ndarray],
        n: int,
    ) -> None:
        """Add intervals; those of proportions of independent rows are Wilson's."""
        for name, interval in intervals.items():
            of = hits.get(name)
            if of is None:
                self._add(label, name, interval, n)
            elif self.groups is not None or len(of) == 0:
                self._add(label, name, interval, len(of))
            else:
                wilson = proportion_interval(
                    int(of.sum()), len(of), confidence_level=self.level
                )
                self._add(label, name, wilson, len(of))

    def _add(self, label: Any, metric: str, interval: Interval, n: int) -> None:
        self.rows.append(SummaryRow(label, metric, interval, n))

    def _area(self, positive: np.ndarray, score: np.ndarray) -> Interval:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)  # printed as -
            return delong_interval(
                positive,
                score,
                pos_label=True,
                groups=self.groups,
                confidence_level=self.level,
            )

    def _bootstrap(
        self, y: np.ndarray, figures: Callable[[np.ndarray], dict[str, float]]
    ) -> dict[str, Interval]:
        """Return the interval of each figure, from the same resamples."""
        draws = Resamples(y, self.groups, self.n_resamples, self.random_state)
        told = figures(np.arange(len(y)))
        values = np.array(
            [list(figures(rows).values()) for rows in draws.having(1)]
        )  # (n_resamples, n_figures)
        intervals = {}
        for i, (name, estimate) in enumerate(told.items()):
            low, high = percentiles(values[:, i], self.level)
            if low == high:  # equal resamples are no certainty
                low = high = float("nan")
            intervals[name] = Interval(estimate, low, high, self.level, draws.name)
        return intervals


def _figures(
    positive: np.ndarray, told: np.ndarray, score: np.ndarray, specificity: float
) -> dict[str, float]:
    """Return the figures of one class against the rest; NaN where not defined."""
    n_hits, n_told = np.sum(positive & told), np.sum(told)
    n, n_positive = len(positive), np.sum(positive)
    n_right_rest = n - n_positive - n_told + n_hits
    se = _ratio(n_hits, n_positive)
    sp = _ratio(n_right_rest, n - n_positive)
    return {
        "sensitivity": se,
        "specificity": sp,
        "PPV": _ratio(n_hits, n_told),
        "NPV": _ratio(n_right_rest, n - n_told),
        "accuracy": (n_hits + n_right_rest) / n,
        "balanced accuracy": (se + sp) / 2,
        "HM": 0.0 if se + sp == 0 else 2 * se * sp / (se + sp),
        "F1": _ratio(2 * n_hits, n_positive + n_told),
        f"sensitivity at specificity {specificity:g}": best_sensitivity(
            positive, score, specificity
        ),
    }


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def _area(positive: np.ndarray, score: np.ndarray) -> float:
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, score))
