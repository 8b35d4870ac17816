"""Devices and number formats are resolved, and impossible ones refused."""

import pytest
import torch
from torch import nn

from skssl.engine import autocast, resolve_device, resolve_precision
from skssl.nn import Backbone, build_backbone
from skssl.nn.cost import depthwise_fraction

CPU = torch.device("cpu")


def test_auto_device_is_what_there_is():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_where_there_is_none():
    with pytest.raises(ValueError, match=r"device='cuda'.*finds no CUDA device"):
        resolve_device("cuda")


@pytest.mark.gpu
def test_cuda_device_of_a_wrong_number():
    with pytest.raises(ValueError, match="this machine has"):
        resolve_device("cuda:99")


def test_no_device_at_all():
    with pytest.raises(ValueError, match="device='gpu' is not a torch device"):
        resolve_device("gpu")


def test_given_precision_is_kept():
    for precision in ("float32", "bfloat16"):
        assert resolve_precision(precision, CPU, (32, 64)) == precision


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("avx", [True, False])
def test_auto_precision_asks_the_cpu(monkeypatch, amx, avx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(
        torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False
    )
    expected = "bfloat16" if amx or avx else "float32"
    assert resolve_precision("auto", CPU, (112, 112)) == expected
    for tiny in ((1, 1), (31, 31), (200, 1), (1, 200), (64, 8)):
        assert resolve_precision("auto", CPU, tiny) == "float32"


def test_autocast_changes_the_format_of_products_only_when_asked():
    x = torch.ones(2, 2)
    with autocast("bfloat16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert (x @ x).dtype == torch.float32


def test_bfloat16_of_tiny_images_is_refused_on_a_cpu():
    with pytest.raises(ValueError, match=r"precision='bfloat16'.*image_size=\(1, 31\)"):
        resolve_precision("bfloat16", CPU, (1, 31))
    assert resolve_precision("float32", CPU, (1, 31)) == "float32"
    assert resolve_precision("bfloat16", torch.device("cuda"), (8, 8)) == "bfloat16"


@pytest.mark.parametrize("pixels", [2, 3, 7])
def test_bfloat16_gradients_are_whole_from_two_pixels_on(pixels):
    """As in the deepest stage of a ResNet, for images of 32 px and more."""
    for seed in range(3):
        torch.manual_seed(seed)
        convolution = torch.nn.Conv2d(256, 512, 3, stride=2, padding=1, bias=False)
        images = torch.randn(16, 256, pixels, pixels)
        (reference,) = torch.autograd.grad(
            convolution(images).square().mean(), convolution.weight
        )
        with autocast("bfloat16", CPU):
            loss = convolution(images).float().square().mean()
        junk = [torch.full_like(convolution.weight, torch.nan) for _ in range(4)]
        del junk  # what is left unwritten would show as NaN
        (gradient,) = torch.autograd.grad(loss, convolution.weight)
        torch.testing.assert_close(
            gradient, reference, rtol=0.05, atol=0.02 * reference.abs().max().item()
        )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", "bfloat16"),
        ("convnext_tiny", "bfloat16"),
        ("vit_tiny", "bfloat16"),
        ("efficientnet_b0", "float32"),
        ("mobilenet_v3_small", "float32"),
    ],
)
def test_auto_is_float32_for_networks_of_depthwise_convolutions(
    monkeypatch, name, expected
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    backbone = build_backbone(name, in_channels=1, image_size=(64, 64))
    assert resolve_precision("auto", CPU, (64, 64), backbone) == expected
    assert resolve_precision("bfloat16", CPU, (64, 64), backbone) == "bfloat16"


def test_the_depthwise_fraction_of_a_block_by_hand():
    body = nn.Sequential(
        nn.Conv2d(1, 4, 1),  # 4 x 64 values
        nn.Conv2d(4, 4, 3, padding=1, groups=4),  # 4 x 64, depthwise
        nn.Conv2d(4, 8, 1, groups=2),  # 8 x 64, in groups
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    backbone = Backbone(body, n_channels=1, n_features=10, name="by hand")
    assert depthwise_fraction(backbone, (8, 8)) == 256 / (256 + 256 + 512 + 10)
