"""The probe for image sizes, and the error of methods that change the size."""

import pytest
import torch
from torch import nn
from torchvision import models

from skssl.nn import build_backbone
from skssl.nn.sizes import check_takes_size, features_at


def make(network, px):
    return build_backbone(network, in_channels=1, image_size=(px, px))


def small_vit():
    return models.VisionTransformer(
        image_size=16, patch_size=8, num_layers=1, num_heads=1, hidden_dim=4, mlp_dim=4
    )


def test_width_of_features_maps_and_backbones():
    assert features_at(nn.Conv2d(2, 5, 3), 2, (4, 9)) == 5
    assert features_at(nn.Flatten(), 2, (4, 9)) == 72
    assert features_at(make("resnet18", 64), 1, (40, 32)) == 512


def test_the_probe_has_the_dtype_of_the_network():
    assert features_at(nn.Conv2d(2, 5, 3).double(), 2, (4, 9)) == 5


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (nn.Conv2d(1, 2, 9), "they may be too small.*Kernel size can't be greater"),
        (nn.Flatten(0), r"must give features \(n, d\) or maps .*got torch.Size"),
        (nn.Sequential(nn.Flatten(), nn.LSTM(64, 4)), "must give features.*got tuple"),
        (nn.AdaptiveAvgPool2d(0), "nothing is left of them after its pooling"),
    ],
)
def test_the_reason_is_named(network, why):
    with pytest.raises(ValueError, match=rf"(?s){why}"):
        features_at(network, 1, (8, 8))
    assert network.training


def test_the_size_check_changes_nothing():
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


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_maps_with_channels_last_are_refused(size):
    swin = models.swin_t().features  # (n, h / 32, w / 32, 768)
    with pytest.raises(
        ValueError, match=r"\(n, h, w, d\): it must give \(n, d, h, w\)"
    ):
        features_at(swin, 3, size)
    permuted = nn.Sequential(swin, Permute())
    assert features_at(permuted, 3, size) == 768


class Permute(nn.Module):
    def forward(self, maps):
        return maps.permute(0, 3, 1, 2)
