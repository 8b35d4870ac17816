"""Choosing a checkpoint: monitors, select, and a probe by grouped folds."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    PredefinedSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from skorch.callbacks import EarlyStopping

from skssl import Probe, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.exceptions import SelectionWarning
from skssl.pretext import SimCLR
from skssl.testing import tiny_cnn

KNN = KNeighborsClassifier(3)


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(14, image_size=24, random_state=0)


def make_ssl(**options):
    settings = {"backbone": tiny_cnn, "max_epochs": 4, "random_state": 0, **options}
    return SelfSupervisedPretrainer(**settings)


def weights_of(ssl):
    return [p.detach().numpy() for p in ssl.backbone_.parameters()]


def assert_same_weights(first, second):
    for ours, theirs in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_monitors_are_in_every_row(scans):
    for row in make_ssl().fit(scans.data).history_:
        assert 0 < row["feature_std"] <= 1
        assert 1 <= row["rankme"] <= 16
        assert 0 <= row["alignment"] <= 4
        assert row["uniformity"] < 0


def test_monitors_and_probes_do_not_change_the_training(scans):
    plain = make_ssl().fit(scans.data)
    probed = make_ssl(probe=Probe(KNN, every=1, cv=2)).fit(scans.data, scans.target)
    assert_same_weights(plain, probed)


def test_rankme_keeps_the_epoch_of_the_highest_rank(scans):
    ssl = make_ssl(select="rankme", lr=0.05).fit(scans.data)
    ranks = [row["rankme"] for row in ssl.history_]
    assert ssl.selected_epoch_ == 1 + int(np.argmax(ranks))


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_callable_keeps_the_weights_of_its_epoch(scans, epoch):
    """The schedule is constant, so a shorter training has the same first epochs."""
    settings = {"schedule": "constant", "warmup_epochs": 0}
    chosen = make_ssl(select=lambda row: -abs(row["epoch"] - epoch), **settings)
    chosen.fit(scans.data)
    assert chosen.selected_epoch_ == epoch
    assert chosen.n_iter_ == 4
    shorter = make_ssl(max_epochs=epoch, **settings).fit(scans.data)
    assert shorter.selected_epoch_ == epoch
    assert_same_weights(chosen, shorter)
    np.testing.assert_array_equal(
        chosen.transform(scans.data), shorter.transform(scans.data)
    )


def test_select_by_name_equals_the_callable_and_pickles(scans):
    probe = Probe(KNN, every=2, cv=2)
    by_name, by_hand = (
        make_ssl(probe=probe, select=select).fit(scans.data, scans.target)
        for select in ("probe", lambda row: row.get("probe_score"))
    )
    assert by_name.selected_epoch_ == by_hand.selected_epoch_
    assert_same_weights(by_name, by_hand)
    loaded = pickle.loads(pickle.dumps(by_name))
    assert_same_weights(by_name, loaded)


def test_select_restores_the_statistics_of_batchnorm(scans):
    settings = {"schedule": "constant", "warmup_epochs": 0}
    chosen = make_ssl(select=lambda row: -row["epoch"], **settings).fit(scans.data)
    shorter = make_ssl(max_epochs=1, **settings).fit(scans.data)
    ours, theirs = (s.backbone_.state_dict() for s in (chosen, shorter))
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_ctrl_c_in_the_first_probe_leaves_the_earlier_fit(scans):
    class Interrupted(KNeighborsClassifier):
        def fit(self, X, y):
            raise KeyboardInterrupt

    ssl = make_ssl().fit(scans.data)
    before = ssl.transform(scans.data)
    ssl.set_params(probe=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ssl.fit(scans.data, scans.target)
    np.testing.assert_array_equal(ssl.transform(scans.data), before)


def test_a_probe_of_torch_does_not_change_the_training(scans):
    class Drawing(KNeighborsClassifier):
        def fit(self, X, y):
            torch.rand(3)
            return super().fit(X, y)

    def dropping():
        return torch.nn.Sequential(tiny_cnn(), torch.nn.Dropout(0.3))

    weights = [
        make_ssl(backbone=dropping, probe=Probe(estimator, every=1, cv=2)).fit(
            scans.data, scans.target
        )
        for estimator in (KNN, Drawing(3))
    ]
    assert_same_weights(*weights)


def test_load_best_would_overrule_select(scans):
    stop = EarlyStopping(monitor="loss", load_best=True)
    with pytest.raises(ValueError, match="load_best=True"):
        make_ssl(callbacks=[stop]).fit(scans.data)


@pytest.mark.parametrize("score", [None, math.nan])
def test_no_score_at_all_keeps_the_last_and_warns(scans, score):
    with pytest.warns(SelectionWarning, match="no epoch a score"):
        ssl = make_ssl(select=lambda row: score).fit(scans.data)
    assert ssl.selected_epoch_ == 4
    assert_same_weights(ssl, make_ssl().fit(scans.data))


def test_an_untrained_network_has_no_epoch(scans):
    ssl = make_ssl(max_epochs=0, select="rankme").fit(scans.data)
    assert ssl.selected_epoch_ == 0


def test_probe_scores_every_k_epochs_and_the_last(scans):
    probe = Probe(KNN, every=3, cv=2)
    ssl = make_ssl(probe=probe).fit(scans.data, scans.target, groups=scans.groups)
    assert ["probe_score" in row for row in ssl.history_] == [False, False, True, True]
    assert 0 <= ssl.initial_probe_score_ <= 1
    last = ssl.history_[-1]
    # by hand: the same folds on the features that transform gives
    splits = probe.draw_folds(scans.target, scans.groups, 0)
    for train, test in splits:
        assert not set(scans.groups[train]) & set(scans.groups[test])
    assert last["probe_std"] >= 0


def test_probe_score_is_that_of_the_features(scans):
    """An own splitter makes the folds known; sizes agree, so features do, too."""
    probe = Probe(KNN, every=1, cv=GroupKFold(3))
    ssl = make_ssl(probe=probe, max_epochs=1)
    ssl.fit(scans.data, scans.target, groups=scans.groups)
    h = ssl.transform(scans.data)
    scores = [
        KNN.fit(h[train], scans.target[train]).score(h[test], scans.target[test])
        for train, test in GroupKFold(3).split(h, scans.target, scans.groups)
    ]
    assert ssl.history_[0]["probe_score"] == pytest.approx(np.mean(scores))
    assert ssl.history_[0]["probe_std"] == pytest.approx(np.std(scores))


@pytest.mark.parametrize("kind", ["int", "float", "object", "strings"])
def test_probe_leaves_unlabelled_rows_out(scans, kind):
    class Spy(KNeighborsClassifier):
        seen: list = []

        def fit(self, X, y):
            self.seen.append(np.unique(y))
            return super().fit(X, y)

    names = ["a", "b"] if kind == "strings" else [0, 1]
    y = np.array([names[label] for label in scans.target], dtype=object)
    y[::3] = -1
    if kind in ("int", "float"):
        y = y.astype(kind)
    make_ssl(probe=Probe(Spy(3), every=2, cv=2)).fit(scans.data, y)
    assert Spy.seen
    for classes in Spy.seen:
        assert classes.tolist() == names


def test_a_regressor_leaves_nan_out(scans):
    class Spy(Ridge):
        seen: list = []

        def fit(self, X, y):
            self.seen.append(len(y))
            return super().fit(X, y)

    y = np.where(scans.target > 0, -1.0, 1.0)
    y[:3] = np.nan
    make_ssl(probe=Probe(Spy(), every=9, cv=2), max_epochs=1).fit(scans.data, y)
    assert sum(Spy.seen[:2]) == len(y) - 3  # two halves; -1.0 is a value


def test_probe_sees_only_the_rows_of_the_fraction(scans):
    sizes = []

    class Spy(KNeighborsClassifier):
        def score(self, X, y):
            sizes.append(len(y))
            return super().score(X, y)

    ssl = make_ssl(probe=Probe(Spy(1), every=9, cv=2), fraction=0.5, max_epochs=1)
    ssl.fit(scans.data, scans.target, groups=scans.groups)
    assert sum(sizes[:2]) == len(ssl.sample_indices_) < len(scans.data)


def test_a_bare_estimator_and_a_regressor_serve_as_probes(scans):
    ssl = make_ssl(probe=Ridge(), max_epochs=1)
    ssl.fit(scans.data, scans.target.astype(float), groups=scans.groups)
    assert "probe_score" in ssl.history_[0]


def test_without_labels_there_is_no_probe(scans):
    ssl = make_ssl(probe=KNN, max_epochs=1).fit(scans.data)
    assert "probe_score" not in ssl.history_[0]
    assert not hasattr(ssl, "initial_probe_score_")


def test_select_by_the_probe(scans):
    ssl = make_ssl(
        probe=Probe(KNN, every=2, cv=LeaveOneGroupOut()),
        select=lambda row: row.get("probe_score"),
    ).fit(scans.data, scans.target, groups=scans.groups)
    scores = {r["epoch"]: r["probe_score"] for r in ssl.history_ if "probe_score" in r}
    assert ssl.selected_epoch_ == max(scores, key=scores.get)


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"probe": Probe(KNN, cv=1)}, "target", "'cv' parameter of Probe"),
        ({"probe": Probe(KNN, every=0)}, "target", "'every' parameter of Probe"),
        ({"probe": Probe(KNN, cv=30)}, "target", "cv=30 cannot split"),
        ({"probe": KNN}, "short", "y has shape"),
        ({"probe": "knn"}, "target", "'probe' parameter"),
        ({"select": "best"}, "target", "'select' parameter"),
        ({"probe": Probe(KNN, scoring="aucc")}, "target", "aucc"),
        ({"probe": KNN}, "missing", "y holds missing values"),
        ({"probe": KNN}, "missing in a list", "y holds missing values"),
        ({"probe": Probe(KNN, scoring="roc_auc")}, "three", "^probe: .*multi_class"),
        ({"probe": KNN}, "one class", r"have 1 class\(es\)"),
        ({"probe": KNN}, "strings", "'-1'"),
        ({"probe": Probe(KNN, scoring="roc_auc")}, "rare", "one class only"),
        (
            {"probe": Probe(KNN, cv=PredefinedSplit([0, 1] * 99))},
            "target",
            "are not of the",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The least populated class", "ignore:Only one class")
def test_bad_settings_are_named_before_training(scans, options, y, message):
    rare = np.zeros(len(scans.target), dtype=int)
    rare[:2] = 1
    target = {
        "short": scans.target[:3],
        "target": scans.target,
        "one class": np.where(scans.target > 0, 1, -1),
        "strings": np.where(scans.target > 0, "a", "-1"),
        "rare": rare,
        "three": np.arange(len(rare)) % 3,
        "missing": pd.Series(["a", "b", None] * len(rare))[: len(rare)],
        "missing in a list": (["a", "b", math.nan] * len(rare))[: len(rare)],
    }[y]
    ssl = make_ssl(**options)
    with pytest.raises(ValueError, match=message):
        ssl.fit(scans.data, target)
    assert not hasattr(ssl, "backbone_")


def test_groups_are_routed_through_a_search(scans):
    """With routing on, each fold's patients reach the pretrainer, and its pretext."""
    seen = []

    class Spy(SelfSupervisedPretrainer):
        def fit(self, X, y=None, groups=None):
            seen.append((len(X), len(groups)))
            return super().fit(X, y, groups)

    ssl = Spy(
        SimCLR(same_group="ignore"), backbone=tiny_cnn, max_epochs=1, random_state=0
    )
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = Pipeline(
            [
                ("ssl", ssl.set_fit_request(groups=True)),
                ("clf", LogisticRegression(max_iter=500)),
            ]
        )
        search = GridSearchCV(
            pipe, {"clf__C": [0.1, 1]}, cv=GroupKFold(2), error_score="raise"
        )
        search.fit(scans.data, scans.target, groups=scans.groups)
    assert len(seen) == 5  # 2 values x 2 folds, and the refit
    assert all(n == n_groups for n, n_groups in seen)
    assert min(n for n, _ in seen) < len(scans.data) == seen[-1][0]
