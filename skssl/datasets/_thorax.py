"""One axial slice through a simulated chest, in Hounsfield units."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Anatomy", "Slice", "draw_anatomy", "render_slice"]

FloatImage = np.ndarray

# Typical CT numbers, in Hounsfield units.
AIR, FAT, MUSCLE, BLOOD, BONE = -1000.0, -90.0, 45.0, 70.0, 500.0


@dataclass(frozen=True)
class Anatomy:
    """The anatomy of one patient; lengths are in half image widths."""

    body: tuple[float, float]  # half axes, left-right and anterior-posterior
    fat: float
    wall: float
    lung_height: float
    mediastinum: float
    heart: float
    heart_angle: float
    diaphragm: float  # level, in [0, 1], where the liver dome appears
    rib_phase: float
    n_ribs: int
    lung_hu: float
    vessels: float
    gravity_hu: float  # additional density of the dependent (posterior) lung
    haze_hu: float
    table: float  # gap between body and table; 0 if no table is visible


@dataclass(frozen=True)
class Slice:
    """A rendered slice before the scanner is applied."""

    hu: FloatImage  # (size, size) float32, CT numbers
    body: FloatImage  # (size, size) fraction of each pixel inside the skin
    lesion_fraction: float  # of the area of the lungs, in [0, 1]


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Return the random anatomy of a patient."""
    width = rng.uniform(0.82, 0.94)
    return Anatomy(
        body=(width, width * rng.uniform(0.70, 0.84)),
        fat=rng.uniform(0.02, 0.07),
        wall=rng.uniform(0.07, 0.11),
        lung_height=rng.uniform(0.80, 0.96),
        mediastinum=rng.uniform(0.07, 0.13),
        heart=rng.uniform(0.85, 1.2),
        heart_angle=rng.uniform(0.2, 0.8),
        diaphragm=rng.uniform(0.55, 0.8),
        rib_phase=rng.uniform(0, 2 * np.pi),
        n_ribs=int(rng.integers(5, 9)),
        lung_hu=rng.uniform(-900, -780),
        vessels=rng.uniform(0.5, 1.5),
        gravity_hu=rng.uniform(0, 160),
        haze_hu=rng.uniform(20, 130),
        table=rng.uniform(0.03, 0.12) * rng.integers(0, 2),
    )


@lru_cache(maxsize=32)
def _interpolation(size: int, n_knots: int) -> FloatImage:
    """Return Gaussian weights (size, n_knots) that preserve the variance of noise."""
    position = (np.arange(size, dtype=np.float32) + 0.5) / size * (n_knots - 1)
    weights = np.exp(-((position[:, None] - np.arange(n_knots)) ** 2))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.astype(np.float32)


def _smooth_field(rng: np.random.Generator, size: int, n_knots: int) -> FloatImage:
    """Return a Gaussian field of unit variance; its grain is size / n_knots pixels."""
    knots = rng.standard_normal((n_knots, n_knots), dtype=np.float32)
    weights = _interpolation(size, n_knots)
    return weights @ knots @ weights.T  # (size, size)


def _net(rng: np.random.Generator, size: int, n_knots: int, width: float) -> FloatImage:
    """Return thin bright lines at the zero crossings of a smooth field, in [0, 1]."""
    field = _smooth_field(rng, size, n_knots)
    return np.exp(-((field / width) ** 2))


def _ellipse(
    x: FloatImage,
    y: FloatImage,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float = 0.0,
) -> FloatImage:
    """Return the fraction of each pixel inside an ellipse; its edge is 1.5 pixels wide.

    Axes that are not positive, of organs absent at this level, give zeros.
    """
    if min(axes) <= 0:
        return np.zeros_like(x)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    radius = np.hypot((cos * dx + sin * dy) / axes[0], (cos * dy - sin * dx) / axes[1])
    edge = 3.0 / len(x)
    return np.clip(0.5 - (radius - 1) * (min(axes) / edge), 0, 1, dtype=np.float32)


def _over(below: FloatImage, mask: FloatImage, above: FloatImage | float) -> FloatImage:
    """Blend ``above`` over ``below``; the opacity is ``mask``, in [0, 1]."""
    return below + mask * (above - below)


def _lungs(
    x: FloatImage, y: FloatImage, anatomy: Anatomy, level: float, asymmetry: float
) -> FloatImage:
    """Return the fraction of each pixel inside the lungs, without heart and liver."""
    a = anatomy.body[0] - anatomy.wall - anatomy.fat
    b = (anatomy.body[1] - anatomy.wall - anatomy.fat) * anatomy.lung_height
    opening = 0.5 + 0.5 * np.sin(np.pi / 2 * min(1.0, level / 0.55))
    half_width = a * (0.5 - 0.5 * anatomy.mediastinum) * opening
    side = np.abs(x)
    lung = _ellipse(side, y, (0.52 * a, 0.03), (half_width, b * opening), angle=0.12)
    gap = np.float32(anatomy.mediastinum) * (1.1 + 0.5 * y / b)
    lung *= np.clip(0.5 + (side - gap) * len(x) / 3, 0, 1)
    lung *= 1 - _ellipse(x, y, *_heart(anatomy, level, asymmetry))
    dome = 0.95 * (level - anatomy.diaphragm)
    if dome > 0:
        reach = (0.42 * dome / 0.4 + 0.05, 0.4 * dome / 0.4 + 0.05)
        lung *= 1 - _ellipse(x, y, (-0.5 * a, -0.02), reach)
        # The left half of the diaphragm is lower.
        scale = 1 - 0.6 * asymmetry
        reach = (reach[0] * scale, reach[1] * scale)
        lung *= 1 - _ellipse(x, y, (0.5 * a, -0.02), reach)
    return lung


def _heart(
    anatomy: Anatomy, level: float, asymmetry: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Return centre, half axes and angle of the heart, or of the vessels above it."""
    grown = 0.55 + 0.45 * np.sin(np.pi * np.clip((level - 0.1) / 0.9, 0, 1))
    size = anatomy.heart * grown * (0.6 if level < 0.35 else 1.0)
    centre = (0.15 * asymmetry * size, -0.14)
    return centre, (0.29 * size, 0.22 * size), anatomy.heart_angle * asymmetry


def _skeleton(
    hu: FloatImage, x: FloatImage, y: FloatImage, anatomy: Anatomy, level: float
) -> FloatImage:
    """Add ribs, sternum and spine to the slice."""
    a = anatomy.body[0] - anatomy.fat - 0.45 * anatomy.wall
    b = anatomy.body[1] - anatomy.fat - 0.45 * anatomy.wall
    radius = np.hypot(x / a, y / b)
    angle = np.arctan2(y / b, np.abs(x) / a)
    # Ribs run obliquely, so their section moves along the body wall with the level.
    turn = anatomy.rib_phase + 9 * level
    cut = np.clip(4 * np.cos(anatomy.n_ribs * 2 * angle + turn) - 0.4, 0, 1)
    ring = np.clip(1.6 - np.abs(radius - 1) * (b / 0.02), 0, 1)
    hu = _over(hu, (cut * ring).astype(np.float32), BONE)
    hu = _over(hu, _ellipse(x, y, (0, -0.97 * b), (0.1, 0.035)), 0.6 * BONE)
    spine = 0.72 * b
    hu = _over(hu, _ellipse(x, y, (0, spine), (0.115, 0.09)), 0.8 * BONE)
    hu = _over(hu, _ellipse(x, y, (0, spine), (0.085, 0.065)), 0.5 * BONE)
    hu = _over(hu, _ellipse(x, y, (0, spine + 0.16), (0.03, 0.07)), BONE)
    wing = _ellipse(np.abs(x), y, (0.16, spine + 0.1), (0.1, 0.022), angle=0.5)
    hu = _over(hu, wing, 0.8 * BONE)
    return _over(hu, _ellipse(x, y, (0, spine + 0.11), (0.04, 0.03)), MUSCLE)


def _lung_tissue(
    rng: np.random.Generator, x: FloatImage, y: FloatImage, anatomy: Anatomy
) -> FloatImage:
    """Return CT numbers of healthy lung: air, vessels, haze, denser posteriorly."""
    size = len(x)
    back = np.clip(0.5 + y / 0.8, 0, 1.2)
    tissue = anatomy.lung_hu + anatomy.gravity_hu * back**2
    tissue += anatomy.haze_hu * np.maximum(_smooth_field(rng, size, 5), -0.5)
    hilum = np.hypot(np.abs(x) - 0.22, 0.8 * y)
    lengthwise = _net(rng, size, 20, 0.14) * np.clip(1.1 - 1.2 * hilum, 0.15, 1)
    lengthwise *= np.clip(0.4 + _smooth_field(rng, size, 12), 0, 1)
    across = np.clip(3 * _smooth_field(rng, size, 60) - 6.0, 0, 1)
    trunks = _net(rng, size, 10, 0.12) * np.clip(1.0 - 2.2 * hilum, 0, 1)
    vessels = anatomy.vessels * (350 * lengthwise + 450 * across + 600 * trunks)
    return np.minimum(tissue + vessels, BLOOD)


def _lesion_mask(
    rng: np.random.Generator, x: FloatImage, y: FloatImage, lung: FloatImage
) -> FloatImage:
    """Return patchy opacities, in [0, 1], over about 12 to 35 % of the lungs."""
    size = len(x)
    target_area = rng.uniform(0.12, 0.28) * lung.sum()
    ragged = 0.45 * _smooth_field(rng, size, 16)
    candidates = np.flatnonzero(lung > 0.5)
    mask = np.zeros_like(x)
    for _ in range(60):
        spot = candidates[int(rng.random() * len(candidates))]
        dx, dy = x - x.flat[spot], y - y.flat[spot]
        reach = rng.uniform(0.07, 0.18)
        bump = np.exp(-(dx * dx + dy * dy) / reach**2)
        patch = np.clip(3 * (bump + ragged * np.sqrt(bump) - 0.3), 0, 1)
        mask = np.maximum(mask, patch * lung)
        if mask.sum() >= target_area:
            break
    return mask


def _add_lesions(
    rng: np.random.Generator,
    tissue: FloatImage,
    mask: FloatImage,
    contrast: float,
) -> FloatImage:
    """Add ground glass, thickened septa and some consolidation to the lungs."""
    size = len(tissue)
    ground_glass = rng.uniform(200, 320)
    septa = rng.uniform(400, 550) * _net(rng, size, 40, 0.35)
    core = np.clip(2 * _smooth_field(rng, size, 12) - 2.0, 0, 1)
    added = ground_glass + septa + 350 * core
    return np.minimum(tissue + contrast * mask * added, BLOOD)


def render_slice(
    rng: np.random.Generator,
    x: FloatImage,
    y: FloatImage,
    anatomy: Anatomy,
    *,
    level: float,
    lesion_contrast: float | None,
    asymmetry: float,
    mirrored: bool = False,
) -> Slice:
    """Render one slice at patient coordinates ``x``, ``y`` of each pixel.

    Parameters
    ----------
    rng : Generator
        Draws textures and lesions.
    x, y : ndarray of shape (size, size), float32
        Patient coordinates in half image widths; x increases to the patient's left,
        which is the image's right by radiological convention, y to the back.
    anatomy : Anatomy
        The patient.
    level : float
        0 at the apex of the lungs, 1 at their base.
    lesion_contrast : float or None
        Factor on the lesions' density; None for a healthy patient.
    asymmetry : float
        Factor on the asymmetry of heart, aorta and diaphragm.
    mirrored : bool, default=False
        Add lesions only where x < 0, because the caller mirrors that half.

    Returns
    -------
    Slice
    """
    skin = _ellipse(x, y, (0, 0), anatomy.body)
    within = (anatomy.body[0] - anatomy.fat, anatomy.body[1] - anatomy.fat)
    hu = _over(np.full_like(x, AIR), skin, FAT)
    hu = _over(hu, _ellipse(x, y, (0, 0), within), MUSCLE)
    hu = _skeleton(hu, x, y, anatomy, level)

    lung = _lungs(x, y, anatomy, level, asymmetry)
    tissue = _lung_tissue(rng, x, y, anatomy)
    lesion_fraction = 0.0
    if lesion_contrast is not None:
        lesion_area = lung * (x < 0) if mirrored else lung
        mask = _lesion_mask(rng, x, y, lesion_area)
        lesion_fraction = float(mask.sum() / lesion_area.sum())
        tissue = _add_lesions(rng, tissue, mask, lesion_contrast)
    hu = _over(hu, lung, tissue)

    aorta = (0.11 * asymmetry, 0.5 * anatomy.body[1] - 0.03)
    hu = _over(hu, _ellipse(x, y, aorta, (0.06, 0.06)), BLOOD + 40)
    airway = 0.035 if level < 0.45 else 0.0
    hu = _over(hu, _ellipse(x, y, (0, -0.02), (airway, airway)), AIR)
    if anatomy.table:
        table = np.abs(y - anatomy.body[1] - anatomy.table + 0.12 * x * x)
        hu = _over(hu, np.clip(1.4 - table / 0.012, 0, 1) * (1 - skin), -300.0)
    return Slice(hu.astype(np.float32), skin, lesion_fraction)
