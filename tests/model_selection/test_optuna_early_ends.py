"""Seeds, trials that are given up, time that is up."""

import time

import numpy as np
import optuna
import pytest
from optuna.pruners import MedianPruner, ThresholdPruner
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from skssl import DiskCache, Probe, SelfSupervisedPretrainer
from skssl.model_selection import OptunaSearchCV
from skssl.testing import tiny_cnn


def test_time_is_up(make_search, table):
    start = time.perf_counter()
    search = make_search(n_trials=10_000, timeout=0.5).fit(*table)
    assert time.perf_counter() - start < 20
    assert 1 <= len(search.cv_results_["params"]) < 10_000
    with pytest.raises(ValueError, match="none of 0 trials was completed"):
        make_search(timeout=0).fit(*table)


def test_seeds_are_set_everywhere_and_averaged(Constant, numbered):
    X, y = numbered
    search = OptunaSearchCV(
        Constant(), {"level": [0.3]}, n_trials=1, cv=2, seeds=[7, 8]
    ).fit(X, y)
    assert [seed for _, seed, _ in Constant.seen] == [7, 7, 8, 8, 7]
    scores = [search.cv_results_[f"split{k}_test_score"][0] for k in range(4)]
    np.testing.assert_allclose(search.best_score_, np.mean(scores))


def test_seeds_reach_objects_that_a_space_makes(scans):
    def space(trial):
        trial.suggest_float("nothing", 0, 1)
        ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1)
        return {"ssl": ssl}

    pipe = Pipeline([("ssl", "passthrough"), ("clf", LogisticRegression())])
    search = OptunaSearchCV(pipe, space, n_trials=1, cv=2, seeds=[5])
    search.fit(scans.data, scans.target)
    assert search.best_estimator_.get_params()["ssl__random_state"] == 5


def test_two_jobs_give_up_in_rounds(table):
    def space(trial):
        return {"C": [1.0, 1e-9, 1e-9][trial.number]}

    rounds = []
    for n_jobs in (1, 2):
        search = OptunaSearchCV(
            LogisticRegression(),
            space,
            n_trials=3,
            cv=5,
            n_jobs=n_jobs,
            pruner=MedianPruner(n_startup_trials=1),
            scoring="neg_log_loss",
            refit=False,
        ).fit(*table)
        states = search.cv_results_["state"].tolist()
        assert states == ["COMPLETE", "PRUNED", "PRUNED"]
        rounds.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*rounds)


def test_bad_trials_are_given_up_after_a_fold(Constant, numbered):
    X, y = numbered
    search = OptunaSearchCV(
        Constant(),
        lambda trial: {"level": [0.5, 0.1, 0.9, 0.2][trial.number]},
        n_trials=4,
        cv=3,
        pruner=MedianPruner(n_startup_trials=1),
        refit=False,
    ).fit(X, y)
    states = search.cv_results_["state"].tolist()
    assert states == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert len(Constant.seen) == 3 + 1 + 3 + 1
    mean = search.cv_results_["mean_test_score"]
    assert np.isnan(mean).tolist() == [False, True, False, True]
    assert np.isfinite(search.cv_results_["split0_test_score"]).all()
    assert np.isnan(search.cv_results_["split1_test_score"][1])
    assert search.cv_results_["rank_test_score"].tolist() == [2, 3, 1, 3]
    assert search.best_params_ == {"level": 0.9}
    with pytest.raises(ValueError, match="none of 4 trials was completed"):
        search.set_params(pruner=ThresholdPruner(lower=2.0)).fit(X, y)


@pytest.fixture
def probed():
    return Pipeline(
        [
            (
                "ssl",
                SelfSupervisedPretrainer(
                    backbone=tiny_cnn,
                    max_epochs=3,
                    probe=Probe(LogisticRegression(), every=1, cv=2),
                    random_state=0,
                ),
            ),
            ("clf", LogisticRegression()),
        ]
    )


@pytest.mark.parametrize("with_cache", [False, True])
def test_bad_trials_are_given_up_by_their_probe(probed, scans, tmp_path, with_cache):
    if with_cache:
        probed.set_params(ssl__cache=DiskCache(tmp_path))
    search = OptunaSearchCV(
        probed,
        {"clf__C": [0.1, 1.0]},
        n_trials=2,
        cv=2,
        pruner=optuna.pruners.NopPruner(),
        prune_by="probe",
        refit=False,
        random_state=0,
    ).fit(scans.data, scans.target, groups=scans.groups)
    train, _ = search.splits_[0]
    ssl = clone(probed.named_steps["ssl"]).set_params(cache=None)
    rows = ssl.fit(scans.data[train], np.asarray(scans.target)[train]).history_
    expected = {row["epoch"]: row["probe_score"] for row in rows}
    assert len(expected) == 3
    for trial in search.study_.trials:  # also where the second recalls the first
        assert trial.intermediate_values == expected
    given_up = clone(search).set_params(pruner=ThresholdPruner(lower=2.0))
    with pytest.raises(ValueError, match="none of 2 trials was completed"):
        given_up.fit(scans.data, scans.target, groups=scans.groups)
    assert [len(t.intermediate_values) for t in given_up.study_.trials] == [1, 1]
