"""Where weights come from is recorded, and the record follows them."""

import pickle
from copy import deepcopy

import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from torch import nn
from torchvision import models

from skssl import FineTuneClassifier
from skssl._cache.fingerprint import fingerprint
from skssl._finetune.choices import choose_phases
from skssl._random import isolated_rng
from skssl.nn import Backbone, Classifier, ClassifierHead, build_backbone
from skssl.testing import tiny_cnn


class Pretrainer(BaseEstimator):
    """Stands in for a fitted pretrainer: holds a ``backbone_``."""

    def fit(self, backbone):
        self.backbone_ = backbone
        return self


def build(backbone=tiny_cnn, **options):
    return build_backbone(backbone, in_channels=1, image_size=(32, 32), **options)


def frozen(backbone):
    return FrozenEstimator(Pretrainer().fit(backbone))


def trained():
    backbone = build()
    backbone.weights_origin = "simclr pretraining"
    return backbone


@pytest.mark.parametrize("backbone", ["resnet18", "crnet", tiny_cnn, tiny_cnn()])
def test_names_modules_and_callables_are_random(backbone):
    built = build(backbone)
    assert built.weights_origin is None
    assert not built.is_trained


def test_a_backbone_made_by_hand_counts_as_trained():
    network = nn.Conv2d(1, 4, 3)
    by_hand = Backbone(network, n_channels=1, n_features=4, name="hand")
    assert by_hand.weights_origin == "given"
    assert by_hand.is_trained
    shape = {"n_channels": 1, "n_features": 4, "name": "hand"}
    assert not Backbone(network, **shape, weights_origin=None).is_trained


def test_a_given_backbone_passes_its_record_on():
    assert build(trained()).weights_origin == "simclr pretraining"
    assert build(build()).weights_origin is None


def test_loaded_weights_replace_the_record(tmp_path):
    path = tmp_path / "own.pth"
    torch.save(build().network.state_dict(), path)
    for backbone in (tiny_cnn, trained()):
        assert build(backbone, weights=path).weights_origin == "own.pth"
        assert build(backbone, weights=str(path)).weights_origin == "own.pth"


@pytest.mark.parametrize("weights", ["imagenet", "IMAGENET1K_V1"])
def test_the_name_of_torchvisions_weights_is_recorded(monkeypatch, weights):
    state = models.resnet18().state_dict()
    choice = models.ResNet18_Weights
    monkeypatch.setattr(choice, "get_state_dict", lambda *args, **kwargs: state)
    assert build("resnet18", weights=weights).weights_origin == weights


def test_a_frozen_estimator_is_trained_if_its_backbone_is():
    built = build(weights=frozen(trained()), backbone=trained())
    assert built.weights_origin == "FrozenEstimator(Pretrainer)"
    untrained = build(weights=frozen(build()))
    assert untrained.weights_origin is None
    again = build(weights=frozen(build(weights=frozen(build()))))
    assert again.weights_origin is None


def test_a_loaded_state_dict_is_recorded():
    for load_into in ("backbone", "classifier"):
        backbone = build()
        classifier = Classifier(backbone, ClassifierHead(16, 2))
        module = backbone if load_into == "backbone" else classifier
        module.load_state_dict(deepcopy(module.state_dict()))
        assert backbone.weights_origin == "state dict"
    kept = trained()
    kept.load_state_dict(build().state_dict())
    assert kept.weights_origin == "simclr pretraining"


def test_nothing_loaded_is_nothing_recorded():
    backbone = build()
    classifier = Classifier(backbone, ClassifierHead(16, 2))
    head = {k: v for k, v in classifier.state_dict().items() if k.startswith("head.")}
    assert head
    classifier.load_state_dict(head, strict=False)
    backbone.load_state_dict({"mean": backbone.mean}, strict=False)
    assert backbone.weights_origin is None


@pytest.mark.parametrize("make", [build, trained])
def test_copies_and_pickles_keep_the_record(make):
    backbone = make()
    for twin in (deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert twin.weights_origin == backbone.weights_origin
        twin.load_state_dict(backbone.state_dict())
        assert twin.is_trained


def test_equal_backbones_have_equal_fingerprints():
    twins = []
    for _ in range(2):
        with isolated_rng(0):
            twins.append(build())
    assert fingerprint(twins[0]) == fingerprint(twins[1])
    twins[1].weights_origin = "given"
    assert fingerprint(twins[0]) != fingerprint(twins[1])


def test_own_weights_of_a_module_are_trained_ones():
    network = models.resnet18()
    assert not build(network).is_trained
    own = build_backbone(network, in_channels=3, image_size=(64, 64), weights="own")
    assert own.weights_origin == "own"
    assert own.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    weight = own.network.conv1.weight
    torch.testing.assert_close(weight, network.conv1.weight)
    inception = models.inception_v3(init_weights=False, transform_input=False)
    half = build_backbone(inception, in_channels=3, image_size=(96, 96), weights="own")
    assert half.mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_own_weights_need_a_module_whose_normalisation_is_known():
    with pytest.raises(ValueError, match=r"weights='own' needs a module .* 'resnet18'"):
        build("resnet18", weights="own")
    with pytest.raises(
        ValueError, match=r"not known .*'Sequential'.*set_normalization"
    ):
        build(tiny_cnn(), weights="own")


def test_a_backbone_with_own_weights_keeps_its_normalisation_and_its_record():
    given = trained()
    given.set_normalization([0.3], [0.2])
    own = build(given, weights="own")
    assert own.weights_origin == "simclr pretraining"
    assert own.mean.item() == pytest.approx(0.3)
    assert build(build(), weights="own").weights_origin == "own"


def test_a_callable_may_return_a_backbone():
    given = trained()
    given.set_normalization([0.3], [0.2])
    built = build(lambda: given)
    assert built.weights_origin == "simclr pretraining"
    assert built.mean.item() == pytest.approx(0.3)
    assert not isinstance(built.network, Backbone)


def test_fine_tuning_takes_own_weights_for_trained_ones():
    settings = FineTuneClassifier(backbone=tiny_cnn)
    by_hand = Backbone(tiny_cnn(), n_channels=1, n_features=16, name="by hand")
    for backbone, weights, phases in [
        (models.resnet18(), None, "scratch"),
        (models.resnet18(), "own", "finetune"),
        (by_hand, None, "finetune"),
        (lambda: by_hand, None, "finetune"),
    ]:
        built = build(backbone, weights=weights)
        assert choose_phases(settings, built.is_trained) == phases
