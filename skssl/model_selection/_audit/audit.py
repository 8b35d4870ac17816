"""What of a split, of its images and of its files makes a score too good."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skssl._labels import check_groups, check_labels, labels_of
from skssl._random import RandomState, spawn_seeds
from skssl.data import (
    ImageSource,
    fold_rows,
    is_table,
    make_source,
    tensor_to_array,
)
from skssl.metrics._inputs import check_level
from skssl.model_selection._audit.comparison import Comparison
from skssl.model_selection._audit.findings import SplitAudit
from skssl.model_selection._audit.image_facts import read_facts
from skssl.model_selection._audit.parts import read_splits
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
    """Look for what makes the scores of a split too good.

    That is: patients in two parts, the same picture in two parts or under two patients,
    and labels that a file's format, size or border tells without the picture [3]_.

    Parameters
    ----------
    X : sequence of n images
        As for the pretrainers: paths, arrays, tensors, PIL images, flattened rows.
    y : array-like of shape (n,), optional
        Classes, and -1 for none. Without it shortcuts are not looked for.
    groups : array-like of shape (n,), optional
        The patient of each image.
    splits : splitter, iterable of (train, test) or array-like of shape (n,), optional
        A scikit-learn splitter (with a ``random_state``, if it shuffles); the rows of
        each training and test part; or the part of each image, such as ``scans.split``.
        Without it, copies of different patients are reported wherever they lie,
        and without ``groups`` all copies.
    encoder : transformer, optional
        A fitted pretrainer, or whatever has ``transform(X)`` that returns (n, d).
        Images that it takes for alike are reported, if their patients differ.
    image_shape : (H, W), (H, W, C), "flat" or None, default=None
        How flattened rows fold into images, as for the pretrainers.
    confidence_level : float, default=0.95
        Of the intervals of all probes together, in (0, 1).
    n_resamples : int, default=1000
        Of the bootstrap of the patients.
    n_jobs : int or None, default=-1
        Threads.
    random_state : int, RandomState, Generator or None, default=0
        Of the probes and the bootstrap.

    Returns
    -------
    SplitAudit
        Findings with their rows; prints as text.

    Raises
    ------
    ValueError
        If lengths differ, patients or parts are missing, ``splits`` is of an unknown
        kind, has a row in both parts or one part only, an image cannot be read, the
        encoder's features are no finite (n, d) or tell nothing, there are fewer than
        7 patients for it, or y has not two classes of two patients each.

    Notes
    -----
    Exact copies have equal pixels after decoding, whatever their files. Near copies
    differ in 10 of the 64 bits of Zauner's hash [1]_ at most, and their thumbnails of
    32 × 32 px correlate by 0.995 or more, or the ranks of their gray values by 0.985.
    The hash alone would not do: slices of any two chests agree in most of its bits.
    Neighbours are nearer than chance has it, given how dense other patients' images lie
    around both [2]_: of twenty sets without copies one should have some, if images lie
    evenly around each and in one number of dimensions. Where they lie in heaps, more.

    A probe is a random forest on the columns of one kind, cross-validated by patients;
    its area has a bootstrap interval by patients, the lower bound of which is at most
    what as many patients without a fault would allow: below some nine patients of each
    class nothing can be told. All probes together have the confidence level, each by
    itself a higher one (Bonferroni). Format, bytes and size in pixels are reported as
    shortcuts; gray values and border as hints, since a disease may change them.

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
    parts = read_splits(splits, n, labels, patients)
    seeds = [seed % 2**32 for seed in spawn_seeds(random_state, 2)]
    told = None if labels is None else labels_of(labels)
    features = None if encoder is None else _features(encoder, X, n)
    facts = read_facts(source, n_jobs)
    probes: list[ShortcutProbe] = []
    if told is not None:
        rows, classes = told
        probes = probe_columns(
            {name: column[rows] for name, column in facts.columns.items()},
            classes,
            None if patients is None else patients[rows],
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            seeds=(seeds[0], seeds[1]),
            n_jobs=n_jobs,
        )
    compared = Comparison(facts, patients, parts, labels)
    near = compared.near_copies()
    alike, ratio = compared.neighbours(features, near)
    return SplitAudit(
        n_images=n,
        n_patients=None if patients is None else len(np.unique(patients)),
        parts={} if parts is None else parts.sizes(),
        patients=compared.divided_patients(),
        copies=compared.copies(),
        near_copies=near,
        neighbours=alike,
        neighbour_ratio=ratio,
        probes=tuple(probes),
        flat=tuple(np.flatnonzero(facts.flat).tolist()),
        images=facts.columns,
        confidence_level=confidence_level,
    )


def _image_source(X: Any, image_shape: Sequence[int] | str | None) -> ImageSource:
    if not is_table(X):
        return make_source(X)
    rows = tensor_to_array(X) if hasattr(X, "detach") else np.asarray(X)
    if rows.ndim != 2 or rows.dtype.kind not in "buif" or 0 in rows.shape:
        raise ValueError(
            f"X has shape {rows.shape} and dtype {rows.dtype}: expected images, paths, "
            "or flattened rows (n, p) of numbers."
        )
    return make_source(fold_rows(rows, image_shape))


def _features(encoder: Any, X: Any, n: int) -> np.ndarray:
    if not hasattr(encoder, "transform"):
        raise ValueError(f"encoder has no transform, got {encoder!r}.")
    features = np.asarray(encoder.transform(X))
    if features.ndim != 2 or len(features) != n or features.dtype.kind not in "buif":
        raise ValueError(
            f"encoder returned features of shape {features.shape} and dtype "
            f"{features.dtype}: numbers ({n}, d) are needed."
        )
    if not np.isfinite(features).all():
        raise ValueError("encoder returned NaN or infinity.")
    return features
