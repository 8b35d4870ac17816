"""A stored study goes on with the same task, and with no other."""

import subprocess
import sys

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skssl import FineTuneClassifier, Phase, Probe, SelfSupervisedPretrainer
from skssl.model_selection import OptunaSearchCV
from skssl.testing import tiny_cnn


def test_a_study_is_not_carried_over_to_other_data(make_search, table, url):
    X, y = table
    search = make_search(storage=url, study_name="outer")
    first = search.fit(X[:150], y[:150]).study_
    second = search.fit(X[50:], y[50:]).study_
    assert first.study_name != second.study_name
    assert first.study_name.startswith("outer-")
    assert len(second.trials) == 6  # none of the first
    relabelled = search.fit(X[:150], 1 - y[:150]).study_
    assert len({first.study_name, second.study_name, relabelled.study_name}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"cv": 4},
        {"scoring": "roc_auc"},
        {"seeds": [0, 1]},
        {"space": {"n_neighbors": [1, 3]}},
        {"estimator": KNeighborsClassifier(weights="distance")},
    ],
)
def test_a_study_is_not_carried_over_to_another_task(make_search, table, url, change):
    search = make_search(storage=url, n_trials=1)
    name = search.fit(*table).study_.study_name
    assert search.set_params(**change).fit(*table).study_.study_name != name


def test_what_the_pruner_compares_is_part_of_the_study(scans, url):
    ssl = SelfSupervisedPretrainer(
        backbone=tiny_cnn, max_epochs=1, probe=Probe(LogisticRegression(), cv=2)
    )
    search = OptunaSearchCV(
        make_pipeline(ssl, LogisticRegression()),
        {"logisticregression__C": [1.0]},
        n_trials=1,
        cv=2,
        seeds=[0],
        storage=url,
        pruner=optuna.pruners.NopPruner(),
        refit=False,
    )
    names = [
        search.set_params(prune_by=how).fit(scans.data, scans.target).study_.study_name
        for how in ("fold", "probe", "fold")
    ]
    assert names[0] == names[2] != names[1]


def test_settings_without_effect_leave_the_study_as_it_is(scans, url, tmp_path):
    ssl = SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1, random_state=0)
    search = OptunaSearchCV(
        make_pipeline(ssl, LogisticRegression()),
        {"logisticregression__C": [1.0]},
        n_trials=1,
        cv=2,
        storage=url,
        refit=False,
    )
    names = set()
    for change in ({}, {"n_jobs": 1}, {"cache": tmp_path}, {"device": "cpu"}):
        search.estimator.steps[0][1].set_params(**change)
        search.fit(scans.data, scans.target)
        names.add(search.study_.study_name)
    search.estimator.fit(scans.data, scans.target)
    names.add(search.fit(scans.data, scans.target).study_.study_name)
    assert len(names) == 1
    assert len(search.study_.trials) == 1


def test_a_storage_wants_the_same_folds_in_each_run(make_search, table, url):
    with pytest.raises(ValueError, match="storage needs folds that are the same"):
        make_search(cv=ShuffleSplit(2), storage=url).fit(*table)


def test_images_count_by_their_content(scans, url, tmp_path):
    search = OptunaSearchCV(
        FineTuneClassifier(backbone=tiny_cnn, phases=[Phase(epochs=1)]),
        {"dropout": [0.1]},
        n_trials=1,
        cv=2,
        storage=url,
        refit=False,
    )
    name = search.fit(scans.data, scans.target).study_.study_name
    assert search.fit(list(scans.data), scans.target).study_.study_name == name
    changed = scans.data.copy()
    changed[0, 0, 0] ^= 1
    assert search.fit(changed, scans.target).study_.study_name != name


def test_a_search_goes_on_as_if_it_had_not_stopped(make_search, table, url):
    whole = make_search(n_trials=16).fit(*table)
    make_search(n_trials=5, storage=url).fit(*table)
    parts = make_search(n_trials=16, storage=url).fit(*table)
    assert parts.cv_results_["params"] == whole.cv_results_["params"]
    assert len(parts.study_.trials) == 16
    again = make_search(n_trials=16, storage=url).fit(*table)
    assert len(again.study_.trials) == 16  # nothing was left to do
    assert again.best_params_ == whole.best_params_


def test_an_error_is_raised_and_loses_no_trial(Constant, numbered, url):
    X, y = numbered
    levels = iter([0.1, 0.2, None])

    def space(trial):
        trial.suggest_float("level", 0, 1)
        level = next(levels)
        return {"fails": True} if level is None else {"level": level}

    search = OptunaSearchCV(Constant(), space, n_trials=4, cv=2, storage=url)
    with pytest.raises(RuntimeError, match="out of memory"):
        search.fit(X, y)
    study = optuna.load_study(
        study_name=optuna.get_all_study_names(url)[0], storage=url
    )
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL"]


SCRIPT = """
import sys, time
import numpy as np
from optuna.distributions import FloatDistribution
from sklearn.linear_model import LogisticRegression
from skssl.model_selection import OptunaSearchCV
X = np.random.default_rng(0).normal(size=(40, 3))
y = np.arange(40) % 2
class Slow(LogisticRegression):
    def fit(self, X, y):
        print("fit", flush=True)
        time.sleep(0.4 if sys.argv[2] == "killed" else 0)
        return super().fit(X, y)
search = OptunaSearchCV(Slow(), {"C": FloatDistribution(0.01, 10, log=True)},
    n_trials=6, cv=2, storage=sys.argv[1], random_state=0, refit=False).fit(X, y)
print([round(p["C"], 6) for p in search.cv_results_["params"]])
"""


def test_a_killed_search_goes_on(tmp_path):
    command = [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path / 'search.db'}"]
    run = subprocess.Popen([*command, "killed"], stdout=subprocess.PIPE, text=True)
    for _ in range(5):  # in the midst of the third trial
        run.stdout.readline()
    run.kill()
    run.wait()
    run.stdout.close()
    *fits, drawn = subprocess.run(
        [*command, "whole"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert fits == ["fit"] * 8
    whole = OptunaSearchCV(
        LogisticRegression(),
        {"C": FloatDistribution(0.01, 10, log=True)},
        n_trials=6,
        cv=2,
        random_state=0,
    ).fit(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)
    expected = [round(params["C"], 6) for params in whole.cv_results_["params"]]
    assert drawn == str(expected)
