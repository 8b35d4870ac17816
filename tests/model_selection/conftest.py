"""Searches that take no time, and a classifier whose score is a parameter."""

import numpy as np
import pytest
from optuna.distributions import IntDistribution
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.neighbors import KNeighborsClassifier

from skssl.datasets import make_scan_phantoms
from skssl.model_selection import OptunaSearchCV


@pytest.fixture(scope="session")
def table():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:200, :3], y[:200]


@pytest.fixture(scope="session")
def scans():
    return make_scan_phantoms(12, images_per_patient=2, image_size=16, random_state=0)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'search.db'}"


@pytest.fixture(scope="session")
def make_search():
    """Return a function that makes a search for the number of neighbours."""

    def make(**options):
        space = {"n_neighbors": IntDistribution(1, 30)}
        settings = {"space": space, "n_trials": 6, "cv": 3, "random_state": 0}
        return OptunaSearchCV(KNeighborsClassifier(), **{**settings, **options})

    return make


@pytest.fixture
def Constant():
    """Return a classifier that notes its parameters and its rows."""

    class Constant(ClassifierMixin, BaseEstimator):
        seen = []

        def __init__(self, level=0.5, random_state=None, fails=False):
            self.level = level
            self.random_state = random_state
            self.fails = fails

        def fit(self, X, y, groups=None):
            if self.fails:
                raise RuntimeError("out of memory")
            self.classes_ = np.unique(y)
            self.seen.append((self.level, self.random_state, np.ravel(X).tolist()))
            return self

        def predict(self, X):
            return np.full(len(X), self.classes_[0])

        def score(self, X, y):
            return self.level + 0.01 * X[0, 0]

    return Constant


@pytest.fixture
def numbered():
    """Return rows that hold their numbers, and labels."""
    return np.arange(12.0)[:, None], np.arange(12) % 2
