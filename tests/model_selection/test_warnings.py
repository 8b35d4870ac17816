"""Warnings given inside a search or a curve point at the user's line."""

import warnings

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import UndefinedMetricWarning

from skssl.metrics import clinical_scorers, sensitivity_score
from skssl.model_selection import OptunaSearchCV, fraction_curve

X, Y = np.zeros((12, 1)), np.array([0, 1, 2] * 4)


def assert_points_here(caught):
    undefined = [w for w in caught if w.category is UndefinedMetricWarning]
    assert undefined
    assert {warning.filename for warning in undefined} == {__file__}


def test_a_search_warns_at_the_call_of_fit():
    test = np.flatnonzero(Y != 1)  # no positive rows
    search = OptunaSearchCV(
        DummyClassifier(),
        {"strategy": ["prior"]},
        n_trials=1,
        cv=[(np.arange(12), test)],
        scoring=clinical_scorers()["sensitivity"],
        refit=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedMetricWarning)
        search.fit(X, Y)
    assert_points_here(caught)


def test_a_curve_warns_at_its_call():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedMetricWarning)
        fraction_curve(
            PredictsOne(),
            X,
            np.zeros(12, int),
            label_fractions=(1.0,),
            cv=2,
            metric=sensitivity_score,
            response_method=("predict",),
            n_resamples=2,
        )
    assert_points_here(caught)


class PredictsOne(DummyClassifier):
    """Predict a class that does not occur, whose sensitivity is undefined."""

    def predict(self, X):
        return np.ones(len(X), int)
