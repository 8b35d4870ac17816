"""Scores of a procedure with fewer labels, or with fewer images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.parallel import Parallel, delayed

from skssl._labels import check_groups, check_labels
from skssl._random import RandomState
from skssl.metrics import Interval
from skssl.metrics._bootstrap import Resamples
from skssl.model_selection._curve_fits import CurveFits, Point, find_param
from skssl.model_selection._splits import KeepUnlabeledInTrain

_HEADER = ("labels", "images", "score", "low", "high")


@dataclass(frozen=True)
class FractionCurve:
    """Scores by fraction of the labels and of the images; see `fraction_curve`.

    Attributes
    ----------
    rows : list of dict
        One for each seed, point and fold: ``seed``, ``label_fraction``,
        ``pretrain_fraction``, ``fold``, ``score``, ``n_labelled``, ``n_train``,
        ``n_test``, ``seconds``, ``transductive``.
    intervals : dict
        For each point, (label_fraction, pretrain_fraction), the mean score over folds
        and seeds with its 95 % interval.
    transductive : bool
        Whether the training has seen the test images, without their labels.
    """

    rows: list[dict[str, Any]]
    intervals: dict[Point, Interval]
    transductive: bool = False

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __str__(self) -> str:
        lines = ["".join(f"{name:>8}" for name in _HEADER)]
        for (label_fraction, pretrain_fraction), interval in self.intervals.items():
            images = "" if pretrain_fraction is None else f"{pretrain_fraction:g}"
            values = "".join(
                f"{value:8.3f}"
                for value in (interval.estimate, interval.low, interval.high)
            )
            lines.append(f"{label_fraction:8g}{images:>8}{values}")
        if self.transductive:
            lines.append("transductive: the training has seen the test images")
        return "\n".join(lines)


def fraction_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    label_fractions: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    pretrain_fractions: Sequence[float] | None = None,
    pretrain_param: str | None = None,
    groups: Any = None,
    cv: Any = 5,
    seeds: Sequence[int] = (0,),
    metric: Callable[[Any, Any], float] = roc_auc_score,
    response_method: Sequence[str] = ("decision_function", "predict_proba"),
    transductive: bool = False,
    n_resamples: int = 500,
    n_jobs: int | None = None,
    random_state: RandomState = 0,
) -> FractionCurve:
    """Cross-validate an estimator with fractions of the labels and of the images.

    In each fold, the whole estimator, pretraining included, is fitted on the training
    rows, of which only a fraction keeps its labels, and scored on the test rows.

    Parameters
    ----------
    estimator : classifier
        Must accept y = -1 for unlabelled images: `FineTuneClassifier`, or a pipeline
        that ends with ``SelfTrainingClassifier(LogisticRegression(), max_iter=0)``.
    X : sequence of n images
    y : array-like of shape (n,)
        Classes, and -1 for unlabelled images.
    label_fractions : sequence of float, default=(0.1, 0.25, 0.5, 1.0)
        Fractions of the training labels to keep, in (0, 1]. The labels of a smaller
        fraction are a subset of those of a larger one (see `mask_labels`).
    pretrain_fractions : sequence of float, optional
        Values of the pretrainer's ``fraction``. Default: its value in ``estimator``.
    pretrain_param : str, optional
        Name of that parameter in ``estimator.get_params()``, such as "ssl__fraction".
        Default: the only parameter that is named "fraction".
    groups : array-like of shape (n,), optional
        The patient of each image; used by ``cv``, by the masking of labels, and by
        ``fit`` of the estimator or of those steps of a pipeline that accept groups.
    cv : int or splitter, default=5
        As in `KeepUnlabeledInTrain`. All points use the same folds.
    seeds : sequence of int, default=(0,)
        The curve is repeated for each seed, which selects the labels to keep and is
        set as ``random_state`` of the estimator and of its nested estimators.
    metric : callable, default=roc_auc_score
        Called as ``metric(y_true, y_score)`` on the test rows of a fold.
    response_method : sequence of str
        Methods of the estimator; the first that it has gives ``y_score``. Use
        ("predict",) for metrics of predicted classes.
    transductive : bool, default=False
        Whether the training sees the test images, without their labels. Scores then
        hold for these images, not for new ones; the result reports this.
    n_resamples : int, default=500
        Number of bootstrap resamples of patients, at least 1.
    n_jobs : int, optional
        Number of fits that run in parallel, in processes.
    random_state : int, RandomState, Generator or None, default=0
        Seeds the bootstrap.

    Returns
    -------
    FractionCurve

    Raises
    ------
    ValueError
        If a fraction is out of range, ``pretrain_param`` is not found, the estimator
        takes -1 for a class, or lengths differ. An error in a fit is raised, not turned
        into NaN.

    Notes
    -----
    The interval of a point is the percentile bootstrap interval of its mean score. The
    same resampled patients are used for all folds and seeds. It shows how much the
    score depends on the tested patients; the spread over seeds shows how much it
    depends on the labels kept. The fitted models are taken as given, so the interval is
    too narrow for the score of the procedure on another training set.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.semi_supervised import SelfTrainingClassifier
    >>> from skssl.model_selection import fraction_curve
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = SelfTrainingClassifier(LogisticRegression(max_iter=10_000), max_iter=0)
    >>> curve = fraction_curve(
    ...     clf, X[:, :2], y, label_fractions=(0.05, 1.0), cv=3, n_resamples=100
    ... )
    >>> [round(interval.estimate, 2) for interval in curve.intervals.values()]
    [0.93, 0.96]
    """
    if y is None:
        raise ValueError("y is None: labels are needed to score.")
    labels: Any = check_labels(y, len(y))
    if not any(isinstance(label, str) for label in labels.tolist()):
        labels = np.array(labels.tolist())  # objects take the dtype of their values
    patients = check_groups(groups, len(labels))
    if len(seeds) == 0:
        raise ValueError("seeds is empty: give at least one.")
    points = _curve_points(label_fractions, pretrain_fractions)
    if pretrain_fractions is not None:
        pretrain_param = find_param(estimator, pretrain_param)
    folds = KeepUnlabeledInTrain(cv, transductive=transductive)
    fits = CurveFits(
        estimator,
        X,
        labels,
        patients,
        splits=list(folds.split(X, labels, patients)),
        pretrain_param=pretrain_param,
        metric=metric,
        response_method=tuple(response_method),
        transductive=transductive,
    )
    jobs = list(product(points, seeds, range(len(fits.splits))))
    results = Parallel(n_jobs=n_jobs)(delayed(fits.fit)(*job) for job in jobs)
    intervals = {}
    for point in points:
        found = [
            (fold, row["score"], scores)
            for (job_point, _, fold), (row, scores) in zip(jobs, results, strict=True)
            if job_point == point
        ]
        intervals[point] = fits.interval(
            float(np.mean([score for _, score, _ in found])),
            [(fold, scores) for fold, _, scores in found],
            Resamples(labels, patients, n_resamples, random_state),
        )
    return FractionCurve([row for row, _ in results], intervals, transductive)


def _curve_points(
    label_fractions: Sequence[float], pretrain_fractions: Sequence[float] | None
) -> list[Point]:
    """Return all combinations of the fractions; check those of the labels."""
    for fraction in label_fractions:
        if not 0 < fraction <= 1:
            raise ValueError(f"label_fractions must be in (0, 1], got {fraction}.")
    pretrain: Sequence[float | None] = (
        [None] if pretrain_fractions is None else pretrain_fractions
    )
    return list(product(label_fractions, pretrain))
