"""Blur against scipy, and the statistics of noise."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from skssl._random import make_generator
from skssl.augment import (
    add_gaussian_noise,
    gaussian_blur,
    random_blur,
    random_noise,
)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(24, 40), (30, 21)])
def test_blur_equals_scipy_borders_included(channels, size):
    images = torch.rand(3, channels, *size, generator=make_generator(0))
    sigma = torch.tensor([0.5, 1.0, 2.0])
    blurred = gaussian_blur(images, sigma, radius_px=8)
    for image, result, width in zip(images, blurred, sigma.tolist(), strict=True):
        for plane, actual in zip(image, result, strict=True):
            expected = ndimage.gaussian_filter(
                plane.numpy(), width, mode="mirror", radius=8
            )
            np.testing.assert_allclose(actual.numpy(), expected, atol=2e-6)


def test_zero_sigma_is_exactly_the_identity():
    images = torch.rand(2, 3, 16, 16, generator=make_generator(0))
    blurred = gaussian_blur(images, torch.tensor([0.0, 1.0]), radius_px=4)
    assert torch.equal(blurred[0], images[0])
    assert not torch.equal(blurred[1], images[1])


def test_blur_keeps_a_constant_and_leaves_its_input_alone():
    images = torch.full((2, 1, 12, 12), 0.7)
    blurred = gaussian_blur(images, torch.tensor([0.7, 3.0]), radius_px=6)
    torch.testing.assert_close(blurred, images)
    assert torch.equal(images, torch.full_like(images, 0.7))


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (1, 1), (2, 2)])
def test_blur_of_images_thinner_than_the_kernel(size):
    images = torch.rand(2, 1, *size, generator=make_generator(0))
    blurred = gaussian_blur(images, torch.tensor([1.0, 1.0]), radius_px=4)
    assert blurred.shape == images.shape
    assert blurred.isfinite().all()
    if size == (1, 9):  # only along the row
        expected = ndimage.gaussian_filter1d(
            images[0, 0, 0].numpy(), 1.0, mode="mirror", radius=4
        )
        np.testing.assert_allclose(blurred[0, 0, 0].numpy(), expected, atol=1e-6)


def dot_deviation(blurred):
    """Standard deviation along x of the spot that a single bright pixel became."""
    profile = blurred.sum(dim=(1, 2))
    x = torch.arange(blurred.shape[-1]) - blurred.shape[-1] // 2
    return (profile * x**2).sum(1).sqrt()


@pytest.mark.parametrize("side", [65, 129])
def test_sigma_is_a_fraction_of_the_short_side(side):
    images = torch.zeros(400, 1, side, side + 20)
    images[:, :, side // 2, (side + 20) // 2] = 1
    blurred = random_blur(images, make_generator(0), sigma=(0.02, 0.04))
    fraction = dot_deviation(blurred) / side
    assert fraction.min() == pytest.approx(0.02, rel=0.03)
    assert fraction.max() == pytest.approx(0.04, rel=0.03)
    assert fraction.std() == pytest.approx(0.02 / 12**0.5, abs=0.001)


def test_blur_selects_per_image():
    images = torch.rand(600, 1, 4, 4, generator=make_generator(1))
    blurred = random_blur(images, make_generator(0), sigma=(0.2, 0.3), p=0.5)
    share = (blurred != images).flatten(1).any(1).float().mean()
    assert share == pytest.approx(0.5, abs=0.08)


def test_noise_has_each_images_deviation_and_no_common_pattern():
    images = torch.full((3, 2, 60, 60), 0.5)
    std = torch.tensor([0.0, 0.02, 0.08])
    noise = add_gaussian_noise(images, std, make_generator(0)) - images
    torch.testing.assert_close(noise.std(dim=(1, 2, 3)), std, rtol=0.05, atol=0)
    patterns = noise[1:].reshape(4, -1)  # two images of two channels
    correlation = torch.corrcoef(patterns) - torch.eye(4)
    assert correlation.abs().max() < 0.09  # five standard errors


def test_noise_is_clamped():
    noisy = add_gaussian_noise(
        torch.ones(1, 1, 50, 50), torch.tensor([1.0]), make_generator(0)
    )
    assert noisy.max() == 1
    assert noisy.min() == 0


def test_noise_deviations_are_uniform_up_to_the_largest():
    images = torch.full((400, 1, 32, 32), 0.5)
    std = random_noise(images, make_generator(0), max_std=0.1).std(dim=(1, 2, 3))
    assert std.max() == pytest.approx(0.1, rel=0.07)
    assert std.mean() == pytest.approx(0.05, abs=0.008)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_zero_strength_is_the_identity_and_draws_nothing(channels):
    images = torch.rand(2, channels, 5, 7, generator=make_generator(0))
    generator = make_generator(0)
    before = generator.get_state()
    assert torch.equal(random_noise(images, generator, max_std=0.0), images)
    assert torch.equal(random_blur(images, generator, sigma=(0.0, 0.0)), images)
    assert torch.equal(generator.get_state(), before)
