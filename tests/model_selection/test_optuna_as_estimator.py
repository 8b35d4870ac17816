"""scikit-learn's own checks, samplers of all kinds, and scores that are none."""

import warnings
from functools import partial

import numpy as np
import optuna
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_estimator

from skssl.model_selection import OptunaSearchCV


@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge()])
def test_scikit_learns_own_checks(estimator):
    search = OptunaSearchCV(
        estimator,
        {"C" if "C" in estimator.get_params() else "alpha": [0.1, 1.0]},
        n_trials=1,
        cv=2,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {
        row["check_name"]: row["exception"]
        for row in results
        if row["status"] == "failed"
    }
    assert failed == {}
    assert sum(row["status"] == "passed" for row in results) > 40


def test_a_score_of_nan_is_an_error(make_search, table):
    def undefined(model, X, y):
        return float("nan")

    with pytest.raises(ValueError, match=r"score of fold 0 with .* is nan"):
        make_search(scoring=undefined).fit(*table)


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.RandomSampler,
        partial(optuna.samplers.QMCSampler, qmc_type="halton"),
        lambda seed: optuna.samplers.GridSampler({"n_neighbors": [1, 2]}, seed=0),
        optuna.samplers.GridSampler({"n_neighbors": [1, 2]}),
        "brute force",
    ],
)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_samplers_that_end_by_themselves(table, sampler):
    if sampler == "brute force":
        sampler = optuna.samplers.BruteForceSampler()
    search = OptunaSearchCV(
        KNeighborsClassifier(),
        {"n_neighbors": np.arange(1, 3)},
        n_trials=6,
        cv=2,
        sampler=sampler,
        random_state=0,
    ).fit(*table)
    tried = {params["n_neighbors"] for params in search.cv_results_["params"]}
    assert tried == {1, 2}
    assert 2 <= len(search.cv_results_["params"]) <= 6
