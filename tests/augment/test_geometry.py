"""Crops, flips and rotation: by-hand orientation, ranges and independence."""

import math

import pytest
import torch

from skssl._random import make_generator
from skssl.augment import (
    affine_matrices,
    draw_crops,
    random_affine_view,
    warp_affine,
)

NOTHING = {"crop_scale": (1, 1), "crop_ratio": (1, 1), "p_horizontal_flip": 0}


def noise_images(n, channels, height, width, seed=0):
    generator = make_generator(seed)
    return torch.rand(n, channels, height, width, generator=generator)


def coordinate_ramps(n, size):
    """Channel 0 holds the x, channel 1 the y of each pixel's centre, in [0, 1]."""
    centres = (torch.arange(size) + 0.5) / size
    ramps = torch.stack(torch.meshgrid(centres, centres, indexing="xy"))
    return ramps.expand(n, 2, size, size).contiguous()


def whole_boxes(n):
    return torch.tensor([[0.5, 0.5, 1.0, 1.0]]).repeat(n, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(6, 10), (9, 9), (1, 7)])
def test_nothing_to_do_gives_the_image(channels, size):
    images = noise_images(3, channels, *size)
    generator = make_generator(0)
    before = generator.get_state()
    view = random_affine_view(images, generator, size=size, **NOTHING)
    assert torch.equal(view, images)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("size", [(6, 10), (9, 9), (1, 7)])
def test_identity_matrix_resamples_to_the_same_image(size):
    images = noise_images(3, 2, *size)
    view = warp_affine(images, affine_matrices(whole_boxes(3), size), size)
    torch.testing.assert_close(view, images, atol=5e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
def test_flips_equal_torch_flip(channels, horizontal, vertical):
    images = noise_images(2, channels, 6, 10)
    view = random_affine_view(
        images,
        make_generator(0),
        size=(6, 10),
        crop_scale=(1, 1),
        crop_ratio=(1, 1),
        p_horizontal_flip=float(horizontal),
        p_vertical_flip=float(vertical),
    )
    dims = [dim for dim, flipped in ((3, horizontal), (2, vertical)) if flipped]
    torch.testing.assert_close(view, images.flip(dims), atol=1e-5, rtol=0)


@pytest.mark.parametrize("quarter_turns", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_quarter_turns_of_square_images_equal_rot90(quarter_turns, channels):
    images = noise_images(2, channels, 8, 8)
    angle = torch.full((2,), 90.0 * quarter_turns)
    matrices = affine_matrices(whole_boxes(2), (8, 8), angle_deg=angle)
    expected = torch.rot90(images, quarter_turns, dims=(2, 3))
    view = warp_affine(images, matrices, (8, 8))
    torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_quarter_turns_do_not_shear_oblong_images(quarter_turns):
    # 6 x 10 turned by 90 degrees is 10 x 6; the 6 x 10 window around its centre
    # shows its middle six rows, and two empty columns on each side.
    images = noise_images(2, 3, 6, 10)
    angle = torch.full((2,), 90.0 * quarter_turns)
    matrices = affine_matrices(whole_boxes(2), (6, 10), angle_deg=angle)
    turned = torch.rot90(images, quarter_turns, dims=(2, 3))
    if quarter_turns % 2:
        turned = torch.nn.functional.pad(turned[:, :, 2:8], (2, 2))
    view = warp_affine(images, matrices, (6, 10))
    torch.testing.assert_close(view, turned, atol=1e-5, rtol=0)


def test_flip_comes_after_rotation():
    images = noise_images(1, 1, 8, 8)
    matrices = affine_matrices(
        whole_boxes(1),
        (8, 8),
        angle_deg=torch.tensor([90.0]),
        horizontal_flip=torch.tensor([True]),
        vertical_flip=torch.tensor([False]),
    )
    expected = torch.rot90(images, 1, dims=(2, 3)).flip(3)
    view = warp_affine(images, matrices, (8, 8))
    torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


def test_crop_of_whole_pixels_equals_slicing():
    images = noise_images(1, 3, 8, 12)
    # Rows 2 to 6 and columns 6 to 9.
    box = torch.tensor([[7.5 / 12, 4 / 8, 3 / 12, 4 / 8]])
    view = warp_affine(images, affine_matrices(box, (8, 12)), (4, 3))
    torch.testing.assert_close(view, images[:, :, 2:6, 6:9], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(5, 7), (16, 24)])
def test_resize_equals_interpolate(size):
    images = noise_images(2, 3, 8, 12)
    view = random_affine_view(images, make_generator(0), size=size, **NOTHING)
    expected = torch.nn.functional.interpolate(images, size=size, mode="bilinear")
    torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


def test_crop_boxes_cover_their_ranges():
    boxes = draw_crops(4000, make_generator(0), scale=(0.2, 0.6), ratio=(3 / 4, 4 / 3))
    centre_x, centre_y, width, height = boxes.unbind(1)
    area, ratio = width * height, width / height
    # Below 0.6 no side exceeds the image, as sqrt(0.6 * 4 / 3) < 1.
    assert area.min() >= 0.2 - 1e-6
    assert area.max() <= 0.6 + 1e-6
    assert area.mean() == pytest.approx(0.4, abs=0.01)
    assert ratio.min() >= 3 / 4 - 1e-6
    assert ratio.max() <= 4 / 3 + 1e-6
    assert ratio.log().mean() == pytest.approx(0, abs=0.01)
    assert ratio.log().std() == pytest.approx(2 * math.log(4 / 3) / 12**0.5, abs=0.01)
    for centre, side in ((centre_x, width), (centre_y, height)):
        slack = (centre - 0.5) / (1 - side)
        assert slack.min() >= -0.5 - 1e-5
        assert slack.max() <= 0.5 + 1e-5
        assert slack.std() == pytest.approx(12**-0.5, abs=0.01)


def test_too_long_sides_are_clamped():
    boxes = draw_crops(500, make_generator(0), scale=(1, 1), ratio=(1 / 2, 2))
    assert boxes[:, 2:].max() == 1
    expected = torch.full((500,), 0.5)
    longer = boxes[:, 2:].argmax(dim=1, keepdim=True)
    torch.testing.assert_close(boxes[:, :2].gather(1, longer)[:, 0], expected)


def recover_boxes(views):
    """Centres and signed sides of the crops, from views of coordinate ramps."""
    size = views.shape[-1]
    stretch = size / (size - 1)
    x, y = views[:, 0], views[:, 1]
    width = (x[:, :, -1] - x[:, :, 0]).mean(1) * stretch
    height = (y[:, -1] - y[:, 0]).mean(1) * stretch
    return torch.stack([x.mean((1, 2)), y.mean((1, 2)), width, height], dim=1)


def test_views_of_ramps_show_crops_and_flips_in_their_ranges():
    views = random_affine_view(
        coordinate_ramps(1000, 64),
        make_generator(0),
        size=(16, 16),
        crop_scale=(0.3, 0.7),
        p_horizontal_flip=0.5,
        p_vertical_flip=0.25,
    )
    boxes = recover_boxes(views)
    area = (boxes[:, 2] * boxes[:, 3]).abs()
    assert area.min() > 0.28
    assert area.max() < 0.72
    assert area.std() == pytest.approx(0.4 / 12**0.5, abs=0.015)
    # Standard errors of the frequencies are 0.016 and 0.014.
    assert (boxes[:, 2] < 0).float().mean() == pytest.approx(0.5, abs=0.06)
    assert (boxes[:, 3] < 0).float().mean() == pytest.approx(0.25, abs=0.06)


def test_images_of_a_batch_draw_independently():
    # Repeated batches of two: over the repeats, the parameters of image 0 must not
    # correlate with those of image 1, nor with each other.
    generator = make_generator(0)
    ramps = coordinate_ramps(2, 16)
    pairs = torch.stack(
        [
            recover_boxes(random_affine_view(ramps, generator, size=(8, 8)))
            for _ in range(600)
        ]
    )  # (600, 2, 4)
    pairs[:, :, 2:] = pairs[:, :, 2:].abs()
    correlation = torch.corrcoef(pairs.reshape(600, 8).T)
    across = correlation[:4, 4:]
    assert across.abs().max() < 0.2  # five standard errors
    assert correlation[0, 1].abs() < 0.2


def test_rotation_angles_are_uniform_and_signed():
    views = random_affine_view(
        coordinate_ramps(800, 64),
        make_generator(0),
        size=(64, 64),
        rotation_deg=30,
        padding_mode="border",
        **NOTHING,
    )
    centre = views[:, :, 28:36, 28:36]
    along_x = (centre[..., -1] - centre[..., 0]).mean(2)  # (n, 2): d(x, y) / dx
    angle = torch.rad2deg(torch.atan2(along_x[:, 1], along_x[:, 0]))
    assert angle.min() >= -30.1
    assert angle.max() <= 30.1
    assert angle.mean() == pytest.approx(0, abs=2)
    assert angle.std() == pytest.approx(60 / 12**0.5, abs=1)


@pytest.mark.parametrize(
    ("padding_mode", "corner"), [("zeros", 0.0), ("border", 1.0), ("reflection", 1.0)]
)
def test_padding_shows_outside_of_a_rotated_image(padding_mode, corner):
    matrices = affine_matrices(whole_boxes(1), (16, 16), angle_deg=torch.tensor([45.0]))
    view = warp_affine(
        torch.ones(1, 1, 16, 16), matrices, (16, 16), padding_mode=padding_mode
    )
    assert view[0, 0, 0, 0] == pytest.approx(corner)
    assert view[0, 0, 8, 8] == pytest.approx(1)


def test_enlarged_crops_do_not_fade_at_the_edges():
    view = random_affine_view(torch.ones(20, 1, 8, 8), make_generator(0), size=(32, 32))
    torch.testing.assert_close(view, torch.ones_like(view))
