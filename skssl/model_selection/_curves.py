"""How good a procedure is with fewer labels, or fewer images."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn import get_config
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from skssl._base import check_groups, check_labels
from skssl._random import RandomState
from skssl._sklearn import safe_indexing
from skssl.metrics import Interval
from skssl.metrics._bootstrap import Resamples, percentiles
from skssl.model_selection._masking import mask_labels
from skssl.model_selection._splits import KeepUnlabeledInTrain

Point = tuple[float, float | None]


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
        The patient of each image, for ``cv``, for the masking, and for ``fit`` if that
        takes groups.
    cv : int, splitter or iterable, default=5
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
    is tested; how much on the labels drawn is what the seeds show.

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
    labels: Any = check_labels(y, len(y))
    patients = check_groups(groups, len(labels))
    shares: Sequence[float | None] = pretrain_fractions or [None]
    points: list[Point] = list(product(label_fractions, shares))
    for of_labels, _ in points:
        if not 0 < of_labels <= 1:
            raise ValueError(f"label_fractions must be in (0, 1], got {of_labels}.")
    if pretrain_fractions is not None:
        pretrain_param = _find_param(estimator, pretrain_param)
    folds = KeepUnlabeledInTrain(cv, transductive=transductive)
    study = _Study(
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
        draws = Resamples(labels, patients, n_resamples, random_state)
        intervals[point] = study.interval(scored, draws)
    return FractionCurve([row for row, _ in done], intervals, transductive)


@dataclass(frozen=True)
class _Study:
    """What all fits of a curve have in common."""

    estimator: Any
    X: Any
    y: np.ndarray
    groups: np.ndarray | None
    splits: list[tuple[np.ndarray, np.ndarray]]
    pretrain_param: str | None
    metric: Callable[[Any, Any], float]
    response_method: tuple[str, ...]
    transductive: bool

    def fit(
        self, point: Point, seed: int, fold: int
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Return the row of one fit, and the scores of its test rows."""
        train, test = self.splits[fold]
        patients = None if self.groups is None else self.groups[train]
        y = mask_labels(self.y[train], point[0], groups=patients, random_state=seed)
        n_labelled = sum(label != -1 for label in y.tolist())
        if self.transductive:
            train = np.r_[train, test]
            y = np.r_[y, np.full(len(test), -1, dtype=y.dtype)]
        model = _seeded(clone(self.estimator), seed)
        if point[1] is not None:
            model.set_params(**{str(self.pretrain_param): point[1]})
        start = time.perf_counter()
        options = {}
        if self.groups is not None and _takes_groups(model):
            options["groups"] = self.groups[train]
        with warnings.catch_warnings():
            # Of SelfTrainingClassifier, where all labels are kept.
            warnings.filterwarnings("ignore", "y contains no unlabeled samples")
            model.fit(safe_indexing(self.X, train), y, **options)
        if any(label == -1 for label in model.classes_.tolist()):
            raise ValueError(
                f"{type(model).__name__} takes the label -1 for a class: end a "
                "pipeline in SelfTrainingClassifier(classifier, max_iter=0), which "
                "learns from labelled rows alone."
            )
        scores = self._scores(model, safe_indexing(self.X, test))
        row = {
            "seed": seed,
            "label_fraction": point[0],
            "pretrain_fraction": point[1],
            "fold": fold,
            "score": float(self.metric(self.y[test], scores)),
            "n_labelled": n_labelled,
            "n_train": len(train),
            "n_test": len(test),
            "seconds": time.perf_counter() - start,
            "transductive": self.transductive,
        }
        return row, scores

    def _scores(self, model: Any, X: Any) -> np.ndarray:
        for name in self.response_method:
            if hasattr(model, name):
                return np.asarray(getattr(model, name)(X))
        raise ValueError(f"{model!r} has none of {self.response_method}.")

    def interval(
        self, scored: list[tuple[int, np.ndarray]], draws: Resamples
    ) -> Interval:
        """Return the mean score over folds and seeds, with patients drawn again."""
        place = np.full((len(self.splits), len(self.y)), -1)
        for fold, (_, test) in enumerate(self.splits):
            place[fold, test] = np.arange(len(test))

        def mean_score(rows: np.ndarray) -> float:
            values = []
            for fold, scores in scored:
                drawn = place[fold, rows]
                drawn = drawn[drawn >= 0]
                y = self.y[self.splits[fold][1][drawn]]
                if len(np.unique(y)) > 1:
                    values.append(self.metric(y, scores[drawn]))
            return float(np.mean(values)) if values else float("nan")

        low, high = percentiles([mean_score(rows) for rows in draws.having(1)], 0.95)
        return Interval(mean_score(np.arange(len(self.y))), low, high, 0.95, draws.name)


def _find_param(estimator: Any, name: str | None) -> str:
    """Return the name of the parameter that is the pretrainer's fraction."""
    names = sorted(estimator.get_params())
    found = [n for n in names if n.split("__")[-1] == "fraction"]
    if name is not None:
        found = [n for n in names if n == name]
    if len(found) != 1:
        raise ValueError(
            "pretrain_fractions needs the name of the pretrainer's fraction: set "
            f"pretrain_param, such as 'ssl__fraction'; found {found} for {name!r}."
        )
    return found[0]


def _seeded(estimator: Any, seed: int) -> Any:
    """Set ``random_state`` of an estimator and of all its parts."""
    names = [n for n in estimator.get_params() if n.split("__")[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(names, seed))


def _takes_groups(estimator: Any) -> bool:
    """Tell whether ``fit`` takes patients, itself or by metadata routing."""
    if get_config()["enable_metadata_routing"]:
        routing = get_routing_for_object(estimator)
        if routing.consumes("fit", ["groups"]):
            return True
    return bool(has_fit_parameter(estimator, "groups"))
