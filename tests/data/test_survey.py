"""Sizes, channels and value ranges are learned from the training rows only."""

import numpy as np
import pytest
from PIL import Image

from skssl.data import make_source, survey_images


def survey(X, rows=None, **options):
    source = make_source(X)
    return survey_images(
        source, range(len(source)) if rows is None else rows, **options
    )


def test_common_size_or_none(rng):
    images = [np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)]
    assert survey(images).size == (4, 5)
    assert survey([*images, np.zeros((5, 5), np.uint8)]).size is None


def test_range_is_that_of_the_training_rows():
    images = np.array([[[0.0, 2.0]], [[-1.0, 1.0]], [[-50.0, 90.0]]])
    assert survey(images, rows=[0, 1]).value_range == (-1.0, 2.0)
    assert survey(images).value_range == (-50.0, 90.0)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_given_range_is_kept_even_for_uint8(dtype):
    images = np.zeros((2, 3, 3), dtype=dtype)
    assert survey(images, value_range=(-5, 5)).value_range == (-5.0, 5.0)


def test_uint8_needs_no_range():
    assert survey(np.zeros((2, 3, 3), dtype=np.uint8)).value_range is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_name_their_row(bad):
    images = np.zeros((3, 2, 2))
    images[2, 1, 1] = bad
    with pytest.raises(ValueError, match=r"X\[2\]: it contains NaN or infinity"):
        survey(images)


def test_mixed_channels_of_arrays_are_refused_unless_converted():
    images = [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"X\[1\] has 3 channels, but X\[0\] has 1"):
        survey(images)
    assert survey(images, color="rgb").n_channels == 3
    assert survey(images, color="gray").n_channels == 1


def save_all(folder, images):
    paths = []
    for i, image in enumerate(images):
        paths.append(str(folder / f"{i}.png"))
        image.save(paths[-1])
    return paths


def test_gray_scans_stored_as_rgb_are_gray(tmp_path, rng):
    gray = [
        Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)) for _ in range(4)
    ]
    stored = [
        image.convert(mode)
        for image, mode in zip(gray, ("L", "RGB", "RGBA", "P"), strict=True)
    ]
    assert survey(save_all(tmp_path, stored)).n_channels == 1


def test_most_files_decide_between_gray_and_rgb(tmp_path):
    gray = [Image.new("RGB", (8, 8), (50, 50, 50))] * 3
    red = [Image.new("RGB", (8, 8), (200, 0, 0))] * 2
    assert survey(save_all(tmp_path, gray + red)).n_channels == 1
    assert survey(save_all(tmp_path, gray[:1] + red)).n_channels == 3


def test_jpeg_errors_are_not_colour(tmp_path, rng):
    path = str(tmp_path / "scan.jpg")
    noise = rng.integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(noise).convert("RGB").save(path, quality=60)
    assert survey([path]).n_channels == 1


def test_missing_file_is_named(tmp_path):
    paths = save_all(tmp_path, [Image.new("L", (4, 4))] * 2)
    with pytest.raises(FileNotFoundError, match=r"X\[2\]"):
        survey([*paths, str(tmp_path / "gone.png")])
