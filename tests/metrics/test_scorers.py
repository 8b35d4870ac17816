"""Scorers in scikit-learn's tools."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier

from skssl.metrics import clinical_scorers, expected_calibration_error

NAMES = {
    "sensitivity",
    "specificity",
    "hm",
    "balanced_accuracy",
    "roc_auc",
    "sensitivity_at_specificity",
    "neg_ece",
}


@pytest.fixture
def cancers():
    X, y = load_breast_cancer(return_X_y=True)
    return X[::3, :2], np.array(["malignant", "benign"])[y[::3]]


@pytest.mark.parametrize("routing", [False, True])
def test_they_serve_as_scoring(cancers, routing):
    with config_context(enable_metadata_routing=routing):
        done = cross_validate(
            LogisticRegression(max_iter=10_000),
            *cancers,
            scoring=clinical_scorers("malignant"),
            cv=3,
            n_jobs=2,
            error_score="raise",
        )
    assert {f"test_{name}" for name in NAMES} <= set(done)
    se, sp = done["test_sensitivity"], done["test_specificity"]
    np.testing.assert_allclose(done["test_balanced_accuracy"], (se + sp) / 2)
    np.testing.assert_allclose(done["test_hm"], 2 * se * sp / (se + sp))
    assert np.all(done["test_roc_auc"] > 0.8)


@pytest.mark.parametrize("clf", [KNeighborsClassifier(9), RidgeClassifier()])
def test_either_class_of_two_may_be_looked_for(cancers, clf):
    X, y = cancers
    clf = clf.fit(X, y)
    for label in ("benign", "malignant"):
        if hasattr(clf, "predict_proba"):
            place = clf.classes_.tolist().index(label)
            score = clf.predict_proba(X)[:, place]
            ece = clinical_scorers(label)["neg_ece"](clf, X, y)
            result = expected_calibration_error(y, score, pos_label=label)
            assert ece == -result
        else:
            score = clf.decision_function(X) * (1 if label == "malignant" else -1)
        auc = clinical_scorers(label)["roc_auc"](clf, X, y)
        assert auc == pytest.approx(roc_auc_score(y == label, score))


def test_one_of_several_classes():
    X, y = load_iris(return_X_y=True)
    clf = LogisticRegression(max_iter=1000).fit(X[:, :2], y)
    scorers = clinical_scorers(1)
    score = clf.decision_function(X[:, :2])[:, 1]
    result = scorers["roc_auc"](clf, X[:, :2], y)
    assert result == pytest.approx(roc_auc_score(y == 1, score))
    # A fold without the class is no crash.
    with pytest.warns(UndefinedMetricWarning, match="one class only"):
        assert np.isnan(scorers["roc_auc"](clf, X[:5, :2], y[:5]))
    # Nor is one of two other classes.
    for name, scorer in clinical_scorers(2).items():
        if name in ("roc_auc", "sensitivity_at_specificity", "sensitivity", "hm"):
            with pytest.warns(UndefinedMetricWarning):
                result = scorer(clf, X[:60, :2], y[:60])
            assert np.isnan(result) or result == 0
    with pytest.raises(ValueError, match="pos_label=7 is none of the classes"):
        clinical_scorers(7)["roc_auc"](clf, X[:, :2], y)


def test_in_a_search(cancers):
    search = GridSearchCV(
        LogisticRegression(max_iter=10_000),
        {"C": [0.01, 1]},
        scoring=clinical_scorers("malignant", specificity=0.8),
        refit="sensitivity_at_specificity",
        cv=StratifiedKFold(3),
    ).fit(*cancers)
    result = search.cv_results_["mean_test_sensitivity_at_specificity"]
    assert search.best_score_ == result.max() > 0.5
    assert search.best_params_["C"] == [0.01, 1][result.argmax()]


def test_a_method_that_is_missing(cancers):
    X, y = cancers
    clf = RidgeClassifier().fit(X, y)
    with pytest.raises(ValueError, match="has none of"):
        clinical_scorers("benign")["neg_ece"](clf, X, y)
