"""`audit_split`: a check of images, patients and files for leakage."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skssl._labels import check_groups, check_labels, labels_of
from skssl._random import RandomState, spawn_seeds
from skssl.data import (
    ArraySource,
    ImageSource,
    fold_rows,
    is_table,
    make_source,
    tensor_to_array,
)
from skssl.metrics._inputs import check_level
from skssl.model_selection._audit.assignments import read_splits
from skssl.model_selection._audit.comparison import ImageComparison
from skssl.model_selection._audit.findings import SplitAudit
from skssl.model_selection._audit.image_facts import read_facts
from skssl.model_selection._audit.shortcuts import ShortcutProbe, probe_columns


def audit_split(
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    splits: Any = None,
    encoder: Any = None,
    image_shape: Sequence[int] | str | None = None,
    confidence_level: float = 0.95,
    n_resamples: int = 1000,
    n_jobs: int | None = -1,
    random_state: RandomState = 0,
) -> SplitAudit:
    """Check a split for leakage, and a set of images for shortcuts to the label.

    Lists patients and images that occur in more than one split, and copies of an image
    under several patients. Measures how well file metadata, border or gray values alone
    predict the label [3]_.

    Parameters
    ----------
    X : sequence of n images
        As for the pretrainers: paths, arrays, tensors, PIL images, flattened rows.
    y : array-like of shape (n,), optional
        Classes, and -1 for unlabelled images. Without it, shortcuts are not checked.
    groups : array-like of shape (n,), optional
        The patient of each image.
    splits : splitter, iterable of (train, test) or array-like of shape (n,), optional
        A scikit-learn splitter (with a ``random_state``, if it shuffles); the rows of
        each training and test set; or the split of each image, such as ``scans.split``.
        Without it, all copies under different patients are reported; without
        ``groups``, too, all copies.
    encoder : transformer, optional
        A fitted pretrainer, or another object whose ``transform(X)`` returns features
        (n, d). Images of different patients with similar features are reported.
    image_shape : (H, W), (H, W, C), "flat" or None, default=None
        Shape of the images in flattened rows, as for the pretrainers.
    confidence_level : float, default=0.95
        Joint level of the intervals of all probes, in (0, 1).
    n_resamples : int, default=1000
        Number of bootstrap resamples of patients, at least 1.
    n_jobs : int or None, default=-1
        Number of threads.
    random_state : int, RandomState, Generator or None, default=0
        Seeds the probes and the bootstrap.

    Returns
    -------
    SplitAudit
        The findings with their rows; prints as text.

    Raises
    ------
    ValueError
        If lengths differ; if a patient or a split is missing; if ``splits`` is of an
        unknown kind, has a single split, or a row in both sets of a pair; if an image
        cannot be read; if the encoder's features are not finite numbers (n, d), are
        nearly equal, or of fewer than 7 patients; if y has fewer than two classes, or a
        class fewer than two patients.

    Notes
    -----
    Exact copies have equal pixels after decoding, whatever the file format. Near copies
    differ in at most 10 of the 64 bits of Zauner's hash [1]_, and their thumbnails of
    32 × 32 px have a correlation of at least 0.995, or of 0.985 for the ranks of their
    gray values. The hash alone is not specific enough: slices of any two chests agree
    in most of its bits. Neighbours are closer than expected from the local density of
    other patients' images [2]_. One in twenty sets without copies gives a false alarm
    if features are locally uniform with a common dimension; more, if features form
    clusters, for example by scanner.

    A probe is a random forest on one kind of columns, cross-validated by patients. Its
    area under the ROC curve has a bootstrap interval by patients, whose lower bound is
    limited to that of a perfect separation of as many patients; with fewer than about
    nine patients per class the result is inconclusive. The confidence level holds for
    all probes jointly, so each interval has a higher level (Bonferroni). Format, bytes
    and size in pixels are reported as shortcuts; gray values and border only as hints,
    since the disease may change them.

    References
    ----------
    .. [1] C. Zauner. "Implementation and Benchmarking of Perceptual Image Hash
       Functions", 2010, section 3.2.1. https://www.phash.org/docs/pubs/thesis_zauner.pdf
    .. [2] E. Facco, M. d'Errico, A. Rodriguez, A. Laio. "Estimating the intrinsic
       dimension of datasets by a minimal neighborhood information", 2017.
       :doi:`10.1038/s41598-017-11873-y`
    .. [3] D. Roberts et al. "Common pitfalls and recommendations for using machine
       learning to detect and prognosticate for COVID-19 using chest radiographs and CT
       scans", 2021. :doi:`10.1038/s42256-021-00307-0`

    Examples
    --------
    >>> from skssl.datasets import make_scan_phantoms
    >>> from skssl.model_selection import audit_split
    >>> scans = make_scan_phantoms(12, image_size=48, random_state=0)
    >>> audit_split(scans.data, groups=scans.groups, splits=scans.split).is_clean
    True
    >>> split = scans.split.copy()
    >>> split[0] = "test" if split[0] == "train" else "train"
    >>> audit = audit_split(scans.data, groups=scans.groups, splits=split)
    >>> audit.patients[0].patient, audit.patients[0].rows
    (0, (0, 1, 2, 3))
    """
    check_level(confidence_level)
    source = _image_source(X, image_shape)
    n = len(source)
    labels: Any = check_labels(y, n)
    patients = check_groups(groups, n)
    assignments = read_splits(splits, n, labels, patients)
    seeds = [seed % 2**32 for seed in spawn_seeds(random_state, 2)]
    labelled = None if labels is None else labels_of(labels)
    features = None if encoder is None else _features(encoder, X, n)
    facts = read_facts(source, n_jobs)
    probes: list[ShortcutProbe] = []
    if labelled is not None:
        rows, classes = labelled
        probes = probe_columns(
            {name: column[rows] for name, column in facts.columns.items()},
            classes,
            None if patients is None else patients[rows],
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            seeds=(seeds[0], seeds[1]),
            n_jobs=n_jobs,
        )
    comparison = ImageComparison(facts, patients, assignments, labels)
    near_copies = comparison.near_copies()
    neighbours, ratio = comparison.neighbours(features, near_copies)
    return SplitAudit(
        n_images=n,
        n_patients=None if patients is None else len(np.unique(patients)),
        parts={} if assignments is None else assignments.sizes(),
        patients=comparison.divided_patients(),
        copies=comparison.copies(),
        near_copies=near_copies,
        neighbours=neighbours,
        neighbour_ratio=ratio,
        probes=tuple(probes),
        flat=tuple(np.flatnonzero(facts.flat).tolist()),
        images=facts.columns,
        confidence_level=confidence_level,
    )


def _image_source(X: Any, image_shape: Sequence[int] | str | None) -> ImageSource:
    """Return the images of X, flattened rows folded."""
    if not is_table(X):
        return make_source(X, image_shape)
    rows = tensor_to_array(X) if hasattr(X, "detach") else np.asarray(X)
    if rows.ndim != 2 or rows.dtype.kind not in "buif" or 0 in rows.shape:
        raise ValueError(
            f"X has shape {rows.shape} and dtype {rows.dtype}: expected images, paths, "
            "or flattened rows (n, p) of numbers."
        )
    return ArraySource(fold_rows(rows, image_shape))


def _features(encoder: Any, X: Any, n: int) -> np.ndarray:
    """Return the features of an encoder, checked to be finite and (n, d)."""
    if not hasattr(encoder, "transform"):
        raise ValueError(f"encoder must have a method transform, got {encoder!r}.")
    features = np.asarray(encoder.transform(X))
    if features.ndim != 2 or len(features) != n or features.dtype.kind not in "buif":
        raise ValueError(
            f"encoder returned features of shape {features.shape} and dtype "
            f"{features.dtype}: expected numbers of shape ({n}, d)."
        )
    if not np.isfinite(features).all():
        raise ValueError("encoder returned NaN or infinity in its features.")
    return features
