import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import CRNet


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_count_is_the_published_one():
    assert n_parameters(CRNet()) == 546_882


@pytest.mark.parametrize("image_size", [(23, 23), (24, 40), (57, 31)])
def test_linear_layer_follows_the_image_size(image_size):
    network = CRNet(n_classes=3, in_channels=2, image_size=image_size)
    assert network(torch.zeros(2, 2, *image_size)).shape == (2, 3)


def test_only_the_first_convolution_is_batch_normalised():
    kinds = [type(layer).__name__ for layer in CRNet().features]
    assert kinds == [
        *("Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"),
        *("Conv2d", "ReLU", "MaxPool2d") * 2,
        *("AvgPool2d", "Flatten"),
    ]


def test_weights_have_kaimings_spread():
    with isolated_rng(0):
        network = CRNet()
    weight = network.features[7].weight  # fan-in 64 * 49
    assert weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.02)
    assert not network.features[7].bias.any()


def test_too_small_images_are_named():
    with pytest.raises(ValueError, match=r"image_size .* at least 23 .* \(22, 64\)"):
        CRNet(image_size=(22, 64))
