"""The fits of a fraction curve, and the interval of their mean score."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from skssl._labels import labels_of
from skssl._sklearn import safe_indexing
from skssl.metrics import Interval
from skssl.metrics._bootstrap import (
    Resamples,
    metric_or_nan,
    percentiles,
    undefined_as_error,
)
from skssl.model_selection._masking import mask_labels
from skssl.model_selection._seeding import set_seed

Point = tuple[float, float | None]  # fractions of the labels and of the images


@dataclass(frozen=True)
class CurveFits:
    """Settings that all fits of a curve share; see `fraction_curve`.

    Parameters
    ----------
    estimator : classifier
    X : sequence of n images
    y : ndarray of shape (n,)
        Classes, and -1 for unlabelled images.
    groups : ndarray of shape (n,) or None
    splits : list of (train, test)
        Rows of X; all test rows have a label.
    pretrain_param : str or None
    metric : callable
    response_method : tuple of str
    transductive : bool
    """

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
        """Fit and score one fold with a fraction of the labels and images.

        Returns
        -------
        row : dict
            One of `FractionCurve.rows`.
        scores : ndarray of shape (n_test,) or (n_test, n_classes)
            Of the test rows.
        """
        label_fraction, pretrain_fraction = point
        train, test = self.splits[fold]
        patients = None if self.groups is None else self.groups[train]
        y = mask_labels(
            self.y[train], label_fraction, groups=patients, random_state=seed
        )
        n_labelled = len(labels_of(y)[0])
        if self.transductive:
            train = np.r_[train, test]
            y = np.r_[y, np.full(len(test), -1, dtype=y.dtype)]
        model = set_seed(clone(self.estimator), seed)
        if pretrain_fraction is not None:
            model.set_params(**{str(self.pretrain_param): pretrain_fraction})
        start = time.perf_counter()
        self._fit_rows(model, train, y)
        scores = self._scores(model, safe_indexing(self.X, test))
        row = {
            "seed": seed,
            "label_fraction": label_fraction,
            "pretrain_fraction": pretrain_fraction,
            "fold": fold,
            "score": float(self.metric(self.y[test], scores)),
            "n_labelled": n_labelled,
            "n_train": len(train),
            "n_test": len(test),
            "seconds": time.perf_counter() - start,
            "transductive": self.transductive,
        }
        return row, scores

    def _fit_rows(self, model: Any, train: np.ndarray, y: np.ndarray) -> None:
        """Fit a model in place; raise ValueError if it learns -1 as a class."""
        params = {}
        if self.groups is not None:
            params = dict.fromkeys(_group_params(model), self.groups[train])
        with warnings.catch_warnings():
            # SelfTrainingClassifier warns if all labels are kept.
            warnings.filterwarnings("ignore", "y contains no unlabeled samples")
            model.fit(safe_indexing(self.X, train), y, **params)
        if any(label == -1 for label in model.classes_.tolist()):
            raise ValueError(
                f"{type(model).__name__} takes the label -1 for a class: end the "
                "pipeline with SelfTrainingClassifier(classifier, max_iter=0), which "
                "learns from labelled rows only."
            )

    def _scores(self, model: Any, X: Any) -> np.ndarray:
        """Return the scores of the first response method that the model has."""
        for name in self.response_method:
            if hasattr(model, name):
                scores = np.asarray(getattr(model, name)(X))
                is_binary = name == "predict_proba" and scores.shape[1] == 2
                return scores[:, 1] if is_binary else scores
        raise ValueError(
            f"{model!r} has none of response_method={self.response_method}."
        )

    def interval(
        self,
        estimate: float,
        fold_scores: list[tuple[int, np.ndarray]],
        resamples: Resamples,
    ) -> Interval:
        """Return a mean score over folds and seeds with its bootstrap interval.

        Parameters
        ----------
        estimate : float
        fold_scores : list of (fold, scores)
            As `fit` returns them, for all folds and seeds of a point.
        resamples : Resamples
            Of all rows of X.
        """
        tested = np.concatenate([test for _, test in self.splits])
        n_classes = len(np.unique(self.y[tested]))
        position = np.full((len(self.splits), len(self.y)), -1)  # of a row in its test
        for fold, (_, test) in enumerate(self.splits):
            position[fold, test] = np.arange(len(test))

        def mean_score(rows: np.ndarray) -> float:
            values = []
            for fold, scores in fold_scores:
                drawn = position[fold, rows]
                drawn = drawn[drawn >= 0]
                y = self.y[self.splits[fold][1][drawn]]
                if len(y) and (scores.ndim == 1 or len(np.unique(y)) == n_classes):
                    values.append(metric_or_nan(self.metric, y, scores[drawn]))
            defined = [value for value in values if not np.isnan(value)]
            return float(np.mean(defined)) if defined else float("nan")

        with undefined_as_error():
            means = [mean_score(rows) for rows in resamples.draw(min_classes=1)]
        low, high = percentiles(means, 0.95)
        return Interval(estimate, low, high, 0.95, resamples.name)


def find_param(estimator: Any, name: str | None) -> str:
    """Return the name of the parameter that holds the pretrainer's fraction.

    Raises
    ------
    ValueError
        If ``name`` is no parameter, or is None and there is not exactly one.
    """
    names = sorted(estimator.get_params())
    found = [n for n in names if n.split("__")[-1] == "fraction"]
    if name is not None:
        found = [n for n in names if n == name]
    if len(found) != 1:
        raise ValueError(
            "pretrain_fractions needs the name of the pretrainer's fraction: set "
            f"pretrain_param, such as 'ssl__fraction'; got pretrain_param={name!r}, "
            f"which matches {found}."
        )
    return found[0]


def _group_params(estimator: Any) -> list[str]:
    """Return the names by which ``fit`` takes groups, for itself or for a step."""
    if get_config()["enable_metadata_routing"]:
        routing = get_routing_for_object(estimator)
        if routing.consumes("fit", ["groups"]):
            return ["groups"]
    elif isinstance(estimator, Pipeline):
        return [
            f"{name}__groups"
            for name, step in estimator.steps
            if has_fit_parameter(step, "groups")
        ]
    return ["groups"] if has_fit_parameter(estimator, "groups") else []
