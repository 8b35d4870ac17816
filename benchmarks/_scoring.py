"""Logistic regression on features, its C chosen by patient-grouped folds."""

import numpy as np
import torch
from _studies import Study
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skssl.data import ImageFormat, iter_batches, make_source, survey_images
from skssl.metrics import bootstrap_interval

C_GRID = [0.001, 0.01, 0.1, 1.0]
FOLDS = StratifiedGroupKFold(5, shuffle=True, random_state=0)


def make_probe(pca_seed: int | None = None) -> Pipeline:
    """Return scaled logistic regression, after a PCA if a seed for it is given."""
    steps: list = [StandardScaler()]
    if pca_seed is not None:
        steps.append(PCA(0.95, random_state=pca_seed))
    logistic = LogisticRegression(class_weight="balanced", max_iter=2000)
    return make_pipeline(*steps, logistic)


def choose(
    probe: Pipeline, h: np.ndarray, y: np.ndarray, groups: np.ndarray, metric: str
) -> GridSearchCV:
    """Choose C by patient-grouped cross-validation, and refit."""
    search = GridSearchCV(
        probe,
        {"logisticregression__C": C_GRID},
        scoring=metric,
        cv=FOLDS,
        error_score="raise",
    )
    return search.fit(h, y, groups=groups)


def score_test(probe: Pipeline, features: list[np.ndarray], study: Study) -> dict:
    """Choose C on the labelled images, then score the test set once.

    Of several draws of labels the figures are means, and the interval is of the mean.
    """
    h, h_test = features
    searches = [
        choose(probe, h[rows], study.y[rows], study.groups[rows], study.metric)
        for rows in study.label_sets or [np.arange(len(study.y))]
    ]
    if study.metric == "accuracy":
        outputs, metric = [s.predict(h_test) for s in searches], accuracy_score
    else:
        outputs = [s.decision_function(h_test) for s in searches]
        metric = roc_auc_score

    def mean_score(y: np.ndarray, scores: np.ndarray) -> float:
        return float(np.mean([metric(y, column) for column in scores.T]))

    scores = np.stack(outputs, axis=1)  # (n_test, n_draws)
    return {
        "cv": round(float(np.mean([s.best_score_ for s in searches])), 4),
        "C": np.median([s.best_params_["logisticregression__C"] for s in searches]),
        **_interval(study.y_test, scores, mean_score, study.groups_test),
    }


def score_folds(probe: Pipeline, h: np.ndarray, study: Study) -> dict:
    """Score each fold by a regression, C included, that did not see its patients."""
    scores = np.empty(len(study.y))
    for train, test in FOLDS.split(h, study.y, study.groups):
        search = choose(
            probe, h[train], study.y[train], study.groups[train], study.metric
        )
        scores[test] = search.decision_function(h[test])
    return _interval(study.y, scores, roc_auc_score, study.groups)


def raw_pixels(X: object) -> np.ndarray:
    """Return images as rows of 32 × 32 pixels, read as the pretrainer reads them."""
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
    y: np.ndarray, scores: np.ndarray, metric: object, groups: np.ndarray
) -> dict:
    interval = bootstrap_interval(
        y, scores, metric=metric, groups=groups, n_resamples=500, random_state=0
    )
    figures = {
        "test": interval.estimate,
        "test_low": interval.low,
        "test_high": interval.high,
    }
    return {name: round(value, 4) for name, value in figures.items()}
