"""What a file tells of the label before anybody looks at the picture."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from skssl.metrics import Interval, bootstrap_interval
from skssl.metrics._inputs import group_codes
from skssl.model_selection._audit.image_facts import COLUMNS

#: Kinds of columns that are of the file and not of the picture.
FILE_KINDS = ("format", "file size", "image size")
_N_FOLDS = 5
_N_TREES = 60
_MAX_ROWS = 2000  # that a tree sees: more would cost time and tell no more


@dataclass(frozen=True)
class ShortcutProbe:
    """How well some columns alone tell the label.

    Attributes
    ----------
    name : str
        "format", "file size", "image size", "border", "intensity", "file" (the first
        three together) or "all".
    columns : tuple of str
        Those that vary.
    area : Interval
        Area under the ROC curve out of fold: of several classes the mean of each
        against the rest.
    by_class : dict
        The area of each class against the rest.
    of_file : bool
        Whether the columns are of the file and not of the picture.
    can_tell : bool
        Whether there are patients enough that the interval could lie above 0.5.
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
    """Return a probe for each kind of columns, and for several kinds together.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (n,)
    y : ndarray of shape (n,)
        Classes.
    groups : ndarray of shape (n,) or None
    confidence_level : float
        For all intervals together: each has, by Bonferroni, a higher level.
    n_resamples : int
    seeds : (int, int)
        Of folds and forests, and of the bootstrap.
    n_jobs : int or None

    Raises
    ------
    ValueError
        If there are not two classes, each of two patients.
    """
    classes, codes = np.unique(y, return_inverse=True)
    folds = _folds(classes, codes, groups, seeds[0])
    kinds = {
        kind: [name for name in names if _varies(columns.get(name))]
        for kind, names in COLUMNS.items()
    }
    kinds = {kind: names for kind, names in kinds.items() if names}
    of_file = [kind for kind in FILE_KINDS if kind in kinds]
    joint = {"file": of_file} if len(of_file) > 1 else {}
    if len(kinds) > max(1, len(of_file)):
        joint["all"] = list(kinds)
    for name, together in joint.items():
        kinds[name] = [column for kind in together for column in kinds[kind]]
    level = 1 - (1 - confidence_level) / max(1, len(kinds))
    probes = []
    for kind, names in kinds.items():
        table = np.hstack([_encoded(columns[name]) for name in names])
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
            label: _area(codes == k, scores[:, 1 + k], scores[:, 0])
            for k, label in enumerate(classes.tolist())
        }
        in_file = kind in (*FILE_KINDS, "file")
        can_tell = _highest_bound(codes, groups, level) > 0.5
        probes.append(
            ShortcutProbe(kind, tuple(names), area, by_class, in_file, can_tell)
        )
    return probes


def mean_area(codes: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean area of each class against the rest; NaN where one lacks.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        Classes 0 to k - 1.
    scores : ndarray of shape (n, 1 + k)
        The fold, and a score for each class.

    Notes
    -----
    An area is the share of pairs in the right order, of those within a fold: each fold
    has a forest of its own, and the scores of two forests are on different scales.

    Examples
    --------
    >>> scores = np.array([[0, 0.9, 0.1], [0, 0.6, 0.4], [0, 0.7, 0.3], [0, 0.2, 0.8]])
    >>> mean_area(np.array([0, 0, 1, 1]), scores)
    0.75
    """
    n_classes = scores.shape[1] - 1
    of_two = n_classes == 2  # whose areas are equal
    areas = [
        _area(codes == k, scores[:, 1 + k], scores[:, 0])
        for k in range(of_two, n_classes)
    ]
    return float(np.mean(areas))


def _area(positive: np.ndarray, scores: np.ndarray, fold: np.ndarray) -> float:
    """Return the area by the ranks of the positives in each fold (Mann, Whitney)."""
    n_right = n_pairs = 0.0
    for number in np.unique(fold):
        inside = fold == number
        ranks = rankdata(scores[inside])[positive[inside]]
        m, n = len(ranks), np.count_nonzero(inside) - len(ranks)
        n_right += ranks.sum() - m * (m + 1) / 2
        n_pairs += m * n
    return float(n_right / n_pairs) if n_pairs else float("nan")


def _folds(
    classes: np.ndarray, codes: np.ndarray, groups: np.ndarray | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    if len(classes) < 2:
        raise ValueError(
            f"y has one class, {classes.tolist()}: a shortcut is to one of two or "
            "more. Without y the shortcuts are left out."
        )
    n_of = _patients_of_classes(codes, groups)
    if min(n_of) < 2:
        rare = classes[int(np.argmin(n_of))]
        whose = "image" if groups is None else "patient"
        raise ValueError(
            f"y has {min(n_of)} {whose} of class {rare.item()!r}: two at least are "
            "needed to learn shortcuts from one and test them on the other. Give that "
            "class -1, or leave y out."
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(min(_N_FOLDS, *n_of), shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(codes)), codes, groups))


def _patients_of_classes(codes: np.ndarray, groups: np.ndarray | None) -> list[int]:
    unit = group_codes(groups, len(codes))
    return [len(np.unique(unit[codes == k])) for k in range(codes.max() + 1)]


def _varies(column: np.ndarray | None) -> bool:
    return column is not None and bool((column != column[0]).any())


def _encoded(column: np.ndarray) -> np.ndarray:
    """Return numbers as one column, and names as one column each."""
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
    """Return the fold, and probabilities of a forest that has not seen the row.

    Trees, since shortcuts are seldom straight: "exactly 512 px wide" is one cut for a
    tree, and no line. Leaves of five rows, or of a third of a class that has fewer
    than fifteen, keep them from learning single patients.
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
            n_jobs=n_jobs,
        ).fit(table[train], codes[train])
        # A class that a fold's training rows lack keeps the probability 0.
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
    """Return the mean area with its bootstrap interval, by patients if told.

    A bootstrap takes the forests as they are, and is too sure where patients are few;
    of classes that are told apart without a fault all its resamples are equal. So the
    lower bound is never above that of a forest without a fault.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        told = bootstrap_interval(
            codes,
            scores,
            metric=mean_area,
            groups=groups,
            confidence_level=confidence_level,
            **options,
        )
    low = _highest_bound(codes, groups, confidence_level)
    if told.low <= low or np.isnan(told.estimate):
        return told
    high = float(np.nanmax([told.high, told.estimate]))
    method = f"{told.method}, at most Clopper-Pearson's"
    return Interval(told.estimate, low, high, confidence_level, method)


def _highest_bound(codes: np.ndarray, groups: np.ndarray | None, level: float) -> float:
    """Return the lower bound of an area of 1.

    If the area were A, k pairs of patients, no patient in two, would all be in the
    right order with a probability of A^k: it is Clopper and Pearson's for k hits of k,
    where k is the number of patients of the rarest class.
    """
    k = min(_patients_of_classes(codes, groups))
    return float(((1 - level) / 2) ** (1 / k))
