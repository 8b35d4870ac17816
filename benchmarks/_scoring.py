"""Logistic regression on features, with C chosen by patient-grouped folds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from _auc import mean_auc
from _datasets import Dataset
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl.data import ImageFormat, iter_batches, make_source, survey_images
from skssl.metrics import bootstrap_interval

C_GRID = [0.001, 0.01, 0.1, 1.0]
FOLDS = StratifiedGroupKFold(5, shuffle=True, random_state=0)


def make_probe(pca_seed: int | None = None) -> Pipeline:
    """Return scaling and logistic regression, with a PCA between if it has a seed."""
    steps: list = [StandardScaler()]
    if pca_seed is not None:
        steps.append(PCA(0.95, random_state=pca_seed))
    logistic = LogisticRegression(class_weight="balanced", max_iter=2000)
    return make_pipeline(*steps, logistic)


def choose(
    probe: Pipeline, h: np.ndarray, y: np.ndarray, groups: np.ndarray, metric: str
) -> GridSearchCV:
    """Choose C by patient-grouped cross-validation, and refit on all rows."""
    search = GridSearchCV(
        probe,
        {"logisticregression__C": C_GRID},
        scoring=metric,
        cv=FOLDS,
        error_score="raise",
    )
    return search.fit(h, y, groups=groups)


class Scores(NamedTuple):
    """Predictions of logistic regressions for held-out images."""

    # (n, n_draws): scores, or classes if the metric is accuracy.
    values: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    metric: str
    details: dict

    def mean(self, y: np.ndarray, values: np.ndarray) -> float:
        """Return the metric's mean over the columns of values."""
        if self.metric == "accuracy":
            return float(np.mean(values == y[:, None]))
        return mean_auc(y, values)


def score_test(probe: Pipeline, features: list[np.ndarray], dataset: Dataset) -> Scores:
    """Choose C on the labelled images of each draw, and predict the test set.

    The details are averaged over the draws.
    """
    h, h_test = features
    searches = [
        choose(probe, h[rows], dataset.y[rows], dataset.groups[rows], dataset.metric)
        for rows in dataset.label_sets or [np.arange(len(dataset.y))]
    ]
    method = "predict" if dataset.metric == "accuracy" else "decision_function"
    values = np.stack([getattr(s, method)(h_test) for s in searches], axis=1)
    details = {
        "cv": round(float(np.mean([s.best_score_ for s in searches])), 4),
        "C": np.median([s.best_params_["logisticregression__C"] for s in searches]),
    }
    return Scores(values, dataset.y_test, dataset.groups_test, dataset.metric, details)


def score_folds(
    probe: Pipeline, features: list[np.ndarray], dataset: Dataset
) -> Scores:
    """Predict each fold after fitting, and choosing C, on the other folds.

    No patient is in two folds. The features of the test set are not used.
    """
    h = features[0]
    values = np.empty((len(dataset.y), 1))
    for train, test in FOLDS.split(h, dataset.y, dataset.groups):
        search = choose(
            probe, h[train], dataset.y[train], dataset.groups[train], dataset.metric
        )
        values[test, 0] = search.decision_function(h[test])
    return Scores(values, dataset.y, dataset.groups, dataset.metric, {})


def describe(scores: Scores) -> dict:
    """Return the details, and the mean over the draws with its interval."""
    return scores.details | _interval("test", scores, scores.values, scores.mean)


def compare(scores: Scores, controls: list[Scores]) -> dict:
    """Return the gain over the best control, with an interval paired by patients."""
    best = max(controls, key=lambda control: control.mean(control.y, control.values))
    n_draws = scores.values.shape[1]

    def gain(y: np.ndarray, values: np.ndarray) -> float:
        ours, theirs = values[:, :n_draws], values[:, n_draws:]
        return scores.mean(y, ours) - scores.mean(y, theirs)

    both = np.concatenate([scores.values, best.values], axis=1)
    return _interval("gain", scores, both, gain)


def raw_pixels(X: object) -> np.ndarray:
    """Return images as rows of 32 × 32 pixels, read as the pretrainer does."""
    source = make_source(X)
    survey = survey_images(source, range(len(source)))
    images = iter_batches(
        source,
        image_format=ImageFormat(n_channels=survey.n_channels),
        size=(32, 32),
        batch_size=256,
    )
    return torch.cat([batch.flatten(1) for batch in images]).numpy()


def _interval(
    name: str,
    scores: Scores,
    values: np.ndarray,
    metric: Callable[[np.ndarray, np.ndarray], float],
) -> dict:
    interval = bootstrap_interval(
        scores.y,
        values,
        metric=metric,
        groups=scores.groups,
        n_resamples=500,
        random_state=0,
    )
    rounded = {
        name: interval.estimate,
        f"{name}_low": interval.low,
        f"{name}_high": interval.high,
    }
    return {key: round(value, 4) for key, value in rounded.items()}
