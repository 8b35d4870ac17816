"""Each recipe runs from images to probabilities."""

from itertools import product

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score

from skssl import SelfSupervisedPretrainer
from skssl.datasets import load_covid_ct, load_luna_slices
from skssl.nn import build_backbone
from skssl.recipes import (
    Budget,
    contrastive_extractor,
    cross_transfer,
    self_trans,
    self_trans_pretrainer,
    targeted_flip,
)
from skssl.testing import tiny_cnn

FAST = Budget("fast", epochs=0.01, image_size=24)


def assert_probabilities(clf, X, n_classes=2):
    p = clf.predict_proba(X)
    assert p.shape == (len(X), n_classes)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_targeted_flip(scans, fraction):
    clf = targeted_flip(
        tiny_cnn, weights=None, fraction=fraction, budget=FAST, random_state=0
    )
    clf.fit(scans.data, scans.target, groups=scans.groups)
    assert_probabilities(clf, scans.data[:5])
    held = scans.groups[clf.validation_indices_]
    assert not np.isin(held, scans.groups[clf.sample_indices_]).any()


@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
def test_targeted_flip_from_weights(scans, tmp_path):
    """The paper's phases, from a state dict in the place of ImageNet's."""
    source = build_backbone(
        "resnet18", in_channels=3, image_size=(24, 24), stem="imagenet"
    )
    torch.save(source.network.state_dict(), tmp_path / "source.pth")
    clf = targeted_flip(
        "resnet18", weights=tmp_path / "source.pth", budget=FAST, random_state=0
    )
    clf.fit(scans.data, scans.target, groups=scans.groups)
    assert len(clf.pretrainer_.phases_) == 3
    assert [row["phase"] for row in clf.history_] == [1, 2]


@pytest.mark.parametrize(
    ("method", "frozen"),
    [*product(["self_trans", 1, 3, "scratch"], [False, True]), (4, False)],
)
def test_self_trans(scans, fitted_ssl, method, frozen):
    external = fitted_ssl if method in ("self_trans", 3) else None
    clf = self_trans(
        tiny_cnn,
        method=method,
        external=external,
        weights=None,
        frozen=frozen,
        budget=FAST,
        random_state=0,
    )
    clf.fit(scans.data, scans.target)
    assert_probabilities(clf, scans.data[:5])
    if method == 3 and frozen:
        features = fitted_ssl.backbone_.network.state_dict()
        kept = clf.backbone_.network.state_dict()
        assert all(torch.equal(kept[name], features[name]) for name in features)


def test_stages_follow_one_another(scans):
    """From a first stage on other images, through weights, to the labels."""
    external = self_trans_pretrainer(tiny_cnn, weights=None, budget=FAST)
    external.fit(scans.data[:16])
    clf = self_trans(tiny_cnn, external=external, budget=FAST, random_state=0)
    clf.fit(scans.data[16:], scans.target[16:])
    assert_probabilities(clf, scans.data[:5])


@pytest.mark.parametrize(
    "method", ["cross", "byol", "simsiam", "simclr", "pirl_jigsaw", "scratch"]
)
def test_cross_transfer(scans, method):
    clf = cross_transfer(
        tiny_cnn, method=method, weights=None, budget=FAST, random_state=0
    )
    clf.fit(scans.data, scans.target)
    assert_probabilities(clf, scans.data[:5])


def test_cross_transfer_of_four_classes_keeps_ten_networks(scans):
    y = np.arange(len(scans.data)) % 4
    budget = Budget("fast", epochs=0.4, image_size=16)
    clf = cross_transfer(
        tiny_cnn, method="scratch", weights=None, budget=budget, random_state=0
    )
    clf.fit(scans.data, y)
    assert len(clf.networks_) == 4  # of 12 epochs the last third
    assert_probabilities(clf, scans.data[:5], n_classes=4)


def test_contrastive_extractor(scans):
    pipe = contrastive_extractor(tiny_cnn, budget=FAST, random_state=0)
    pipe.fit(scans.data, scans.target, groups=scans.groups)
    assert_probabilities(pipe, scans.data[:5])
    assert pipe.named_steps["clf"].best_params_["C"] in (0.01, 0.05, 0.1, 0.2, 0.5, 1)


def test_contrastive_extractor_from_a_file(scans, fitted_ssl, tmp_path):
    torch.save(fitted_ssl.backbone_.state_dict(), tmp_path / "other.pth")
    pipe = contrastive_extractor(
        tiny_cnn,
        external=tmp_path / "other.pth",
        cv=StratifiedGroupKFold(2),
        budget=Budget("as it was", image_size=32),
    )
    pipe.fit(scans.data, scans.target, clf__groups=scans.groups)
    np.testing.assert_allclose(
        pipe.named_steps["ssl"].transform(scans.data[:3]),
        fitted_ssl.transform(scans.data[:3]),
        rtol=1e-5,
    )


def test_patients_go_to_both_steps(scans):
    pipe = contrastive_extractor(tiny_cnn, fraction=0.5, budget=FAST, random_state=0)
    pipe.set_params(ssl__batch_size=4)
    pipe.fit(scans.data, scans.target, groups=scans.groups)
    by_step = clone(pipe).fit(
        *(scans.data, scans.target),
        ssl__groups=scans.groups,
        clf__groups=scans.groups,
    )
    first, second = (one.predict_proba(scans.data[:3]) for one in (pipe, by_step))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": None}, r"groups=patients\) or, if each image"),
        ({"groups": [0, 1]}, r"groups has shape \(2,\)"),
        ({"groups": "few"}, "set of fold 0 in the search for C has no image"),
        ({"y": None}, "y is None"),
        ({"y": 0}, "y holds one class"),
        ({"y": -1}, r"y\[0\] is -1, which marks an unlabelled image"),
        ({"y": np.nan}, "y contains NaN"),
    ],
)
def test_contrastive_extractor_refuses_before_the_pretraining(
    scans, monkeypatch, change, message
):
    y, groups = scans.target.astype(float), change.get("groups", scans.groups)
    if "y" in change:
        y[: len(y) if change["y"] == 0 else 1] = change["y"] or 0
        y = y if change["y"] is not None else None
    if isinstance(groups, str):
        groups = np.where(scans.target == 1, 0, scans.groups + 1)
    monkeypatch.setattr(SelfSupervisedPretrainer, "fit", None)
    with pytest.raises(ValueError, match=message):
        contrastive_extractor(tiny_cnn).fit(scans.data, y, groups=groups)


def test_contrastive_extractor_with_metadata_routing(scans):
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = contrastive_extractor(tiny_cnn, budget=FAST, random_state=0)
        pipe.named_steps["ssl"].set_fit_request(groups=True)
        pipe.fit(scans.data, scans.target, groups=scans.groups)
    assert_probabilities(pipe, scans.data[:5])


def test_contrastive_extractor_in_a_cross_validation(scans, fitted_ssl):
    scores = cross_val_score(
        contrastive_extractor(external=fitted_ssl, cv=StratifiedGroupKFold(2)),
        scans.data,
        scans.target,
        groups=scans.groups,
        cv=StratifiedGroupKFold(2),
        params={"groups": scans.groups},
        scoring="roc_auc",
        error_score="raise",
    )
    assert scores.shape == (2,)


def test_contrastive_extractor_of_three_classes(scans, fitted_ssl):
    y = np.array(["a", "b", "c"])[scans.groups % 3]
    pipe = contrastive_extractor(external=fitted_ssl, cv=StratifiedGroupKFold(2))
    pipe.fit(scans.data, y, groups=scans.groups)
    assert_probabilities(pipe, scans.data[:5], n_classes=3)


@pytest.mark.slow
def test_baselines_of_he2020_train(scans, he2020_backbone):
    clf = self_trans(he2020_backbone, method="scratch", budget="tiny", random_state=0)
    clf.fit(scans.data, scans.target)
    assert clf.image_size_ == (32, 32)
    assert_probabilities(clf, scans.data[:5])


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["densenet169", "inception_v3"])
@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
def test_both_networks_of_ewen2020_train(scans, backbone):
    clf = targeted_flip(backbone, weights=None, budget="tiny", random_state=0)
    clf.fit(scans.data, scans.target, groups=scans.groups)
    assert clf.image_size_ == ((75, 75) if backbone == "inception_v3" else (32, 32))
    assert_probabilities(clf, scans.data[:5])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
class TestOnCovidCT:
    """Each recipe on real slices, with the paper's networks."""

    @pytest.fixture
    def ct(self, real_data):
        return load_covid_ct(real_data("covid-ct-288"), subset="val")

    def test_targeted_flip(self, ct):
        clf = targeted_flip(weights=None, budget="tiny", random_state=0)
        clf.fit(ct.data, ct.target, groups=ct.groups)
        assert_probabilities(clf, ct.data[:5])

    def test_self_trans(self, ct, real_data):
        luna = load_luna_slices(real_data("luna-288"))
        external = self_trans_pretrainer(weights=None, budget="tiny", random_state=0)
        external.fit(luna.data[:128], groups=luna.groups[:128])
        clf = self_trans(external=external, budget="tiny", random_state=0)
        clf.fit(ct.data, ct.target)
        assert_probabilities(clf, ct.data[:5])

    def test_cross_transfer(self, ct):
        clf = cross_transfer(weights=None, budget="tiny", random_state=0)
        clf.fit(ct.data, ct.target)
        assert_probabilities(clf, ct.data[:5])

    def test_contrastive_extractor(self, ct):
        pipe = contrastive_extractor(budget="tiny", random_state=0)
        pipe.fit(ct.data, ct.target, groups=ct.groups)
        assert_probabilities(pipe, ct.data[:5])
