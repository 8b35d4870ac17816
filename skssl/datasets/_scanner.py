"""CT numbers to gray values: pose, noise, sharpness and window of a scan."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Scanner", "draw_scanner", "posed_grid", "scan"]


@dataclass(frozen=True)
class Scanner:
    """The settings that map one patient's CT numbers to gray values."""

    level_hu: float
    width_hu: float
    gamma: float
    noise_hu: float
    blur: float  # weight of each neighbouring pixel, in [0, 1/3]


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Return random settings of a scanner and its window."""
    return Scanner(
        level_hu=rng.uniform(-620, -380),
        width_hu=rng.uniform(1100, 1700),
        gamma=np.exp(rng.uniform(-0.35, 0.35)),
        noise_hu=np.exp(rng.uniform(np.log(20), np.log(80))),
        blur=rng.uniform(0, 0.3),
    )


def _blur(images: np.ndarray, weight: float) -> np.ndarray:
    """Smooth images (size, size) with their neighbouring pixels, along both axes."""
    for axis in (0, 1):
        neighbours = np.roll(images, 1, axis) + np.roll(images, -1, axis)
        images = (1 - 2 * weight) * images + weight * neighbours
    return images


def scan(
    rng: np.random.Generator,
    hu: np.ndarray,
    body: np.ndarray,
    scanner: Scanner,
    noise: float,
) -> np.ndarray:
    """Return CT numbers with noise as gray values in the scanner's window, uint8."""
    grain = _blur(rng.standard_normal(hu.shape, dtype=np.float32), scanner.blur)
    grain /= (1 - 2 * scanner.blur) ** 2 + 2 * scanner.blur**2
    # Fewer photons pass through the body, so the noise is stronger inside.
    hu = _blur(hu, scanner.blur) + noise * scanner.noise_hu * (0.4 + 0.6 * body) * grain
    fraction = np.clip((hu - scanner.level_hu) / scanner.width_hu + 0.5, 0, 1)
    return np.rint(255 * fraction**scanner.gamma).astype(np.uint8)


def posed_grid(
    rng: np.random.Generator, size: int, symmetric: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return patient coordinates x, y (size, size) of the pixels, for a random pose."""
    angle, scale = np.deg2rad(rng.uniform(-7, 7)), np.exp(rng.uniform(-0.1, 0.1))
    shift_x, shift_y = rng.uniform(-0.06, 0.06, size=2)
    if symmetric:
        angle = shift_x = 0.0
    line = (2 * np.arange(size) + 1 - size) / size
    column, row = line[None, :] - shift_x, line[:, None] - shift_y
    x = (np.cos(angle) * column + np.sin(angle) * row) / scale
    y = (np.cos(angle) * row - np.sin(angle) * column) / scale
    return x.astype(np.float32), y.astype(np.float32)
