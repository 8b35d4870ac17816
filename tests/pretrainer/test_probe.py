"""A probe by grouped folds while the pretraining runs."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier

from skssl import Probe
from skssl.testing import tiny_cnn

KNN = KNeighborsClassifier(3)


def test_ctrl_c_in_the_first_probe_leaves_the_earlier_fit(long_ssl, scans):
    class Interrupted(KNeighborsClassifier):
        def fit(self, X, y):
            raise KeyboardInterrupt

    ssl = long_ssl().fit(scans.data)
    before = ssl.transform(scans.data)
    ssl.set_params(probe=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        ssl.fit(scans.data, scans.target)
    np.testing.assert_array_equal(ssl.transform(scans.data), before)


def test_a_probe_of_torch_does_not_change_the_training(
    long_ssl, scans, assert_same_weights
):
    class Drawing(KNeighborsClassifier):
        def fit(self, X, y):
            torch.rand(3)
            return super().fit(X, y)

    def dropping():
        return torch.nn.Sequential(tiny_cnn(), torch.nn.Dropout(0.3))

    weights = [
        long_ssl(backbone=dropping, probe=Probe(estimator, every=1, cv=2)).fit(
            scans.data, scans.target
        )
        for estimator in (KNN, Drawing(3))
    ]
    assert_same_weights(*weights)


def test_an_estimator_and_folds_without_a_seed_take_the_pretrainers(long_ssl, scans):
    probe = Probe(
        ExtraTreesClassifier(3),
        every=1,
        cv=StratifiedShuffleSplit(3),
        scoring="neg_log_loss",
    )
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (
        long_ssl(probe=probe).fit(scans.data, scans.target).history_ for _ in range(2)
    )
    assert [r["probe_score"] for r in first] == [r["probe_score"] for r in second]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_probe_scores_every_k_epochs_and_the_last(long_ssl, scans):
    probe = Probe(KNN, every=3, cv=2)
    ssl = long_ssl(probe=probe).fit(scans.data, scans.target, groups=scans.groups)
    assert ["probe_score" in row for row in ssl.history_] == [False, False, True, True]
    assert 0 <= ssl.initial_probe_score_ <= 1
    last = ssl.history_[-1]
    # by hand: the same folds on the features that transform gives
    splits = probe.draw_folds(scans.target, scans.groups, 0)
    for train, test in splits:
        assert not set(scans.groups[train]) & set(scans.groups[test])
    assert last["probe_std"] >= 0


def test_probe_score_is_that_of_the_features(long_ssl, scans):
    """An own splitter makes the folds known; sizes agree, so features do, too."""
    probe = Probe(KNN, every=1, cv=GroupKFold(3))
    ssl = long_ssl(probe=probe, max_epochs=1)
    ssl.fit(scans.data, scans.target, groups=scans.groups)
    h = ssl.transform(scans.data)
    scores = [
        KNN.fit(h[train], scans.target[train]).score(h[test], scans.target[test])
        for train, test in GroupKFold(3).split(h, scans.target, scans.groups)
    ]
    assert ssl.history_[0]["probe_score"] == pytest.approx(np.mean(scores))
    assert ssl.history_[0]["probe_std"] == pytest.approx(np.std(scores))


@pytest.mark.parametrize("kind", ["int", "float", "object", "strings"])
def test_probe_leaves_unlabelled_rows_out(long_ssl, scans, kind):
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
    long_ssl(probe=Probe(Spy(3), every=2, cv=2)).fit(scans.data, y)
    assert Spy.seen
    for classes in Spy.seen:
        assert classes.tolist() == names


def test_a_regressor_leaves_nan_out(long_ssl, scans):
    class Spy(Ridge):
        seen: list = []

        def fit(self, X, y):
            self.seen.append(len(y))
            return super().fit(X, y)

    y = np.where(scans.target > 0, -1.0, 1.0)
    y[:3] = np.nan
    long_ssl(probe=Probe(Spy(), every=9, cv=2), max_epochs=1).fit(scans.data, y)
    assert sum(Spy.seen[:2]) == len(y) - 3  # two halves; -1.0 is a value


def test_probe_sees_only_the_rows_of_the_fraction(long_ssl, scans):
    sizes = []

    class Spy(KNeighborsClassifier):
        def score(self, X, y):
            sizes.append(len(y))
            return super().score(X, y)

    ssl = long_ssl(probe=Probe(Spy(1), every=9, cv=2), fraction=0.5, max_epochs=1)
    ssl.fit(scans.data, scans.target, groups=scans.groups)
    assert sum(sizes[:2]) == len(ssl.sample_indices_) < len(scans.data)


def test_a_bare_estimator_and_a_regressor_serve_as_probes(long_ssl, scans):
    ssl = long_ssl(probe=Ridge(), max_epochs=1)
    ssl.fit(scans.data, scans.target.astype(float), groups=scans.groups)
    assert "probe_score" in ssl.history_[0]


def test_without_labels_there_is_no_probe(long_ssl, scans):
    ssl = long_ssl(probe=KNN, max_epochs=1).fit(scans.data)
    assert "probe_score" not in ssl.history_[0]
    assert not hasattr(ssl, "initial_probe_score_")
