"""A table of the metrics of a classifier, with confidence intervals."""

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skssl._random import RandomState
from skssl.metrics._inputs import (
    check_columns,
    check_level,
    check_scores,
    check_specificity,
    group_codes,
    is_positive,
)
from skssl.metrics._intervals import Interval
from skssl.metrics._summary_table import SummaryRow, SummaryTable

_HEADER = ("class", "metric", "estimate", "low", "high", "n", "method")


@dataclass(frozen=True)
class ClassificationSummary:
    """Metrics with intervals; prints as text, and as HTML in a notebook.

    Attributes
    ----------
    rows : list of SummaryRow
        One metric each, with ``label``, ``metric``, ``interval`` and ``n``.
    n_rows, n_patients : int
        Numbers of images and of patients; equal without ``groups``.
    confidence_level : float
        Of each interval, in (0, 1).
    transductive : bool
        Whether the pretraining has seen the images; the caption then says so.
    """

    rows: list[SummaryRow]
    n_rows: int
    n_patients: int
    confidence_level: float
    transductive: bool = False

    def __getitem__(self, name: Any) -> Interval:
        """Return an interval: ``summary["AUC"]``, or ``summary["covid", "AUC"]``."""
        label, metric = name if isinstance(name, tuple) else (None, name)
        for row in self.rows:
            if row.metric == metric and (label is None or row.label == label):
                return row.interval
        known = ", ".join(dict.fromkeys(row.metric for row in self.rows))
        raise KeyError(f"{name!r} is not in the summary; there are {known}.")

    def to_frame(self) -> Any:
        """Return the metrics as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(
            [
                (
                    *(row.label, row.metric, row.interval.estimate),
                    *(row.interval.low, row.interval.high, row.n, row.interval.method),
                )
                for row in self.rows
            ],
            columns=list(_HEADER),
        )

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                *(str(row.label), row.metric),
                *(
                    "-" if np.isnan(value) else f"{value:.3f}"
                    for value in (
                        row.interval.estimate,
                        row.interval.low,
                        row.interval.high,
                    )
                ),
                *(str(row.n), row.interval.method),
            )
            for row in self.rows
        ]

    def _caption(self) -> str:
        caption = f"{self.n_rows} rows"
        if self.n_patients < self.n_rows:
            caption += f" of {self.n_patients} patients"
        caption += f"; {100 * self.confidence_level:g} % intervals"
        if self.transductive:
            caption += "; transductive: the training has seen these images"
        return caption

    def __str__(self) -> str:
        table = [_HEADER, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i in (0, 1, 6) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in table
        ]
        return "\n".join([self._caption(), *lines])

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str) -> str:
            inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        body = "".join(line(cells, "td") for cells in self._cells())
        return (
            f"<table><caption>{html.escape(self._caption())}</caption>"
            f"<thead>{line(_HEADER, 'th')}</thead><tbody>{body}</tbody></table>"
        )


def classification_summary(
    y_true: Any,
    y_score: Any,
    *,
    y_pred: Any = None,
    threshold: float = 0.5,
    pos_label: Any = 1,
    labels: Any = None,
    groups: Any = None,
    specificity: float = 0.9,
    confidence_level: float = 0.95,
    n_resamples: int = 2000,
    transductive: bool = False,
    random_state: RandomState = None,
) -> ClassificationSummary:
    """Return the metrics of a classifier on test rows, with confidence intervals.

    Parameters
    ----------
    y_true : array-like of shape (n,)
    y_score : array-like of shape (n,) or (n, n_classes)
        One score per row, higher for ``pos_label``; or one per class, such as
        ``predict_proba``: each class is then evaluated against the rest.
    y_pred : array-like of shape (n,), optional
        The predicted classes. Default: ``pos_label`` where the score is at least
        ``threshold``; with one score per class, the class with the largest score.
    threshold : float, default=0.5
        Suits probabilities; use 0 for the scores of a ``decision_function``.
    pos_label : label, default=1
        The positive class, for scores of shape (n,); all other classes are negative.
    labels : array-like of shape (n_classes,), optional
        The classes of the columns, such as ``classes_``. Default: those of ``y_true``,
        sorted.
    groups : array-like of shape (n,), optional
        The patient of each row; all intervals then account for patients.
    specificity : float, default=0.9
        The sensitivity at this specificity is reported, too; in [0, 1].
    confidence_level : float, default=0.95
        Of each interval, in (0, 1).
    n_resamples : int, default=2000
        Number of bootstrap resamples, at least 1.
    transductive : bool, default=False
        Whether the pretraining has seen these images, without their labels; the
        caption of the summary then says so.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ClassificationSummary
        AUC, sensitivity, specificity, predictive values (PPV, NPV), accuracy, balanced
        accuracy, harmonic mean (HM), F1 and the sensitivity at a specificity; the
        calibration error (ECE) if all scores lie in [0, 1]. With one score per class,
        the first two rows are the accuracy over all classes and the mean AUC; the
        other rows describe each class against the rest.

    Raises
    ------
    ValueError
        If lengths differ, a score is not finite, or a parameter is out of range.

    Notes
    -----
    The interval of the AUC is DeLong's (Obuchowski's with ``groups``). Without
    ``groups``, intervals of proportions are Wilson's. All others are percentile
    bootstrap intervals, of patients if ``groups`` is given. Undefined values are NaN,
    printed as "-", such as the specificity without negative rows, or the interval of a
    metric that has the same value in all resamples.

    Examples
    --------
    >>> y = [0, 0, 1, 1, 0, 1, 0, 1]
    >>> scores = [0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.5, 0.7]
    >>> summary = classification_summary(y, scores, random_state=0)
    >>> print(summary["sensitivity"])
    0.750 [0.301, 0.954]
    """
    check_level(confidence_level)
    check_specificity(specificity)
    y_true = column_or_1d(y_true)
    n = len(y_true)
    y_score = check_array(
        y_score, ensure_2d=False, dtype=np.float64, input_name="y_score"
    )
    if y_pred is not None:
        y_pred = column_or_1d(y_pred)
        check_consistent_length(y_true, y_pred)
    unit = group_codes(groups, n)
    table = SummaryTable(
        groups, confidence_level, specificity, n_resamples, random_state
    )
    if y_score.ndim == 1:
        scores = check_scores(y_score, n)
        if y_pred is None:
            (positive,) = is_positive(pos_label, y_true=y_true)
            predicted = scores >= threshold
        else:
            positive, predicted = is_positive(pos_label, y_true=y_true, y_pred=y_pred)
        table.add(pos_label, positive, predicted, scores)
    else:
        classes = check_columns(y_true, y_score, labels, "y_score")
        if y_pred is None:
            y_pred = classes[y_score.argmax(axis=1)]
        table.add_overall(y_true, y_pred, y_score, classes)
        for k, label in enumerate(classes.tolist()):
            table.add(label, y_true == label, y_pred == label, y_score[:, k])
    return ClassificationSummary(
        table.rows, n, unit.max() + 1, confidence_level, transductive
    )
