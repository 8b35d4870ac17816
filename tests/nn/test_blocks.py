"""Which weights of a network are trained."""

import copy

import pytest
import torch
from torch import nn
from torchvision import models

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.nn import Backbone, blocks, build_backbone
from skssl.nn.blocks import trained_weights
from skssl.testing import tiny_cnn


@pytest.fixture
def backbone():
    return build_backbone("resnet18", in_channels=1, image_size=(32, 32))


def trained_names(backbone):
    return {n for n, w in backbone.network.named_parameters() if w.requires_grad}


def test_the_last_blocks(backbone):
    # The last two blocks of a ResNet-18 are those of its last stage.
    backbone.only_train("last:2")
    assert {name.partition(".")[0] for name in trained_names(backbone)} == {"layer4"}
    n_weights = sum(w.numel() for w in trained_weights(backbone.network, "last:2"))
    assert n_weights == 8_393_728  # layer4 of the published ResNet-18
    everything = backbone.only_train("all")
    assert trained_names(everything) == {
        n for n, _ in backbone.network.named_parameters()
    }


def test_normalisation_layers(backbone):
    backbone.only_train("norms")
    norms = {
        n for n, m in backbone.network.named_modules() if isinstance(m, nn.BatchNorm2d)
    }
    assert {name.rpartition(".")[0] for name in trained_names(backbone)} == norms


def test_frozen_layers_keep_their_statistics_also_in_copies(backbone):
    backbone.only_train("last:2").train()
    twin = copy.deepcopy(backbone).requires_grad_(False).train()
    for each in (backbone, twin):
        before = copy.deepcopy(each.network.state_dict())
        each(torch.rand(4, 1, 32, 32))
        after = each.network.state_dict()
        changed = {k for k in after if not torch.equal(after[k], before[k])}
        assert changed
        assert all(key.startswith("layer4") for key in changed)
    assert backbone.only_train("all").network.bn1.training


@pytest.mark.parametrize("value", ["last", "last:0", "last:-1", "first:2", "", None, 2])
def test_unknown_values_are_refused(backbone, value):
    with pytest.raises(
        ValueError, match=r"trainable must be 'all', 'norms' or 'last:K'"
    ):
        backbone.only_train(value)


def test_impossible_values_are_refused():
    few = Backbone(nn.Conv2d(1, 4, 3), n_channels=1, n_features=4, name="few")
    assert len(blocks(few.network)) == 1
    with pytest.raises(ValueError, match=r"trainable='last:2': Conv2d has 1 blocks"):
        few.only_train("last:2")
    with pytest.raises(ValueError, match=r"trainable='norms': Conv2d has no norm"):
        few.only_train("norms")


def test_steps_keep_less_where_fewer_blocks_are_trained():
    """The tensors that a step saves for its gradients."""

    def saved(trainable):
        backbone = build_backbone(models.resnet18(), in_channels=1, image_size=(64, 64))
        backbone.only_train(trainable).train()
        n_bytes = 0

        def count(tensor):
            nonlocal n_bytes
            n_bytes += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            backbone(torch.rand(2, 1, 64, 64))
        return n_bytes

    everything, last, norms = map(saved, ("all", "last:2", "norms"))
    assert last < 0.7 * everything
    assert norms <= everything


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(6, image_size=32, random_state=0)


@pytest.mark.parametrize("pretext", ["simclr", "byol", "mae"])
def test_a_pretraining_changes_only_the_last_blocks(scans, pretext):
    network = "vit_tiny" if pretext == "mae" else tiny_cnn
    options = {"backbone": network, "random_state": 0, "image_size": 32}
    before = SelfSupervisedPretrainer(pretext, max_epochs=0, **options).fit(scans.data)
    ssl = SelfSupervisedPretrainer(
        pretext, max_epochs=1, trainable="last:1", layer_decay=0.5, **options
    ).fit(scans.data)
    old, new = (each.backbone_.network.state_dict() for each in (before, ssl))
    changed = {key for key in new if not torch.equal(new[key], old[key])}
    last = blocks(ssl.backbone_.network)[-1]
    expected = {n for n, w in ssl.backbone_.network.named_parameters()
                if any(w is weight for weight in last)}  # fmt: skip
    assert (
        changed & {n for n, _ in ssl.backbone_.network.named_parameters()} == expected
    )
    assert all(weight.requires_grad for weight in ssl.backbone_.network.parameters())


def test_a_pretraining_refuses_other_values_before_images_are_decoded(scans):
    with pytest.raises(ValueError, match="trainable must be"):
        SelfSupervisedPretrainer(trainable="first:1", max_epochs=1).fit(scans.data)


def test_learning_rates_fall_towards_the_images(scans):
    ssl = SelfSupervisedPretrainer(
        backbone=tiny_cnn, max_epochs=1, lr=0.1, layer_decay=0.5, schedule="constant",
        warmup_epochs=0, random_state=0, optimizer=Recorder,
    ).fit(scans.data)  # fmt: skip
    n_blocks = len(blocks(ssl.backbone_.network))
    expected = [0.1 * 0.5**i for i in range(n_blocks + 1)]
    found = sorted({group["lr"] for group in Recorder.groups}, reverse=True)
    assert found == pytest.approx(expected)


class Recorder(torch.optim.SGD):
    """SGD that shows its parameter groups."""

    groups: list

    def __init__(self, groups, **options):
        super().__init__(groups, **options)
        Recorder.groups = self.param_groups


def test_phases_train_the_last_blocks(scans):
    clf = FineTuneClassifier(
        backbone="resnet18", phases=[Phase("last:1", epochs=1)], random_state=0
    ).fit(scans.data, scans.target)
    last = blocks(clf.backbone_.network)[-1]
    n_head = sum(weight.numel() for weight in clf.head_.parameters())
    assert clf.n_trainable_ == [sum(weight.numel() for weight in last) + n_head]
