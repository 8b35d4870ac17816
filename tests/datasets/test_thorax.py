import numpy as np
import pytest

from skssl.datasets._scanner import posed_grid
from skssl.datasets._thorax import (
    AIR,
    _ellipse,
    _lungs,
    _net,
    _smooth_field,
    draw_anatomy,
    render_slice,
)


def straight_grid(size):
    line = ((2 * np.arange(size) + 1 - size) / size).astype(np.float32)
    return np.broadcast_to(line, (size, size)), np.broadcast_to(
        line[:, None], (size, size)
    )


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_ellipse_has_the_area_of_an_ellipse(angle):
    size = 200
    mask = _ellipse(*straight_grid(size), (0.1, -0.2), (0.5, 0.3), angle)
    assert mask.mean() * 4 == pytest.approx(np.pi * 0.5 * 0.3, rel=0.01)


def test_ellipse_of_negative_axes_is_empty():
    assert not _ellipse(*straight_grid(16), (0, 0), (-0.1, 0.3)).any()


def test_smooth_field_has_unit_variance_at_every_pixel(rng):
    fields = np.stack([_smooth_field(rng, 24, 10) for _ in range(2000)])
    np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.08)


def test_smooth_field_is_the_same_field_at_other_sizes():
    small = _smooth_field(np.random.default_rng(0), 20, 6)
    large = _smooth_field(np.random.default_rng(0), 60, 6)
    # the middle pixel of each three of the large one lies on a small one's pixel
    np.testing.assert_allclose(large[1::3, 1::3], small, atol=1e-5)


def test_net_is_one_at_zero_crossings():
    net = _net(np.random.default_rng(3), 32, 8, 0.2)
    field = _smooth_field(np.random.default_rng(3), 32, 8)
    np.testing.assert_allclose(net, np.exp(-((field / 0.2) ** 2)), rtol=1e-5)


def test_lungs_are_mirror_images_without_asymmetry(rng):
    x, y = straight_grid(64)
    anatomy = draw_anatomy(rng)
    for level in (0.1, 0.5, 0.9):
        lung = _lungs(x, y, anatomy, level, asymmetry=0.0)
        np.testing.assert_allclose(lung, lung[:, ::-1], atol=1e-5)


def test_heart_lies_on_the_images_right():
    x, y = straight_grid(64)
    for seed in range(10):
        anatomy = draw_anatomy(np.random.default_rng(seed))
        lung = _lungs(x, y, anatomy, level=0.5, asymmetry=1.0)
        assert lung[:, :32].sum() > 1.05 * lung[:, 32:].sum()


def test_lungs_open_below_the_apex(rng):
    x, y = straight_grid(64)
    anatomy = draw_anatomy(rng)
    apex, middle = (_lungs(x, y, anatomy, level, 1.0).sum() for level in (0.1, 0.5))
    assert apex < 0.8 * middle


def test_render_slice_covers_5_to_40_percent_of_the_lungs():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        anatomy = draw_anatomy(rng)
        x, y = posed_grid(rng, 64, symmetric=False)
        drawn = render_slice(
            rng, x, y, anatomy, level=0.5, lesion_contrast=1.0, asymmetry=1.0
        )
        assert 0.05 < drawn.lesion_fraction < 0.4
        assert drawn.hu[drawn.body == 0].min() == AIR
        assert drawn.hu.max() < 600


def test_render_slice_adds_density_only_in_the_lungs(seed):
    anatomy = draw_anatomy(np.random.default_rng(seed))
    x, y = straight_grid(96)
    healthy, ill = (
        render_slice(
            np.random.default_rng(seed),
            x,
            y,
            anatomy,
            level=0.5,
            lesion_contrast=contrast,
            asymmetry=1.0,
        )
        for contrast in (None, 1.0)
    )
    added = ill.hu - healthy.hu
    lung = _lungs(x, y, anatomy, 0.5, 1.0)
    assert healthy.lesion_fraction == 0
    assert added.min() > -1e-3
    assert not added[lung == 0].any()
    assert added.max() > 400
