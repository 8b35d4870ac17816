"""Devices and number formats are resolved, and impossible ones refused."""

import pytest
import torch

from skssl.engine import (
    autocast,
    choose_memory_format,
    resolve_device,
    resolve_precision,
)

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
    with pytest.raises(ValueError, match="device='gpu' is no torch device"):
        resolve_device("gpu")


def test_given_precision_is_kept():
    for precision in ("float32", "bfloat16"):
        assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("avx", [True, False])
def test_auto_precision_asks_the_cpu(monkeypatch, amx, avx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(
        torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False
    )
    expected = "bfloat16" if amx or avx else "float32"
    assert resolve_precision("auto", CPU) == expected


def test_autocast_changes_the_format_of_products_only_when_asked():
    x = torch.ones(2, 2)
    with autocast("bfloat16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (8, 8), (31, 31)])
def test_gradients_of_tiny_images_are_whole(size):
    """A stride-2 convolution of one pixel must write its whole weight gradient."""
    layout = choose_memory_format(size, CPU)
    for _ in range(20):
        junk = [torch.full((16, 8, 3, 3), 1e30) for _ in range(50)]
        del junk  # what an unwritten gradient would show
        convolutions = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, stride=2, padding=1),
            torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
        ).to(memory_format=layout)
        with autocast("bfloat16", CPU):
            loss = convolutions(torch.randn(20, 1, *size)).float().sum()
        loss.backward()
        for weight in convolutions.parameters():
            assert weight.grad.abs().max() < 1e4


def test_large_images_are_channels_last():
    assert choose_memory_format((32, 32), CPU) is torch.channels_last
    assert choose_memory_format((8, 8), torch.device("cuda")) is torch.channels_last
