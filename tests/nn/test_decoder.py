"""The decoder: layers counted by hand, and images of the size asked for."""

import pytest
import torch
from torch import nn

from skssl.nn.decoder import ImageDecoder


@pytest.mark.parametrize(
    ("map_size", "image_size"),
    [((2, 2), (16, 16)), ((1, 1), (20, 20)), ((3, 2), (20, 31)), ((8, 8), (5, 8))],
)
def test_images_have_the_size_asked_for(map_size, image_size):
    decoder = ImageDecoder(7, 3, map_size=map_size, image_size=image_size, width=32)
    assert decoder(torch.rand(2, 7, *map_size)).shape == (2, 3, *image_size)


def test_layers_are_those_of_the_docstring():
    decoder = ImageDecoder(8, 1, map_size=(2, 2), image_size=(16, 16), width=64)
    widths = [m.out_channels for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [64, 32, 16, 16, 1]
    # 1x1 with bias; three times 3x3 without, and scale and shift of BatchNorm; 1x1
    by_hand = (8 + 1) * 64 + 9 * (64 * 32 + 32 * 16 + 16 * 16)
    by_hand += 2 * (32 + 16 + 16) + (16 + 1)
    assert sum(p.numel() for p in decoder.parameters()) == by_hand


def test_a_narrow_decoder_does_not_widen():
    decoder = ImageDecoder(8, 1, map_size=(2, 2), image_size=(8, 8), width=4)
    widths = [m.out_channels for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [4, 4, 4, 1]


def test_what_is_left_in_the_map_comes_out_left():
    decoder = ImageDecoder(1, 1, map_size=(2, 2), image_size=(8, 8), width=16).eval()
    left = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[None, None]
    image = decoder(left) - decoder(torch.zeros_like(left))
    assert image[..., :2].abs().mean() > 3 * image[..., -2:].abs().mean()
