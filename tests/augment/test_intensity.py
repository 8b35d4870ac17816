"""Brightness, contrast and gamma against torchvision and by hand."""

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from skssl._random import make_generator
from skssl.augment import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    as_unit_float,
    random_brightness,
    random_contrast,
    random_gamma,
)

FACTORS = torch.tensor([0.0, 0.3, 1.0, 1.7])


def noise_images(n, channels, height=9, width=13, seed=0):
    return torch.rand(n, channels, height, width, generator=make_generator(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (adjust_brightness, reference.adjust_brightness),
        (adjust_contrast, reference.adjust_contrast),
    ],
)
def test_blends_equal_torchvision_image_by_image(channels, function, expected):
    images = noise_images(4, channels)
    changed = function(images, FACTORS)
    for image, result, factor in zip(images, changed, FACTORS.tolist(), strict=True):
        # Torchvision's rounded luma weights move the mean by up to 1e-4.
        torch.testing.assert_close(result, expected(image, factor), atol=5e-4, rtol=0)


@pytest.mark.parametrize("channels", [2, 4])
def test_contrast_of_other_channel_counts_uses_the_mean_of_all(channels):
    images = noise_images(1, channels)
    flat = adjust_contrast(images, torch.zeros(1))
    torch.testing.assert_close(flat, torch.full_like(flat, images.mean().item()))


def test_gamma_equals_the_power_and_keeps_the_ends():
    images = noise_images(3, 2)
    images[:, :, 0, 0], images[:, :, 0, 1] = 0.0, 1.0
    images[:, :, 0, 2] = -1e-8  # what rounding may leave
    gamma = torch.tensor([0.5, 1.0, 2.5])
    changed = adjust_gamma(images, gamma)
    for image, result, power in zip(images, changed, gamma.tolist(), strict=True):
        torch.testing.assert_close(result, image.clamp_min(0) ** power)
    assert not changed.isnan().any()


@pytest.mark.parametrize("function", [random_brightness, random_contrast, random_gamma])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_zero_strength_is_the_identity_and_draws_nothing(function, channels):
    images = noise_images(2, channels)
    generator = make_generator(0)
    before = generator.get_state()
    assert torch.equal(function(images, generator, strength=0.0), images)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("function", [random_brightness, random_contrast, random_gamma])
def test_only_selected_images_change(function):
    images = noise_images(3, 1)
    original = images.clone()
    mask = torch.tensor([True, False, True])
    changed = function(images, make_generator(0), strength=0.5, p=mask)
    differs = (changed != images).flatten(1).any(1)
    assert torch.equal(differs, mask)
    assert torch.equal(images, original)


def test_probability_is_per_image():
    images = noise_images(1000, 1, 1, 2)
    changed = random_brightness(images, make_generator(0), strength=0.5, p=0.3)
    share = (changed != images).flatten(1).any(1).float().mean()
    assert share == pytest.approx(0.3, abs=0.06)


def test_brightness_factors_are_uniform():
    images = torch.full((2000, 1, 1, 1), 0.5)
    changed = random_brightness(images, make_generator(0), strength=0.4).flatten()
    factor = changed / 0.5
    assert 0.6 <= factor.min() < 0.62
    assert 1.38 < factor.max() <= 1.4
    assert factor.std() == pytest.approx(0.8 / 12**0.5, abs=0.01)


def test_strength_above_one_never_makes_negative_factors():
    images = torch.full((500, 1, 1, 1), 0.1)
    changed = random_brightness(images, make_generator(0), strength=2.0).flatten()
    assert (changed / 0.1).std() == pytest.approx(3 / 12**0.5, abs=0.08)


def test_contrast_factors_are_uniform():
    images = torch.tensor([0.4, 0.6]).expand(2000, 1, 1, 2)
    changed = random_contrast(images, make_generator(0), strength=0.4)
    factor = (changed[..., 1] - changed[..., 0]).flatten() / 0.2
    assert factor.min() >= 0.6 - 1e-5
    assert factor.max() <= 1.4 + 1e-5
    assert factor.mean() == pytest.approx(1, abs=0.03)
    assert factor.std() == pytest.approx(0.8 / 12**0.5, abs=0.01)


def test_gammas_are_log_uniform():
    images = torch.full((2000, 1, 1, 1), 0.5)
    changed = random_gamma(images, make_generator(0), strength=1.0).flatten()
    power = changed.log2().neg().log2()  # of log-uniform in [1/2, 2]
    assert power.min() >= -1 - 1e-5
    assert power.max() <= 1 + 1e-5
    assert power.mean() == pytest.approx(0, abs=0.06)
    assert power.std() == pytest.approx(2 / 12**0.5, abs=0.02)


def test_as_unit_float_converts_by_type():
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert as_unit_float(levels).flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    half = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    assert as_unit_float(half).dtype == torch.float32
    with pytest.raises(TypeError, match=r"uint8, or floating point.*got int64"):
        as_unit_float(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(n, C, H, W\), got 3 dimensions"):
        as_unit_float(torch.zeros(1, 2, 2))
