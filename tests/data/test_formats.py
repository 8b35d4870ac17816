"""Conversion of values, channels and sizes, and the errors of each."""

import numpy as np
import pytest
from PIL import Image

from skssl.data import ImageFormat


def test_uint8_is_not_changed(rng):
    image = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    rendered = ImageFormat(n_channels=1).render(image, (5, 7))
    np.testing.assert_array_equal(rendered, image[None])


def test_channels_come_first(rng):
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    rendered = ImageFormat(n_channels=3).render(image, (5, 7))
    np.testing.assert_array_equal(rendered, image.transpose(2, 0, 1))


def test_window_on_hounsfield_units():
    hu = np.array([[-2000, -1000], [-300, 400], [3000, 399]], dtype=np.int16)
    window = ImageFormat(n_channels=1, value_range=(-1000, 400), clip=None)
    # By hand: (-300 + 1000) / 1400 · 255 = 127.5, rounded to the even 128.
    expected = [[[0, 0], [128, 255], [255, 255]]]
    np.testing.assert_array_equal(window.render(hu, (3, 2)), expected)


@pytest.mark.parametrize(
    ("clip", "dtype", "refused"),
    [
        (None, np.float32, True),
        (None, np.int16, False),
        (False, np.int16, True),
        (False, np.float32, True),
        (True, np.float32, False),
    ],
)
def test_values_out_of_range(clip, dtype, refused):
    image = np.array([[0, 2]], dtype=dtype)
    form = ImageFormat(n_channels=1, value_range=(0, 1), clip=clip)
    if refused:
        with pytest.raises(
            ValueError, match=r"span 0 to 2, outside value_range=\(0, 1"
        ):
            form.render(image, (1, 2))
    else:
        np.testing.assert_array_equal(form.render(image, (1, 2)), [[[0, 255]]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad):
    form = ImageFormat(n_channels=1, value_range=(0, 1))
    with pytest.raises(ValueError, match="NaN or infinity"):
        form.render(np.array([[0.5, bad]]), (1, 2))


def test_extreme_ranges_do_not_overflow():
    top = np.finfo(np.float32).max
    image = np.array([[-top, 0, top]], dtype=np.float32)
    form = ImageFormat(n_channels=1, value_range=(-float(top), float(top)))
    np.testing.assert_array_equal(form.render(image, (1, 3)), [[[0, 128, 255]]])


def test_constant_range_is_black():
    form = ImageFormat(n_channels=1, value_range=(3.0, 3.0))
    assert form.render(np.full((2, 2), 3.0), (2, 2)).max() == 0


def test_booleans_are_black_and_white():
    rendered = ImageFormat(n_channels=1).render(np.array([[True, False]]), (1, 2))
    np.testing.assert_array_equal(rendered, [[[255, 0]]])


def test_wide_values_without_a_range_are_refused():
    with pytest.raises(ValueError, match=r"uint16 values.*value_range=\(low, high\)"):
        ImageFormat(n_channels=1).render(np.zeros((2, 2), np.uint16), (2, 2))


def test_conversion_between_gray_and_rgb(rng):
    rgb = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    gray = ImageFormat(n_channels=1).render(rgb, (6, 5), convert=True)[0]
    pillow = np.asarray(Image.fromarray(rgb).convert("L"))
    assert np.abs(gray.astype(int) - pillow).max() <= 1
    tripled = ImageFormat(n_channels=3, convert_channels=True).render(gray, (6, 5))
    np.testing.assert_array_equal(tripled, np.stack([gray] * 3))


def test_other_channels_are_refused_by_default():
    with pytest.raises(ValueError, match="3 channels, but 1 are expected"):
        ImageFormat(n_channels=1).render(np.zeros((2, 2, 3), np.uint8), (2, 2))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
def test_resizing_equals_pillow_for_each_channel(rng, n_channels):
    image = rng.integers(0, 256, (20, 30, n_channels), dtype=np.uint8)
    rendered = ImageFormat(n_channels=n_channels).render(image, (7, 12))
    for channel in range(n_channels):
        plane = Image.fromarray(image[..., channel])
        expected = plane.resize((12, 7), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(rendered[channel], np.asarray(expected))


def half_and_half(height, width):
    """Left half black, right half white."""
    image = np.zeros((height, width), dtype=np.uint8)
    image[:, width // 2 :] = 255
    return image


def test_squash_keeps_the_whole_image():
    out = ImageFormat(n_channels=1).render(half_and_half(8, 32), (8, 8))[0]
    assert out[:, :3].max() == 0
    assert out[:, 5:].min() == 255


def test_crop_keeps_the_centre_of_the_longer_side():
    image = half_and_half(8, 32)
    image[:, :10] = image[:, -10:] = 77  # outside the central 8 × 8
    out = ImageFormat(n_channels=1, resize="crop").render(image, (8, 8))[0]
    np.testing.assert_array_equal(out, half_and_half(8, 8))


def test_pad_adds_black_borders():
    image = np.full((8, 32), 200, dtype=np.uint8)
    out = ImageFormat(n_channels=1, resize="pad").render(image, (16, 16))[0]
    expected = np.zeros((16, 16))
    expected[6:10] = 200  # 32 × 8 shrinks to 16 × 4
    np.testing.assert_array_equal(out, expected)
    tall = ImageFormat(n_channels=1, resize="pad").render(image.T, (16, 16))[0]
    np.testing.assert_array_equal(tall, expected.T)
