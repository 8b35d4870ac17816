"""Saturation, hue and grayscale against torchvision's functions."""

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from skssl._random import make_generator
from skssl.augment import (
    adjust_hue,
    adjust_saturation,
    random_grayscale,
    random_hue,
    random_saturation,
    rgb_to_gray,
)


def rgb_images(n, height=11, width=17, seed=0):
    images = torch.rand(n, 3, height, width, generator=make_generator(seed))
    images[:, :, 0, :3] = torch.eye(3)  # pure red, green and blue
    images[:, :, 1] = images[:, :1, 1]  # a row of grays
    images[:, :, 2, 0], images[:, :, 2, 1] = 0.0, 1.0
    images[:, :, 3, 0] = torch.tensor([0.5, 0.5, 0.1])  # two channels tie
    return images


def test_saturation_equals_torchvision():
    images, factors = rgb_images(4), torch.tensor([0.0, 0.4, 1.0, 1.8])
    changed = adjust_saturation(images, factors)
    for image, result, factor in zip(images, changed, factors.tolist(), strict=True):
        expected = reference.adjust_saturation(image, factor)
        torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)


def test_hue_equals_torchvision():
    images, shifts = rgb_images(6), torch.tensor([-0.5, -0.21, 0.0, 0.1, 0.33, 0.5])
    changed = adjust_hue(images, shifts)
    for image, result, shift in zip(images, changed, shifts.tolist(), strict=True):
        expected = reference.adjust_hue(image, shift)
        torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)


def test_zero_shift_keeps_the_image_and_any_shift_keeps_gray():
    images = rgb_images(2)
    changed = adjust_hue(images, torch.tensor([0.0, 0.3]))
    torch.testing.assert_close(changed[0], images[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(changed[1, :, 1], images[1, :, 1])


def test_gray_equals_torchvision():
    images = rgb_images(2)
    expected = reference.rgb_to_grayscale(images)
    torch.testing.assert_close(rgb_to_gray(images), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("function", [random_saturation, random_hue])
def test_zero_strength_is_the_identity(function):
    images = rgb_images(2)
    assert torch.equal(function(images, make_generator(0), strength=0.0), images)


def test_grayscale_selects_per_image():
    images = rgb_images(1000, 4, 4)
    changed = random_grayscale(images, make_generator(0), p=0.2)
    is_gray = (changed == changed[:, :1]).flatten(1).all(1)
    assert is_gray.float().mean() == pytest.approx(0.2, abs=0.05)
    assert torch.equal(changed[~is_gray], images[~is_gray])


def test_hue_shifts_are_uniform():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(2000, 3, 1, 1)
    changed = random_hue(red, make_generator(0), strength=1 / 6).view(2000, 3)
    # Within a sixth of red, green rises for a positive shift and blue for a negative.
    shift = (changed[:, 1] - changed[:, 2]) / 6
    assert shift.abs().max() <= 1 / 6 + 1e-6
    assert shift.mean() == pytest.approx(0, abs=0.01)
    assert shift.std() == pytest.approx((1 / 3) / 12**0.5, abs=0.005)


def test_saturation_factors_are_uniform():
    pale = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1).expand(2000, 3, 1, 1)
    changed = random_saturation(pale, make_generator(0), strength=0.4).view(2000, 3)
    factor = (changed[:, 0] - changed[:, 1]) / 0.1
    assert factor.min() >= 0.6 - 1e-4
    assert factor.max() <= 1.4 + 1e-4
    assert factor.std() == pytest.approx(0.8 / 12**0.5, abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channel_counts_are_refused(channels):
    with pytest.raises(ValueError, match="images must be RGB"):
        adjust_hue(torch.rand(1, channels, 4, 4), torch.zeros(1))
