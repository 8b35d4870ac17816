"""COVID-CT as the papers split it, and classifiers that are scored on its test part."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._studies import shuffle_patients
from benchmarks.papers.figures import binary_figures
from benchmarks.papers.setup import why_not
from benchmarks.papers.tables import Outcome
from skssl.datasets import load_covid_ct

SPLITS = ("train", "val", "test")


class Part(NamedTuple):
    """Some rows of the set."""

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray


@lru_cache
def load_part(root: Path, *splits: str) -> Part:
    """Return the images of some of the official parts."""
    scans = load_covid_ct(root, subset=splits)
    return Part(scans.data, scans.target, scans.groups)


def shuffled(part: Part, seed: int) -> Part:
    """Return the rows in another order of patients."""
    order = shuffle_patients(part.groups, seed)
    return Part(*(column[order] for column in part))


def score_on_test(clf: Any, root: Path) -> Outcome:
    """Score a fitted classifier on the official test part."""
    test = load_part(root, "test")
    scores = clf.decision_function(test.X)
    return Outcome(
        binary_figures(test.y, scores),
        scores=scores,
        test={"y": test.y, "groups": test.groups},
    )


def missing(root: Path) -> str | None:
    """Return why the set is not at hand, or None."""
    parts = (why_not("COVID-CT", load_part, root, split) for split in SPLITS)
    return next(filter(None, parts), None)
