"""Simulated chest CT slices: a labelled set of any size, with patients, for free."""

from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch

from skssl._random import RandomState, spawn_seeds
from skssl.datasets._scanner import draw_scanner, posed_grid, scan
from skssl.datasets._thorax import draw_anatomy, render_slice

__all__ = ["make_scan_phantoms"]

_DESCR = """\
Simulated chest CT slices
-------------------------

{n_images} axial slices of {n_patients} simulated patients, {size} x {size} pixels,
uint8 in [0, 255], looked at from the feet as radiologists do: the patient's left is
on the image's right.

Target: 1 for a patient with patchy ground-glass opacities, septal thickening and some
consolidation, which then are in every slice; 0 for a healthy one.
Groups: the patient's number. Slices of a patient share anatomy and scanner.

The images are drawn from ellipses and random fields. They serve tests, examples and
teaching, and say nothing about how a method does on patients.

Source: made by skssl.datasets.make_scan_phantoms. License: BSD-3-Clause.
"""


def _balanced_labels(
    rng: np.random.Generator, n_patients: int, prevalence: float
) -> np.ndarray:
    """Labels whose first k hold ``prevalence`` of ones for each even k, up to rounding.

    Neighbours change places at random, and the first labels do not depend on
    ``n_patients``.
    """
    n_pairs = (n_patients + 1) // 2
    quota = np.floor(np.arange(2 * n_pairs + 1) * prevalence + 0.5)
    pairs = np.diff(quota).astype(np.int64).reshape(n_pairs, 2)
    swap = rng.random(n_pairs) < 0.5
    pairs[swap] = pairs[swap, ::-1]
    return pairs.reshape(-1)[:n_patients]


def _test_patients(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Mark one patient in each four of a class, independently of the set's size."""
    marked = np.zeros(len(labels), dtype=bool)
    place = (4 * rng.random((len(labels) // 4 + 1, 2))).astype(int)  # (fours, class)
    for label in (0, 1):
        patients = np.flatnonzero(labels == label)
        order = np.arange(len(patients))
        marked[patients] = order % 4 == place[order // 4, label]
    return marked


def _check_parameters(
    n_patients: int, image_size: int, factors: dict[str, tuple[float, float]]
) -> None:
    if not isinstance(n_patients, Integral) or n_patients < 1:
        raise ValueError(
            f"n_patients must be an int of at least 1, got {n_patients!r}."
        )
    if not isinstance(image_size, Integral) or image_size < 16:
        raise ValueError(
            f"image_size must be an int of at least 16 pixels, got {image_size!r}."
        )
    for name, (value, highest) in factors.items():
        if not isinstance(value, Real) or not 0 <= value <= highest:
            raise ValueError(
                f"{name} must be a number in [0, {highest:g}], got {value!r}."
            )


def _slice_range(images_per_patient: int | tuple[int, int]) -> tuple[int, int]:
    """Return the least and the most slices of a patient."""
    pair = np.atleast_1d(np.asarray(images_per_patient))
    if (
        pair.shape not in {(1,), (2,)}
        or pair.dtype.kind not in "iu"
        or not 1 <= pair[0] <= pair[-1]
    ):
        raise ValueError(
            "images_per_patient must be an int of at least 1 or a pair of ints "
            f"(least, most), got {images_per_patient!r}."
        )
    return int(pair[0]), int(pair[-1])


def _patient_slices(
    sequence: np.random.SeedSequence,
    n_slices: int,
    image_size: int,
    *,
    lesion_contrast: float | None,
    asymmetry: float,
    noise: float,
    symmetric: bool,
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield image (size, size) uint8, level and lesion fraction of each slice."""
    rng = np.random.default_rng(sequence)
    anatomy, scanner = draw_anatomy(rng), draw_scanner(rng)
    levels = 0.12 + 0.8 * (np.arange(n_slices) + rng.random(n_slices)) / n_slices
    for level, child in zip(levels.tolist(), sequence.spawn(n_slices), strict=True):
        slice_rng = np.random.default_rng(child)
        x, y = posed_grid(slice_rng, image_size, symmetric)
        rendered = render_slice(
            slice_rng,
            x,
            y,
            anatomy,
            level=level,
            lesion_contrast=lesion_contrast,
            asymmetry=0.0 if symmetric else asymmetry,
            mirrored=symmetric,
        )
        image = scan(slice_rng, rendered.hu, rendered.body, scanner, noise)
        if symmetric:
            half = image_size // 2
            image[:, image_size - half :] = image[:, :half][:, ::-1]
        yield image, level, rendered.lesion_fraction


def make_scan_phantoms(
    n_patients: int = 100,
    *,
    images_per_patient: int | tuple[int, int] = (2, 5),
    image_size: int = 96,
    prevalence: float = 0.5,
    lesion_contrast: float = 1.0,
    asymmetry: float = 1.0,
    noise: float = 1.0,
    symmetric: bool = False,
    random_state: RandomState = None,
    return_X_y: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Simulate chest CT slices of healthy and of diseased patients.

    Each patient has an anatomy and a scanner (window, gamma, noise, sharpness); each
    slice a level between apex and base, a pose, and textures of its own. A diseased
    patient shows patchy opacities over some 12 to 35 % of the lungs in every slice.
    The scanners differ so much that overall brightness tells little of the disease,
    while its local texture tells nearly all.

    Parameters
    ----------
    n_patients : int, default=100
        Number of patients. A patient does not depend on how many there are: a
        larger set begins with the same images as a smaller one.
    images_per_patient : int or (int, int), default=(2, 5)
        Slices of each patient, or the least and the most of them.
    image_size : int, default=96
        Side of the square images in pixels, at least 16. From about 48 the
        lesions can be seen well.
    prevalence : float, default=0.5
        Share of diseased patients, in [0, 1].
    lesion_contrast : float, default=1.0
        Factor on the lesions' density, in [0, 10]; 0 makes them invisible.
    asymmetry : float, default=1.0
        Factor, in [0, 2], on how far heart, aorta and liver depart from mirror
        symmetry: what a flip pretext can learn from.
    noise : float, default=1.0
        Factor on the scanners' noise, in [0, 10].
    symmetric : bool, default=False
        Make each image exactly equal to its mirror image, so that a horizontal flip
        changes nothing and a flip pretext can learn nothing.
    random_state : int, RandomState, Generator or None, default=None
        The same int gives the same bits. None takes fresh entropy.
    return_X_y : bool, default=False
        Return ``(data, target)`` in place of a Bunch.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, n being the number of images:

        data : ndarray of shape (n, image_size, image_size), uint8
            Gray values in [0, 255]. The patient's left is on the image's right.
        target : ndarray of shape (n,), int64
            0 for healthy, 1 for lesion.
        target_names : list of str
            ``["healthy", "lesion"]``.
        groups : ndarray of shape (n,), int64
            The patient's number, in [0, n_patients).
        split : ndarray of shape (n,), str
            "train" or "test". One patient in each four of a class is in "test"; a
            set of fewer than eight patients may have none.
        level : ndarray of shape (n,), float64
            Height of the slice, from 0 at the lungs' apex to 1 at their base.
        lesion_fraction : ndarray of shape (n,), float64
            Share of the lungs' area that lesions cover, in [0, 1].
        DESCR : str
            What the set is.
    (data, target) : tuple of ndarray
        If ``return_X_y`` is true.

    Raises
    ------
    ValueError
        If a parameter is of a wrong type or out of its range.

    Notes
    -----
    Shapes are ellipses and textures are smooth Gaussian random fields. The images
    look like CT, but nothing in them was measured on patients, so that no figure
    reached on them says how a method does on real ones. With ``symmetric=True`` the
    left half of each finished image is mirrored, noise included.

    Examples
    --------
    >>> from skssl.datasets import make_scan_phantoms
    >>> scans = make_scan_phantoms(4, images_per_patient=3, random_state=0)
    >>> scans.data.shape, scans.data.dtype
    ((12, 96, 96), dtype('uint8'))
    >>> scans.groups
    array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
    """
    _check_parameters(
        n_patients,
        image_size,
        {
            "prevalence": (prevalence, 1),
            "lesion_contrast": (lesion_contrast, 10),
            "asymmetry": (asymmetry, 2),
            "noise": (noise, 10),
        },
    )
    fewest, most = _slice_range(images_per_patient)
    label_seed, split_seed, count_seed, patient_seed = spawn_seeds(random_state, 4)
    labels = _balanced_labels(np.random.default_rng(label_seed), n_patients, prevalence)
    in_test = _test_patients(np.random.default_rng(split_seed), labels)
    sequences = np.random.SeedSequence(patient_seed).spawn(n_patients)
    share = np.random.default_rng(count_seed).random(n_patients)
    counts = fewest + (share * (most - fewest + 1)).astype(np.int64)
    groups = np.repeat(np.arange(n_patients), counts)
    n_images = len(groups)

    data = np.empty((n_images, image_size, image_size), np.uint8)
    level, lesion_fraction = np.empty(n_images), np.empty(n_images)
    slices = (
        rendered
        for patient, sequence in enumerate(sequences)
        for rendered in _patient_slices(
            sequence,
            int(counts[patient]),
            image_size,
            lesion_contrast=lesion_contrast if labels[patient] else None,
            asymmetry=asymmetry,
            noise=noise,
            symmetric=symmetric,
        )
    )
    for row, rendered in enumerate(slices):
        data[row], level[row], lesion_fraction[row] = rendered

    target = labels[groups]
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=["healthy", "lesion"],
        groups=groups,
        split=np.where(in_test, "test", "train")[groups],
        level=level,
        lesion_fraction=lesion_fraction,
        DESCR=_DESCR.format(n_images=n_images, n_patients=n_patients, size=image_size),
    )
