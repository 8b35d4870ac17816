"""Errors of the recipes, before anything is trained."""

import pytest
from sklearn.frozen import FrozenEstimator

from skssl import SelfSupervisedPretrainer
from skssl.recipes import contrastive_extractor, cross_transfer, self_trans


def test_unknown_method():
    for method in (5, True):
        with pytest.raises(ValueError, match="method must be one of"):
            self_trans(method=method)
    with pytest.raises(ValueError, match="method="):
        cross_transfer(method=["cross"])
    with pytest.raises(ValueError, match=r"(?s)method.*cross_transfer"):
        cross_transfer(method="cros_transfer")


def test_external_that_is_missing():
    with pytest.raises(ValueError, match="method=3 needs external"):
        self_trans(method=3)


@pytest.mark.parametrize("make", [self_trans, contrastive_extractor])
@pytest.mark.parametrize(
    ("external", "what"),
    [
        (SelfSupervisedPretrainer(), "is not fitted"),
        (FrozenEstimator(SelfSupervisedPretrainer()), "is not fitted"),
        (5, "is of type int"),
    ],
)
def test_external_that_is_no_fitted_pretrainer(make, external, what):
    with pytest.raises(TypeError, match=f"external {what}: give a pretrainer"):
        make(external=external)


def test_external_that_would_have_no_effect(fitted_ssl):
    with pytest.raises(ValueError, match="method=1 does not use external"):
        self_trans(method=1, external=fitted_ssl)
    with pytest.raises(ValueError, match="weights and fraction configure a pretrain"):
        contrastive_extractor(external=fitted_ssl, fraction=0.1)


def test_frozen_excludes_method_4():
    with pytest.raises(ValueError, match="frozen=True prevents"):
        self_trans(method=4, frozen=True)


@pytest.mark.parametrize("Cs", [0.1, [], [-1.0], ["a"], "12", None])
def test_cs_that_cannot_be_searched(Cs):
    with pytest.raises(ValueError, match="Cs must be a sequence of numbers above 0"):
        contrastive_extractor(Cs=Cs)


def test_cv_that_makes_no_folds():
    with pytest.raises(ValueError, match="Expected `cv` as an integer"):
        contrastive_extractor(cv="five")
