"""A search by optuna is a scikit-learn search: folds, patients, metadata, errors."""

import pickle

import numpy as np
import pytest
import sklearn
from optuna.distributions import FloatDistribution
from optuna.pruners import MedianPruner
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.model_selection import KeepUnlabeledInTrain, OptunaSearchCV
from skssl.pretext import MoCo
from skssl.testing import tiny_cnn


def test_the_score_is_that_of_cross_validation(make_search, table):
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


def test_it_is_an_estimator(make_search, table):
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


def test_the_same_seed_gives_the_same_trials(make_search, table):
    first, second = (make_search(n_trials=12).fit(*table) for _ in range(2))
    assert first.cv_results_["params"] == second.cv_results_["params"]
    other = make_search(n_trials=12, random_state=1).fit(*table)
    assert other.cv_results_["params"] != first.cv_results_["params"]
    assert len({tuple(p.items()) for p in first.cv_results_["params"]}) > 6


def test_two_jobs_score_as_one(make_search, table):
    one = make_search(n_trials=3).fit(*table)
    two = make_search(n_trials=3, n_jobs=2).fit(*table)
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


def test_all_trials_have_the_same_folds_of_a_random_splitter(Constant, numbered):
    X, y = numbered
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


def test_folds_that_break_patients_are_refused(make_search, table):
    groups = np.arange(200) // 4
    with pytest.raises(
        ValueError,
        match=r"puts patient .* test set of fold 0",
    ):
        make_search(cv=[(range(101), range(101, 200))]).fit(*table, groups=groups)
    for estimator in (KNeighborsClassifier(), LogisticRegression()):
        search = make_search(cv=4, n_trials=1, refit=False)
        search.set_params(estimator=estimator, space={}).set_params(
            space={"n_neighbors": [3]} if "K" in repr(estimator) else {"C": [1.0]}
        )
        search.fit(*table, groups=groups)
        for train, test in search.splits_:
            assert not np.intersect1d(groups[train], groups[test]).size


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


def test_the_nested_recipes_of_the_guide(scans):
    pipe, space, step = searches(scans)["pipeline"]
    search = OptunaSearchCV(
        pipe, space, n_trials=1, cv=StratifiedGroupKFold(2), seeds=[0], n_jobs=2
    )
    outer = {"cv": StratifiedGroupKFold(2), "scoring": "roc_auc"}
    found = cross_validate(
        search,
        scans.data,
        scans.target,
        groups=scans.groups,
        params={"groups": scans.groups},
        error_score="raise",
        **outer,
    )
    with sklearn.config_context(enable_metadata_routing=True):
        pipe.named_steps[step].set_fit_request(groups=True)
        routed = cross_validate(
            search,
            scans.data,
            scans.target,
            params={"groups": scans.groups},
            error_score="raise",
            **outer,
        )
    np.testing.assert_array_equal(found["test_score"], routed["test_score"])


def test_transductive_scores_are_reported(scans):
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
def test_bad_parameters_are_named(make_search, table, options, message):
    with pytest.raises(ValueError, match=message):
        make_search(**options).fit(*table)


def test_groups_of_another_length_are_refused(make_search, table):
    with pytest.raises(ValueError, match="groups"):
        make_search().fit(*table, groups=[1, 2])
