"""Choosing a checkpoint: monitors and select."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
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
from skssl.exceptions import SelectionWarning
from skssl.pretext import SimCLR
from skssl.testing import tiny_cnn

KNN = KNeighborsClassifier(3)


def test_monitors_are_in_every_row(long_ssl, scans):
    for row in long_ssl().fit(scans.data).history_:
        assert 0 < row["feature_std"] <= 1
        assert 1 <= row["rankme"] <= 16
        assert 0 <= row["alignment"] <= 4
        assert row["uniformity"] < 0


def test_monitors_and_probes_do_not_change_the_training(
    long_ssl, scans, assert_same_weights
):
    plain = long_ssl().fit(scans.data)
    probed = long_ssl(probe=Probe(KNN, every=1, cv=2)).fit(scans.data, scans.target)
    assert_same_weights(plain, probed)


def test_rankme_keeps_the_epoch_of_the_highest_rank(long_ssl, scans):
    ssl = long_ssl(select="rankme", lr=0.05).fit(scans.data)
    ranks = [row["rankme"] for row in ssl.history_]
    assert ssl.selected_epoch_ == 1 + int(np.argmax(ranks))


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_callable_keeps_the_weights_of_its_epoch(
    long_ssl, scans, epoch, assert_same_weights
):
    """The schedule is constant, so a shorter training has the same first epochs."""
    settings = {"schedule": "constant", "warmup_epochs": 0}
    chosen = long_ssl(select=lambda row: -abs(row["epoch"] - epoch), **settings)
    chosen.fit(scans.data)
    assert chosen.selected_epoch_ == epoch
    assert chosen.n_iter_ == 4
    shorter = long_ssl(max_epochs=epoch, **settings).fit(scans.data)
    assert shorter.selected_epoch_ == epoch
    assert_same_weights(chosen, shorter)
    np.testing.assert_array_equal(
        chosen.transform(scans.data), shorter.transform(scans.data)
    )


def test_select_by_name_equals_the_callable_and_pickles(
    long_ssl, scans, assert_same_weights
):
    probe = Probe(KNN, every=2, cv=2)
    by_name, by_hand = (
        long_ssl(probe=probe, select=select).fit(scans.data, scans.target)
        for select in ("probe", lambda row: row.get("probe_score"))
    )
    assert by_name.selected_epoch_ == by_hand.selected_epoch_
    assert_same_weights(by_name, by_hand)
    loaded = pickle.loads(pickle.dumps(by_name))
    assert_same_weights(by_name, loaded)


def test_select_restores_the_statistics_of_batchnorm(long_ssl, scans):
    settings = {"schedule": "constant", "warmup_epochs": 0}
    chosen = long_ssl(select=lambda row: -row["epoch"], **settings).fit(scans.data)
    shorter = long_ssl(max_epochs=1, **settings).fit(scans.data)
    ours, theirs = (s.backbone_.state_dict() for s in (chosen, shorter))
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_load_best_would_overrule_select(long_ssl, scans):
    stop = EarlyStopping(monitor="loss", load_best=True)
    with pytest.raises(ValueError, match="load_best=True"):
        long_ssl(callbacks=[stop]).fit(scans.data)


@pytest.mark.parametrize("score", [None, math.nan])
def test_no_score_at_all_keeps_the_last_and_warns(
    long_ssl, scans, score, assert_same_weights
):
    with pytest.warns(SelectionWarning, match="no epoch a score"):
        ssl = long_ssl(select=lambda row: score).fit(scans.data)
    assert ssl.selected_epoch_ == 4
    assert_same_weights(ssl, long_ssl().fit(scans.data))


def test_an_untrained_network_has_no_epoch(long_ssl, scans):
    ssl = long_ssl(max_epochs=0, select="rankme").fit(scans.data)
    assert ssl.selected_epoch_ == 0


def test_select_by_the_probe(long_ssl, scans):
    ssl = long_ssl(
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
        ({"probe": KNN}, "strings in a list", "'-1'"),
        ({"probe": KNN}, "strings in a series", "'-1'"),
        ({"probe": KNeighborsClassifier(weights="uni")}, "target", "'weights' param"),
        ({"probe": Probe(KNN, scoring="roc_auc")}, "rare", "one class only"),
        (
            {"probe": Probe(KNN, cv=PredefinedSplit([0, 1] * 99))},
            "target",
            "are not of the",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The least populated class", "ignore:Only one class")
def test_bad_settings_are_named_before_training(long_ssl, scans, options, y, message):
    rare = np.zeros(len(scans.target), dtype=int)
    rare[:2] = 1
    strings = np.where(scans.target > 0, "a", "-1")
    target = {
        "short": scans.target[:3],
        "target": scans.target,
        "one class": np.where(scans.target > 0, 1, -1),
        "strings": strings,
        "strings in a list": strings.tolist(),
        "strings in a series": pd.Series(strings),
        "rare": rare,
        "three": np.arange(len(rare)) % 3,
        "missing": pd.Series(["a", "b", None] * len(rare))[: len(rare)],
        "missing in a list": (["a", "b", math.nan] * len(rare))[: len(rare)],
    }[y]
    ssl = long_ssl(**options)
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
