"""How good a procedure is with fewer labels, or fewer images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.parallel import Parallel, delayed

from skssl._labels import check_groups, check_labels
from skssl._random import RandomState
from skssl.metrics import Interval
from skssl.metrics._bootstrap import Resamples
from skssl.model_selection._splits import KeepUnlabeledInTrain
from skssl.model_selection._study import Point, Study, find_param


@dataclass(frozen=True)
class FractionCurve:
    """What `fraction_curve` measured.

    Attributes
    ----------
    rows : list of dict
        One for each seed, point and fold: ``seed``, ``label_fraction``,
        ``pretrain_fraction``, ``fold``, ``score``, ``n_labelled``, ``n_train``,
        ``n_test``, ``seconds``, ``transductive``.
    intervals : dict
        The mean score of each point, (label_fraction, pretrain_fraction), over folds
        and seeds, with its interval.
    transductive : bool
    """

    rows: list[dict[str, Any]]
    intervals: dict[Point, Interval]
    transductive: bool = False
    _header: tuple[str, ...] = field(
        default=("labels", "images", "score", "low", "high"), repr=False
    )

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __str__(self) -> str:
        lines = ["".join(f"{name:>8}" for name in self._header)]
        for (of_labels, of_images), told in self.intervals.items():
            images = "" if of_images is None else f"{of_images:g}"
            figures = "".join(
                f"{value:8.3f}" for value in (told.estimate, told.low, told.high)
            )
            lines.append(f"{of_labels:8g}{images:>8}{figures}")
        if self.transductive:
            lines.append("transductive: the training has seen the tested images")
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
    """Score an estimator with shares of the labels, and of the images.

    Each fold is pretrained and trained anew on its training rows, of which a share
    keeps its labels; it is scored on test rows that it has not seen.

    Parameters
    ----------
    estimator : classifier
        Which takes y = -1 for images without a label: `FineTuneClassifier`, or a
        pipeline that ends in
        ``SelfTrainingClassifier(LogisticRegression(), max_iter=0)``.
    X : sequence of n images
    y : array-like of shape (n,)
        Classes, and -1 for none.
    label_fractions : sequence of float, default=(0.1, 0.25, 0.5, 1.0)
        Shares of the labels of the training rows, in (0, 1]. Smaller ones are within
        larger ones (see `mask_labels`).
    pretrain_fractions : sequence of float, optional
        Values of the pretrainer's ``fraction``. Default: as it is.
    pretrain_param : str, optional
        Its name among ``estimator.get_params()``, such as "ssl__fraction". Default:
        the only one that ends in "fraction" and belongs to a pretrainer.
    groups : array-like of shape (n,), optional
        The patient of each image, for ``cv``, for the masking, and for ``fit`` where
        that, or a step of a pipeline, takes groups.
    cv : int or splitter, default=5
        As in `KeepUnlabeledInTrain`. Folds are the same for all points.
    seeds : sequence of int, default=(0,)
        For each, labels are drawn anew, and ``random_state`` of the estimator and of
        its parts is set to it.
    metric : callable, default=roc_auc_score
        Called as ``metric(y_true, y_score)`` on the test rows of a fold.
    response_method : sequence of str
        Of the estimator; the first that it has gives ``y_score``. For metrics of
        predictions ("predict",).
    transductive : bool, default=False
        Let the training see the test images, without their labels. Scores are then for
        these images and not for new ones; the result says so.
    n_resamples : int, default=500
        Of the bootstrap of the patients.
    n_jobs : int, optional
        Fits at a time, in processes.
    random_state : int, RandomState, Generator or None, default=0
        Of the bootstrap.

    Returns
    -------
    FractionCurve

    Raises
    ------
    ValueError
        If a fraction is out of range, ``pretrain_param`` cannot be found, the
        estimator takes -1 for a class, or lengths differ. An error of a fit is raised,
        and not turned into NaN.

    Notes
    -----
    The interval of a point is the percentile bootstrap of its mean score, with the same
    patients drawn for all folds and seeds. It tells how much the score depends on who
    is tested; how much on the labels drawn is what the seeds show. It takes the fitted
    models as they are, so that it is too narrow for what the procedure would score on
    another set of images.

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
    >>> [round(told.estimate, 2) for told in curve.intervals.values()]
    [0.93, 0.96]
    """
    if y is None:
        raise ValueError("y is None: labels are needed to score.")
    labels: Any = check_labels(y, len(y))
    if not any(isinstance(label, str) for label in labels.tolist()):
        labels = np.array(labels.tolist())  # objects become what they are
    patients = check_groups(groups, len(labels))
    shares: Sequence[float | None] = (
        [None] if pretrain_fractions is None else pretrain_fractions
    )
    if len(seeds) == 0:
        raise ValueError("seeds is empty: one at least is needed.")
    points: list[Point] = list(product(label_fractions, shares))
    for of_labels, _ in points:
        if not 0 < of_labels <= 1:
            raise ValueError(f"label_fractions must be in (0, 1], got {of_labels}.")
    if pretrain_fractions is not None:
        pretrain_param = find_param(estimator, pretrain_param)
    folds = KeepUnlabeledInTrain(cv, transductive=transductive)
    study = Study(
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
    jobs = list(product(points, seeds, range(len(study.splits))))
    done = Parallel(n_jobs=n_jobs)(delayed(study.fit)(*job) for job in jobs)
    intervals = {}
    for point in points:
        scored = [
            (fold, scores)
            for (of, _, fold), (_, scores) in zip(jobs, done, strict=True)
            if of == point
        ]
        of_folds = [
            row["score"]
            for (of, *_), (row, _) in zip(jobs, done, strict=True)
            if of == point
        ]
        draws = Resamples(labels, patients, n_resamples, random_state)
        intervals[point] = study.interval(float(np.mean(of_folds)), scored, draws)
    return FractionCurve([row for row, _ in done], intervals, transductive)
