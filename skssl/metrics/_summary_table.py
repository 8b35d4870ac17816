"""The metrics of one class against the rest, each with the interval that suits it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from skssl._random import RandomState
from skssl.metrics._bootstrap import Resamples, percentiles
from skssl.metrics._calibration import expected_calibration_error
from skssl.metrics._classification import best_sensitivity
from skssl.metrics._delong import delong_interval
from skssl.metrics._intervals import Interval, proportion_interval
from skssl.metrics._ranks import rank_auc


@dataclass(frozen=True)
class SummaryRow:
    """One metric of a summary.

    Attributes
    ----------
    label : label or str
        The positive class; "all" for metrics of all classes.
    metric : str
    interval : Interval
    n : int
        Number of rows in the denominator: for the sensitivity, the positive rows.
    """

    label: Any
    metric: str
    interval: Interval
    n: int


class SummaryTable:
    """The rows of a summary, in the order in which they are added.

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
        self,
        label: Any,
        positive: np.ndarray,
        predicted: np.ndarray,
        score: np.ndarray,
    ) -> None:
        """Add the metrics of one class against the rest.

        Parameters
        ----------
        label : label
            The positive class.
        positive, predicted : ndarray of shape (n,), bool
            Whether each row is positive, and is predicted to be.
        score : ndarray of shape (n,), float64
        """
        auc = self._delong_interval(positive, score)
        self.rows.append(SummaryRow(label, "AUC", auc, len(positive)))
        outcomes = {
            "sensitivity": predicted[positive],
            "specificity": ~predicted[~positive],
            "PPV": positive[predicted],
            "NPV": ~positive[~predicted],
            "accuracy": predicted == positive,
        }
        are_probabilities = score.min() >= 0 and score.max() <= 1

        def compute(rows: np.ndarray) -> dict[str, float]:
            truth, scores = positive[rows], score[rows]
            values = _class_metrics(truth, predicted[rows], scores, self.specificity)
            if are_probabilities:
                values["ECE"] = expected_calibration_error(
                    truth, scores, pos_label=True
                )
            return values

        intervals = self._bootstrap(positive, compute)
        self._add_rows(label, intervals, outcomes, len(positive))

    def add_overall(
        self, y_true: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, classes: Any
    ) -> None:
        """Add the accuracy over all classes, and the mean AUC.

        Parameters
        ----------
        y_true, y_pred : ndarray of shape (n,)
        y_score : ndarray of shape (n, n_classes), float64
        classes : ndarray of shape (n_classes,)
        """

        def compute(rows: np.ndarray) -> dict[str, float]:
            areas = [
                rank_auc(y_true[rows] == label, y_score[rows, k])
                for k, label in enumerate(classes)
            ]
            accuracy = np.mean(y_true[rows] == y_pred[rows])
            return {"accuracy": float(accuracy), "mean AUC": float(np.mean(areas))}

        outcomes = {"accuracy": y_true == y_pred}
        intervals = self._bootstrap(y_true, compute)
        self._add_rows("all", intervals, outcomes, len(y_true))

    def _add_rows(
        self,
        label: Any,
        intervals: dict[str, Interval],
        outcomes: dict[str, np.ndarray],
        n: int,
    ) -> None:
        """Add intervals; proportions of independent rows get Wilson's.

        ``outcomes`` holds, for each proportion, whether each row of its denominator is
        a hit.
        """
        for name, interval in intervals.items():
            hits = outcomes.get(name)
            n_rows = n if hits is None else len(hits)
            if hits is not None and self.groups is None and n_rows > 0:
                interval = proportion_interval(  # noqa: PLW2901
                    int(hits.sum()), n_rows, confidence_level=self.level
                )
            self.rows.append(SummaryRow(label, name, interval, n_rows))

    def _delong_interval(self, positive: np.ndarray, score: np.ndarray) -> Interval:
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
        self, y: np.ndarray, compute: Callable[[np.ndarray], dict[str, float]]
    ) -> dict[str, Interval]:
        """Return the interval of each metric, all from the same resamples.

        ``compute`` returns the metrics by name for an array of rows.
        """
        resamples = Resamples(y, self.groups, self.n_resamples, self.random_state)
        estimates = compute(np.arange(len(y)))
        values = np.array(
            [list(compute(rows).values()) for rows in resamples.draw(min_classes=1)]
        )  # (n_resamples, n_metrics)
        intervals = {}
        for i, (name, estimate) in enumerate(estimates.items()):
            low, high = percentiles(values[:, i], self.level)
            if low == high:  # equal values in all resamples do not prove certainty
                low = high = float("nan")
            intervals[name] = Interval(estimate, low, high, self.level, resamples.name)
        return intervals


def _class_metrics(
    positive: np.ndarray, predicted: np.ndarray, score: np.ndarray, specificity: float
) -> dict[str, float]:
    """Return the metrics of one class against the rest; NaN where undefined."""
    n, n_positive, n_predicted = len(positive), np.sum(positive), np.sum(predicted)
    true_positives = np.sum(positive & predicted)
    true_negatives = n - n_positive - n_predicted + true_positives
    se = _ratio(true_positives, n_positive)
    sp = _ratio(true_negatives, n - n_positive)
    return {
        "sensitivity": se,
        "specificity": sp,
        "PPV": _ratio(true_positives, n_predicted),
        "NPV": _ratio(true_negatives, n - n_predicted),
        "accuracy": (true_positives + true_negatives) / n,
        "balanced accuracy": (se + sp) / 2,
        "HM": 0.0 if se + sp == 0 else 2 * se * sp / (se + sp),
        "F1": _ratio(2 * true_positives, n_positive + n_predicted),
        f"sensitivity at specificity {specificity:g}": best_sensitivity(
            positive, score, specificity
        ),
    }


def _ratio(numerator: Any, denominator: Any) -> float:
    return float(numerator / denominator) if denominator else float("nan")
