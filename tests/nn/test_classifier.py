"""Classifiers: heads, and what training freezes."""

import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.testing import tiny_cnn


@pytest.fixture
def classifier():
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return Classifier(backbone, ClassifierHead(16, 3, kind="mlp", hidden_size=5))


def test_layers_of_the_papers_top():
    head = ClassifierHead(512, 2, kind="mlp")
    kinds = [type(layer).__name__ for layer in (*head.hidden, head.output)]
    assert kinds == ["BatchNorm1d", "Linear", "ReLU", "Dropout", "Linear"]
    assert head.hidden[1].out_features == 1024
    assert head.hidden[3].p == 0.5
    n_weights = sum(p.numel() for p in head.parameters())
    assert n_weights == 2 * 512 + (512 * 1024 + 1024) + (1024 * 2 + 2)


def test_a_linear_head_has_the_features_before_it():
    head = ClassifierHead(7, 2)
    h = torch.rand(3, 7)
    assert torch.equal(head.hidden(h), h)
    torch.testing.assert_close(head(h), h @ head.output.weight.T + head.output.bias)
    with pytest.raises(ValueError, match="kind must be 'linear' or 'mlp'"):
        ClassifierHead(7, 2, kind="deep")


@pytest.mark.parametrize("part", ["head", "backbone", "all"])
def test_frozen_modules_have_no_gradient_and_no_new_statistics(classifier, part):
    frozen = {"head": {"backbone"}, "backbone": {"head"}, "all": set()}[part]
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    classifier.only_train(part).train()
    classifier(torch.rand(4, 1, 16, 16)).sum().backward()
    for name, weight in classifier.named_parameters():
        assert (weight.grad is None) == (name.split(".")[0] in frozen)
    for name, value in classifier.state_dict().items():
        if "running" in name:
            is_frozen = name.split(".")[0] in frozen
            assert torch.equal(value, before[name]) == is_frozen, name
    classifier.eval()
    assert not any(module.training for module in classifier.modules())


def test_other_parts_are_refused(classifier):
    with pytest.raises(ValueError, match="part must be 'head'"):
        classifier.only_train("stem")


def test_a_copy_shares_no_memory(classifier):
    state = {k: v + 1 for k, v in classifier.state_dict().items()}
    other = classifier.copy_with(state)
    assert not torch.equal(other.head.output.bias, classifier.head.output.bias)
    assert other.head.output.bias.data_ptr() != classifier.head.output.bias.data_ptr()
