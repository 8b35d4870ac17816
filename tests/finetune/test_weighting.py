"""Weights of images and of classes."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_validate

from skssl import Phase, TargetedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.testing import tiny_cnn

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


def test_groups_and_weights_by_metadata_routing(make_clf):
    scans = make_scan_phantoms(20, images_per_patient=2, image_size=32, random_state=0)
    weight = np.ones(40)
    weight[:3] = 0
    with config_context(enable_metadata_routing=True):
        clf = make_clf(validation_fraction=0.3)
        clf.set_fit_request(groups=True, sample_weight=True)
        clf.set_score_request(sample_weight=False)
        done = cross_validate(
            clf,
            scans.data,
            scans.target,
            cv=StratifiedGroupKFold(2),
            params={"groups": scans.groups, "sample_weight": weight},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    for fitted, rows in zip(done["estimator"], done["indices"]["train"], strict=True):
        held = rows[fitted.validation_indices_]
        trained = rows[fitted.sample_indices_]
        assert not set(scans.groups[held]) & set(scans.groups[trained])
        assert not {0, 1, 2} & {*held, *trained}


def test_weights_and_balance_count(make_clf, scans):
    """The loss is that of the weights, which have a mean of 1."""
    plain, weighted, balanced = (
        make_clf(phases=[Phase("head", epochs=1)], class_weight=class_weight).fit(
            scans.data, scans.target, sample_weight=weight
        )
        for class_weight, weight in (
            (None, np.full(30, 7.0)),
            ({0: 3.0}, None),
            (None, np.where(scans.target == 0, 3.0, 1.0)),
        )
    )
    same = weighted.predict_proba(scans.data)
    np.testing.assert_allclose(balanced.predict_proba(scans.data), same, rtol=1e-6)
    assert not np.allclose(plain.predict_proba(scans.data), same)
    unweighted = make_clf(phases=[Phase("head", epochs=1)]).fit(
        scans.data, scans.target
    )
    np.testing.assert_array_equal(
        plain.predict_proba(scans.data), unweighted.predict_proba(scans.data)
    )


def test_balanced_is_the_inverse_of_how_often_a_class_is(make_clf, scans):
    """n / (K n_k), for 9 and 21 images of two classes."""
    y = (np.arange(30) >= 9).astype(int)
    weights = [
        make_clf(class_weight=class_weight).fit(scans.data, y).networks_[0].state_dict()
        for class_weight in ("balanced", {0: 30 / (2 * 9), 1: 30 / (2 * 21)}, None)
    ]
    same = [
        all(torch.equal(weights[0][name], other[name]) for name in other)
        for other in weights[1:]
    ]
    assert same == [True, False]


@pytest.mark.parametrize("kind", ["ssl", "targeted"])
def test_a_class_that_weighs_nothing_is_no_class(make_clf, make_ssl, scans, kind):
    """Nor does the pretrainer count it, or its probe see its labels."""
    y = scans.groups % 3
    pretrainer = (
        make_ssl(probe=LogisticRegression())
        if kind == "ssl"
        else TargetedPretrainer(backbone=tiny_cnn, phases=[Phase(epochs=1)])
    )
    clf = make_clf(pretrainer)
    clf.fit(scans.data, y, scans.groups, sample_weight=(y != 2).astype(float))
    assert clf.classes_.tolist() == [0, 1]
    assert clf.predict_proba(scans.data).shape == (30, 2)
    if kind == "targeted":
        assert clf.pretrainer_.task_.n_versions == 2
