import numpy as np
import pytest

from skssl.datasets._scanner import Scanner, draw_scanner, posed_grid, scan


def make_scanner(*, gamma=1.0, noise_hu=50.0, blur=0.0):
    return Scanner(
        level_hu=-500.0, width_hu=1000.0, gamma=gamma, noise_hu=noise_hu, blur=blur
    )


@pytest.mark.parametrize(
    ("hu", "gamma", "gray"),
    [
        (-1100, 1, 0),
        (-1000, 1, 0),
        (-800, 1, 51),
        (0, 1, 255),
        (90, 2, 255),
        (-800, 2, 10),
    ],
)
def test_scan_shows_ct_numbers_through_the_window(rng, hu, gamma, gray):
    # (-800 + 500) / 1000 + 0.5 = 0.2, which is 51 of 255, or 10.2 when squared
    image = np.full((4, 4), hu, np.float32)
    shown = scan(rng, image, image, make_scanner(gamma=gamma), noise=0.0)
    assert shown.dtype == np.uint8
    assert (shown == gray).all()


@pytest.mark.parametrize("blur", [0.0, 0.2, 0.3])
@pytest.mark.parametrize(("body", "factor"), [(0.0, 0.4), (1.0, 1.0)])
def test_scan_noise_has_the_stated_spread(rng, blur, body, factor):
    flat = np.full((300, 300), -500, np.float32)
    scanner = make_scanner(blur=blur, noise_hu=100.0)
    shown = scan(rng, flat, np.full_like(flat, body), scanner, noise=1.0)
    assert shown.std() == pytest.approx(255 * 0.1 * factor, rel=0.03)


def test_draw_scanner_varies_the_window():
    scanners = [draw_scanner(np.random.default_rng(seed)) for seed in range(20)]
    assert len({scanner.width_hu for scanner in scanners}) == 20
    assert all(0 <= scanner.blur <= 1 / 3 for scanner in scanners)


def test_posed_grid_turns_scales_and_shifts(rng):
    x, y = posed_grid(rng, 32, symmetric=False)
    step_x, step_y = x[0, 1] - x[0, 0], y[0, 1] - y[0, 0]
    assert 0.9 < np.hypot(step_x, step_y) / (2 / 32) < 1.11
    assert abs(np.arctan2(step_y, step_x)) < np.deg2rad(7.1)
    assert abs(x.mean()) < 0.1


def test_posed_grid_keeps_the_midline_if_symmetric(rng):
    x, _ = posed_grid(rng, 32, symmetric=True)
    np.testing.assert_allclose(x, -x[:, ::-1], atol=1e-6)
