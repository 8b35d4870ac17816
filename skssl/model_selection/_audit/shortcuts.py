"""Shortcuts: how well file metadata and simple statistics predict the label."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from skssl.metrics import Interval, bootstrap_interval
from skssl.metrics._inputs import group_codes
from skssl.metrics._ranks import rank_auc
from skssl.model_selection._audit.image_facts import COLUMNS

#: Kinds of columns that are metadata of the file, not properties of the pixels.
FILE_KINDS = ("format", "file size", "image size")
_N_FOLDS = 5
_N_TREES = 60
_FEW_ROWS = 500  # on which threads cost more than they save
_MAX_ROWS = 2000  # per tree; more would cost time without improving the estimate


@dataclass(frozen=True)
class ShortcutProbe:
    """How well one kind of columns alone predicts the label.

    Attributes
    ----------
    name : str
        "format", "file size", "image size", "border", "intensity", "file" (the first
        three together) or "all".
    columns : tuple of str
        The columns used: those that are not constant.
    area : Interval
        Cross-validated area under the ROC curve; with several classes, the mean over
        each class against the rest.
    by_class : dict
        The area of each class against the rest.
    of_file : bool
        Whether the columns are file metadata, not properties of the pixels.
    can_tell : bool
        Whether there are enough patients for the interval to lie above 0.5.
    """

    name: str
    columns: tuple[str, ...]
    area: Interval
    by_class: dict[Any, float]
    of_file: bool
    can_tell: bool = True

    @property
    def tells(self) -> bool:
        """Whether the interval lies above 0.5."""
        return self.area.low > 0.5


def probe_columns(
    columns: dict[str, np.ndarray],
    y: np.ndarray,
    groups: np.ndarray | None,
    *,
    confidence_level: float,
    n_resamples: int,
    seeds: tuple[int, int],
    n_jobs: int | None,
) -> list[ShortcutProbe]:
    """Return a probe for each kind of columns, and for combinations of kinds.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (n,)
    y : ndarray of shape (n,)
        Classes.
    groups : ndarray of shape (n,) or None
    confidence_level : float
        Joint level of all intervals; each interval has a higher level (Bonferroni).
    n_resamples : int
        Number of bootstrap resamples.
    seeds : (int, int)
        Of folds and forests, and of the bootstrap.
    n_jobs : int or None
        Number of threads of a forest.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or fewer than two patients in one of them.
    """
    classes, codes = np.unique(y, return_inverse=True)
    folds = _folds(classes, codes, groups, seeds[0])
    kinds = _kinds_of_columns(columns)
    level = 1 - (1 - confidence_level) / max(1, len(kinds))
    probes = []
    for kind, names in kinds.items():
        table = np.hstack([_encoded(columns[name]) for name in names])  # (n, p)
        scores = _out_of_fold(table, codes, folds, seeds[0], n_jobs)
        area = _interval(
            codes,
            scores,
            groups,
            confidence_level=level,
            n_resamples=n_resamples,
            random_state=seeds[1],
        )
        by_class = {
            label: rank_auc(codes == k, scores[:, 1 + k], strata=scores[:, 0])
            for k, label in enumerate(classes.tolist())
        }
        of_file = kind in (*FILE_KINDS, "file")
        can_tell = _max_lower_bound(codes, groups, level) > 0.5
        probes.append(
            ShortcutProbe(kind, tuple(names), area, by_class, of_file, can_tell)
        )
    return probes


def mean_area(codes: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean area of each class against the rest; NaN if a class is absent.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        Classes 0 to k - 1.
    scores : ndarray of shape (n, 1 + k)
        The number of the fold, then a score for each class.

    Notes
    -----
    The area counts pairs of rows within a fold only: each fold has its own forest, and
    the scores of different forests are not on the same scale.

    Examples
    --------
    >>> scores = np.array([[0, 0.9, 0.1], [0, 0.6, 0.4], [0, 0.7, 0.3], [0, 0.2, 0.8]])
    >>> mean_area(np.array([0, 0, 1, 1]), scores)
    0.75
    """
    n_classes = scores.shape[1] - 1
    first = 1 if n_classes == 2 else 0  # the areas of two classes are equal
    areas = [
        rank_auc(codes == k, scores[:, 1 + k], strata=scores[:, 0])
        for k in range(first, n_classes)
    ]
    return float(np.mean(areas))


def _kinds_of_columns(columns: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Return the varying columns of each kind, of "file" and of "all"."""
    kinds = {
        kind: [name for name in names if _varies(columns.get(name))]
        for kind, names in COLUMNS.items()
    }
    kinds = {kind: names for kind, names in kinds.items() if names}
    file_kinds = [kind for kind in FILE_KINDS if kind in kinds]
    combined = {"file": file_kinds} if len(file_kinds) > 1 else {}
    if len(kinds) > max(1, len(file_kinds)):
        combined["all"] = list(kinds)
    for name, members in combined.items():
        kinds[name] = [column for kind in members for column in kinds[kind]]
    return kinds


def _folds(
    classes: np.ndarray, codes: np.ndarray, groups: np.ndarray | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (train, test) rows, stratified and by patient."""
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, {classes.tolist()}: at least two are needed to search "
            "for shortcuts. Omit y to skip this check."
        )
    counts = _patients_per_class(codes, groups)
    if min(counts) < 2:
        rare = classes[int(np.argmin(counts))]
        unit = "image" if groups is None else "patient"
        raise ValueError(
            f"y has {min(counts)} {unit} of class {rare.item()!r}: at least two are "
            "needed to search for shortcuts by cross-validation. Label that class -1, "
            "or omit y to skip this check."
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(min(_N_FOLDS, *counts), shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(codes)), codes, groups))


def _patients_per_class(codes: np.ndarray, groups: np.ndarray | None) -> list[int]:
    """Return the number of patients of each class; of images without groups."""
    unit = group_codes(groups, len(codes))
    return [len(np.unique(unit[codes == k])) for k in range(codes.max() + 1)]


def _varies(column: np.ndarray | None) -> bool:
    return column is not None and bool((column != column[0]).any())


def _encoded(column: np.ndarray) -> np.ndarray:
    """Return numbers as one column, and names one-hot encoded."""
    if column.dtype.kind in "if":
        return column[:, None].astype(np.float64)
    return (column[:, None] == np.unique(column)).astype(np.float64)


def _out_of_fold(
    table: np.ndarray,
    codes: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    seed: int,
    n_jobs: int | None,
) -> np.ndarray:
    """Return the fold of each row, and its cross-validated class probabilities.

    Trees are used because shortcuts are rarely linear: "exactly 512 px wide" takes a
    tree two splits, and a linear model cannot express it. Leaves have at least five
    rows, or a third of the rarest class if it has fewer than fifteen, so that trees do
    not learn single patients.
    """
    scores = np.zeros((len(codes), 2 + codes.max()))  # (n, 1 + n_classes)
    for number, (train, test) in enumerate(folds):
        n_rarest = int(np.bincount(codes[train]).min())
        forest = RandomForestClassifier(
            _N_TREES,
            min_samples_leaf=min(5, max(1, n_rarest // 3)),
            max_samples=min(_MAX_ROWS, len(train)),
            class_weight="balanced",
            random_state=seed,
            n_jobs=n_jobs if len(train) > _FEW_ROWS else 1,
        ).fit(table[train], codes[train])
        # A class without training rows in this fold keeps the probability 0.
        scores[np.ix_(test, 1 + forest.classes_)] = forest.predict_proba(table[test])
        scores[test, 0] = number
    return scores


def _interval(
    codes: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray | None,
    *,
    confidence_level: float,
    **options: Any,
) -> Interval:
    """Return the mean area with its bootstrap interval, by patients if given.

    The bootstrap takes the forests as given, so its interval is too narrow for few
    patients; for perfectly separated classes, all resamples are equal. The lower bound
    is therefore limited to that of a perfect separation of as many patients.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        interval = bootstrap_interval(
            codes,
            scores,
            metric=mean_area,
            groups=groups,
            confidence_level=confidence_level,
            **options,
        )
    low = _max_lower_bound(codes, groups, confidence_level)
    if interval.low <= low or np.isnan(interval.estimate):
        return interval
    high = float(np.nanmax([interval.high, interval.estimate]))
    method = f"{interval.method}, at most Clopper-Pearson's"
    return Interval(interval.estimate, low, high, confidence_level, method)


def _max_lower_bound(
    codes: np.ndarray, groups: np.ndarray | None, level: float
) -> float:
    """Return the lower bound for an estimated area of 1.

    If the true area were A, k pairs of patients, without a patient in two pairs, would
    all be ordered correctly with probability A^k. This is the bound of Clopper and
    Pearson for k hits of k, where k is the number of patients of the rarest class.
    """
    k = min(_patients_per_class(codes, groups))
    return float(((1 - level) / 2) ** (1 / k))
