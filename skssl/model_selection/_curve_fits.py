"""The fits of a curve: who is trained on what, and scored on whom."""

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

from skssl._sklearn import safe_indexing
from skssl.metrics import Interval
from skssl.metrics._bootstrap import (
    Resamples,
    or_nan,
    percentiles,
    undefined_is_an_error,
)
from skssl.model_selection._masking import mask_labels

Point = tuple[float, float | None]  # shares of the labels and of the images


@dataclass(frozen=True)
class Study:
    """What all fits of a curve have in common; see `fraction_curve`."""

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
        model = set_seed(clone(self.estimator), seed)
        if point[1] is not None:
            model.set_params(**{str(self.pretrain_param): point[1]})
        start = time.perf_counter()
        options = {}
        if self.groups is not None:
            names = _names_of_groups(model)
            options = dict.fromkeys(names, self.groups[train])
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
                scores = np.asarray(getattr(model, name)(X))
                is_of_two = name == "predict_proba" and scores.shape[1] == 2
                return scores[:, 1] if is_of_two else scores
        raise ValueError(f"{model!r} has none of {self.response_method}.")

    def interval(
        self,
        estimate: float,
        scored: list[tuple[int, np.ndarray]],
        draws: Resamples,
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
                if len(y) and (scores.ndim == 1 or len(np.unique(y)) == n_classes):
                    values.append(or_nan(self.metric, y, scores[drawn]))
            defined = [value for value in values if not np.isnan(value)]
            return float(np.mean(defined)) if defined else float("nan")

        n_classes = len(np.unique(self.y[np.concatenate([t for _, t in self.splits])]))
        with undefined_is_an_error():
            drawn_scores = [mean_score(rows) for rows in draws.having(1)]
        low, high = percentiles(drawn_scores, 0.95)
        return Interval(estimate, low, high, 0.95, draws.name)


def find_param(estimator: Any, name: str | None) -> str:
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


def set_seed(estimator: Any, seed: int) -> Any:
    """Set ``random_state`` of an estimator and of all its parts."""
    names = [n for n in estimator.get_params() if n.split("__")[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(names, seed))


def _names_of_groups(estimator: Any) -> list[str]:
    """Return the names under which ``fit`` takes patients, for itself or for a step."""
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
