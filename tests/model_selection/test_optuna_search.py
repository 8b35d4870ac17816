"""A search by optuna: fixed folds, resumed studies, early ends, and no leaks."""

import pickle
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
import sklearn
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner, ThresholdPruner
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skssl import DiskCache, FineTuneClassifier, Phase, Probe, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.model_selection import KeepUnlabeledInTrain, OptunaSearchCV
from skssl.pretext import MoCo
from skssl.testing import tiny_cnn

NEIGHBORS = {"n_neighbors": IntDistribution(1, 30)}


@pytest.fixture(scope="module")
def table():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:200, :3], y[:200]


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(12, images_per_patient=2, image_size=16, random_state=0)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'search.db'}"


def make_search(**options):
    settings = {"n_trials": 6, "cv": 3, "random_state": 0, **options}
    return OptunaSearchCV(KNeighborsClassifier(), NEIGHBORS, **settings)


class Constant(ClassifierMixin, BaseEstimator):
    """A classifier whose score is a parameter, and which notes its rows."""

    seen: list = []

    def __init__(self, level=0.5, random_state=None, fails=False):
        self.level = level
        self.random_state = random_state
        self.fails = fails

    def fit(self, X, y, groups=None):
        if self.fails:
            raise RuntimeError("out of memory")
        self.classes_ = np.unique(y)
        Constant.seen.append((self.level, self.random_state, np.ravel(X).tolist()))
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return self.level + 0.01 * X[0, 0]


@pytest.fixture
def constant():
    Constant.seen = []
    return np.arange(12.0)[:, None], np.arange(12) % 2


def test_the_score_is_that_of_cross_validation(table):
    search = make_search(scoring="roc_auc").fit(*table)
    for params, *scores in zip(
        search.cv_results_["params"],
        *(search.cv_results_[f"split{k}_test_score"] for k in range(3)),
        strict=True,
    ):
        model = KNeighborsClassifier(**params)
        expected = cross_val_score(model, *table, cv=3, scoring="roc_auc")
        np.testing.assert_allclose(scores, expected, rtol=0, atol=0)
    mean = search.cv_results_["mean_test_score"]
    assert search.best_score_ == mean.max()
    assert search.cv_results_["rank_test_score"][search.best_index_] == 1
    best = KNeighborsClassifier(**search.best_params_).fit(*table)
    np.testing.assert_array_equal(
        search.predict_proba(table[0]), best.predict_proba(table[0])
    )
    auc = roc_auc_score(table[1], best.predict_proba(table[0])[:, 1])
    assert search.score(*table) == auc


def test_it_is_an_estimator(table):
    search = make_search()
    assert is_classifier(search)
    assert clone(search).get_params()["n_trials"] == 6
    search.set_params(estimator__weights="distance")
    search.fit(*table)
    assert search.best_estimator_.weights == "distance"
    assert search.classes_.tolist() == [0, 1]
    loaded = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(loaded.predict(table[0]), search.predict(table[0]))
    nested = cross_val_score(make_search(n_trials=2), *table, scoring="roc_auc", cv=3)
    assert np.isfinite(nested).all()
    unfitted = make_search(refit=False).fit(*table)
    assert not hasattr(unfitted, "best_estimator_")
    assert unfitted.best_params_ == search.best_params_


def test_the_same_seed_gives_the_same_trials(table):
    first, second = (make_search(n_trials=12).fit(*table) for _ in range(2))
    assert first.cv_results_["params"] == second.cv_results_["params"]
    other = make_search(n_trials=12, random_state=1).fit(*table)
    assert other.cv_results_["params"] != first.cv_results_["params"]
    assert len({tuple(p.items()) for p in first.cv_results_["params"]}) > 6


def test_two_jobs_score_as_one(table):
    one = make_search(n_trials=3).fit(*table)
    two = make_search(n_trials=3, n_jobs=2).fit(*table)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


# Leaks ------------------------------------------------------------------------------


def test_all_trials_have_the_same_folds_though_the_splitter_is_random(constant):
    X, y = constant
    search = OptunaSearchCV(
        Constant(),
        {"level": FloatDistribution(0, 1)},
        n_trials=5,
        cv=ShuffleSplit(2),
        refit=False,
    ).fit(X, y)
    drawn = {}
    for level, _, rows in Constant.seen:
        drawn.setdefault(level, []).append(rows)
    folds = [train.tolist() for train, _ in search.splits_]
    assert list(drawn.values()) == [folds] * 5


def test_a_study_is_not_carried_over_to_other_data(table, url):
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
def test_a_study_is_not_carried_over_to_another_task(table, url, change):
    search = make_search(storage=url, n_trials=1)
    name = search.fit(*table).study_.study_name
    assert search.set_params(**change).fit(*table).study_.study_name != name


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


def test_folds_that_break_patients_are_refused(table):
    groups = np.arange(200) // 4
    with pytest.raises(ValueError, match=r"puts patient .* into both parts of fold 0"):
        make_search(cv=[(range(101), range(101, 200))]).fit(*table, groups=groups)
    for estimator in (KNeighborsClassifier(), LogisticRegression()):
        search = make_search(cv=4, n_trials=1, refit=False)
        search.set_params(estimator=estimator, space={}).set_params(
            space={"n_neighbors": [3]} if "K" in repr(estimator) else {"C": [1.0]}
        )
        search.fit(*table, groups=groups)
        for train, test in search.splits_:
            assert not np.intersect1d(groups[train], groups[test]).size


# Going on ---------------------------------------------------------------------------


def test_a_search_goes_on_as_if_it_had_not_stopped(table, url):
    whole = make_search(n_trials=16).fit(*table)
    make_search(n_trials=5, storage=url).fit(*table)
    parts = make_search(n_trials=16, storage=url).fit(*table)
    assert parts.cv_results_["params"] == whole.cv_results_["params"]
    assert len(parts.study_.trials) == 16
    again = make_search(n_trials=16, storage=url).fit(*table)
    assert len(again.study_.trials) == 16  # nothing was left to do
    assert again.best_params_ == whole.best_params_


def test_an_error_is_raised_and_loses_no_trial(constant, url):
    X, y = constant
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


def test_time_is_up(table):
    start = time.perf_counter()
    search = make_search(n_trials=10_000, timeout=0.5).fit(*table)
    assert time.perf_counter() - start < 20
    assert 1 <= len(search.cv_results_["params"]) < 10_000
    with pytest.raises(ValueError, match="none of 0 trials was completed"):
        make_search(timeout=0).fit(*table)


# Seeds and early ends ---------------------------------------------------------------


def test_seeds_are_set_everywhere_and_averaged(constant):
    X, y = constant
    search = OptunaSearchCV(
        Constant(), {"level": [0.3]}, n_trials=1, cv=2, seeds=[7, 8]
    ).fit(X, y)
    assert [seed for _, seed, _ in Constant.seen] == [7, 7, 8, 8, 7]
    scores = [search.cv_results_[f"split{k}_test_score"][0] for k in range(4)]
    np.testing.assert_allclose(search.best_score_, np.mean(scores))


def test_bad_trials_are_given_up_after_a_fold(constant):
    X, y = constant
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


def test_objects_are_parameters_of_a_function(scans, url):
    clf = FineTuneClassifier(
        SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1),
        phases=[Phase(epochs=1)],
    )

    def space(trial):
        size = trial.suggest_categorical("queue", [8, 16])
        return {"pretrainer__pretext": MoCo(queue_size=size)}

    search = OptunaSearchCV(
        clf, space, n_trials=2, cv=2, seeds=[0], storage=url, random_state=0
    ).fit(scans.data, scans.target)
    assert isinstance(search.best_params_["pretrainer__pretext"], MoCo)
    sizes = [trial.params["queue"] for trial in search.study_.trials]
    assert [
        p["pretrainer__pretext"].queue_size for p in search.cv_results_["params"]
    ] == sizes
    assert search.predict(scans.data).shape == (24,)


# Patients and metadata --------------------------------------------------------------


def searches(scans):
    ssl = SelfSupervisedPretrainer("simclr", backbone=tiny_cnn, max_epochs=1)
    pipe = Pipeline([("ssl", ssl), ("clf", LogisticRegression())])
    clf = FineTuneClassifier(ssl, phases=[Phase(epochs=1)], validation_fraction=0.25)
    return {
        "pipeline": (pipe, {"clf__C": [0.1, 1.0]}, "ssl"),
        "fine-tuning": (clf, {"dropout": [0.1]}, None),
    }


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["pipeline", "fine-tuning"])
@pytest.mark.parametrize("cv", [2, StratifiedGroupKFold(2)])
def test_both_estimators_with_patients(scans, kind, n_jobs, cv):
    estimator, space, step = searches(scans)[kind]
    search = OptunaSearchCV(
        estimator, space, n_trials=1, cv=cv, seeds=[0], n_jobs=n_jobs, scoring="roc_auc"
    )
    name = "groups" if step is None else f"{step}__groups"
    with_params = {} if step is None else {name: scans.groups}
    search.fit(scans.data, scans.target, groups=scans.groups, **with_params)
    assert 0 <= search.best_score_ <= 1
    with sklearn.config_context(enable_metadata_routing=True):
        asking = clone(estimator)
        (asking if step is None else asking.named_steps[step]).set_fit_request(
            groups=True
        )
        routed = clone(search).set_params(estimator=asking)
        routed.fit(scans.data, scans.target, groups=scans.groups)
    if step is not None:
        assert routed.best_score_ == search.best_score_


def test_groups_reach_the_classifier_by_routing(scans):
    clf = FineTuneClassifier(
        backbone=tiny_cnn, phases=[Phase(epochs=1)], validation_fraction=0.25
    )
    with sklearn.config_context(enable_metadata_routing=True):
        search = OptunaSearchCV(
            clf.set_fit_request(groups=True), {"dropout": [0.1]}, n_trials=1, seeds=[0]
        ).set_params(cv=GroupKFold(2))
        search.fit(scans.data, scans.target, groups=scans.groups)
    held = search.best_estimator_.validation_indices_
    rest = np.setdiff1d(np.arange(len(scans.data)), held)
    groups = np.asarray(scans.groups)
    assert not np.intersect1d(groups[held], groups[rest]).size


def test_transductive_scores_are_told(scans):
    y = np.asarray(scans.target).copy()
    y[:4] = -1
    clf = FineTuneClassifier(
        SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=1),
        phases=[Phase(epochs=1)],
    )
    for transductive in (False, True):
        cv = KeepUnlabeledInTrain(2, transductive=transductive)
        search = OptunaSearchCV(clf, {"dropout": [0.1]}, n_trials=1, cv=cv, refit=False)
        search.fit(scans.data, y, groups=scans.groups)
        assert search.transductive_ is transductive


# Errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {}}, "space is empty"),
        ({"space": {"n_neighbours": [1]}}, "space has 'n_neighbours'"),
        ({"space": {"n_neighbors": 3}}, r"space\['n_neighbors'\] must be an optuna"),
        ({"space": {"weights": [print]}}, r"space\['weights'\] must be an optuna"),
        ({"seeds": []}, "seeds is empty"),
        ({"n_trials": 0}, "'n_trials' parameter"),
        ({"scoring": ["roc_auc", "accuracy"]}, "'scoring' parameter"),
        ({"prune_by": "epoch"}, "'prune_by' parameter"),
        (
            {"prune_by": "probe", "pruner": MedianPruner()},
            "prune_by='probe' needs a pretrainer with a probe",
        ),
    ],
)
def test_bad_parameters_are_named(table, options, message):
    with pytest.raises(ValueError, match=message):
        make_search(**{k: v for k, v in options.items() if k != "space"}).set_params(
            space=options.get("space", NEIGHBORS)
        ).fit(*table)


def test_groups_of_another_length_are_refused(table):
    with pytest.raises(ValueError, match="groups"):
        make_search().fit(*table, groups=[1, 2])
