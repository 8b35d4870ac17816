"""COVID-CT with its official splits, and the score of a classifier on test."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._datasets import shuffle_patients
from benchmarks.papers.metrics import binary_metrics
from benchmarks.papers.setup import load_error
from benchmarks.papers.tables import Outcome
from skssl.datasets import load_covid_ct

SPLITS = ("train", "val", "test")


class Subset(NamedTuple):
    """Images, labels and patients of some splits."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray


@lru_cache
def load_splits(root: Path, *splits: str) -> Subset:
    """Return the images of some of the official splits."""
    scans = load_covid_ct(root, subset=splits)
    return Subset(scans.data, scans.target, scans.groups)


def shuffled(subset: Subset, seed: int) -> Subset:
    """Return the rows with patients in random order."""
    order = shuffle_patients(subset.groups, seed)
    return Subset(*(column[order] for column in subset))


def score_on_test(clf: Any, root: Path) -> Outcome:
    """Score a fitted classifier on the official test split."""
    test = load_splits(root, "test")
    scores = clf.decision_function(test.X)
    return Outcome(
        binary_metrics(test.y, scores),
        scores=scores,
        test={"y": test.y, "groups": test.groups},
    )


def missing(root: Path) -> str | None:
    """Return why the set cannot be loaded, or None."""
    reasons = (load_error("COVID-CT", load_splits, root, split) for split in SPLITS)
    return next(filter(None, reasons), None)
