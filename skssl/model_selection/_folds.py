"""Folds: who makes them, and what they must not do."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv
from sklearn.utils import assert_all_finite, get_tags


def n_rows(X: Any) -> int:
    """Return the number of images or rows."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def draw_folds(
    splitter: Any,
    X: Any,
    y: Any,
    groups: np.ndarray | None,
    *,
    reproducible: bool = False,
    **options: Any,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of all folds, in none of which a patient is in both parts."""
    splits = list(splitter.split(X, y, groups=groups, **options))
    if reproducible:
        again = splitter.split(X, y, groups=groups, **options)
        for first, second in zip(splits, again, strict=True):
            if not all(map(np.array_equal, first, second)):
                raise ValueError(
                    "storage needs folds that are the same in each run: give "
                    f"cv={splitter!r} a random_state."
                )
    for fold, (train, test) in enumerate(splits):
        check_patients_apart(splitter, groups, train, test, f" of fold {fold}")
    return splits


def check_patients_apart(
    cv: Any, groups: np.ndarray | None, train: Any, test: Any, where: str = ""
) -> None:
    """Refuse a split by ``cv`` that has a patient on both sides."""
    if groups is None:
        return
    shared = np.intersect1d(groups[train], groups[test])
    if len(shared):
        raise ValueError(
            f"cv={cv!r} puts patient {shared.tolist()[0]!r} into both parts{where}: "
            "take a splitter that keeps groups together, such as StratifiedGroupKFold."
        )


def fold_maker(estimator: Any, cv: Any, y: Any, groups: np.ndarray | None) -> Any:
    """Return a splitter; a number of folds keeps patients together, if there are."""
    classes = is_classifier(estimator)
    if groups is None or not (cv is None or isinstance(cv, Integral)):
        return check_cv(cv, y, classifier=classes)
    n_splits = 5 if cv is None else int(cv)
    return (StratifiedGroupKFold if classes else GroupKFold)(n_splits)


def check_target(estimator: Any, y: Any) -> None:
    """Refuse a target that no fold could be learnt from."""
    if y is None and get_tags(estimator).target_tags.required:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    if y is not None and np.asarray(y).dtype.kind == "f":
        assert_all_finite(y, input_name="y")
