"""What methods with labels from transformations share."""

import numpy as np
import pytest
import torch
from torchvision import models

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext._labelled import check_takes_size, which_view_loss


def make(network, px):
    with isolated_rng(0):
        return build_backbone(network, in_channels=1, image_size=(px, px))


def small_vit():
    return models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=1, num_heads=1, hidden_dim=4, mlp_dim=4
    )


def test_loss_equals_the_formula():
    logits = np.random.default_rng(0).normal(size=(6, 3))  # three views of two images
    losses = []
    for view in range(3):
        for image in range(2):
            row = logits[2 * view + image]
            losses.append(-np.log(np.exp(row[view]) / np.exp(row).sum()))
    loss = which_view_loss(torch.tensor(logits), 3)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-6)


def test_other_sizes_pass_without_a_trace():
    backbone = make("resnet18", 64).train()
    backbone.network.layer4.eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    check_takes_size(backbone, (32, 40), "jigsaw")
    assert backbone.training
    assert not backbone.network.layer4.training
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("network", "px", "why"),
    [
        ("crnet", 64, "it gives 128 features instead of 1152"),
        ("crnet", 23, "too small"),
        (small_vit, 16, "Wrong image height"),
    ],
)
def test_a_backbone_of_one_size_is_refused(network, px, why):
    backbone = make(network, px).train()
    size = (8, 8) if why == "too small" else (32, 32)
    message = rf"jigsaw feeds the backbone images of {size[0]} x {size[1]} px"
    with pytest.raises(ValueError, match=rf"{message}.*cannot take: .*{why}"):
        check_takes_size(backbone, size, "jigsaw")
    assert all(module.training for module in backbone.modules())
