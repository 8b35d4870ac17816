"""Folds of a search: how they are made, and what they must not contain."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv
from sklearn.utils import assert_all_finite, get_tags


def n_rows(X: Any) -> int:
    """Return the number of images or rows."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def make_splitter(estimator: Any, cv: Any, y: Any, groups: np.ndarray | None) -> Any:
    """Return a splitter; a number of folds keeps the images of a patient together."""
    classes = is_classifier(estimator)
    if groups is None or not (cv is None or isinstance(cv, Integral)):
        return check_cv(cv, y, classifier=classes)
    n_splits = 5 if cv is None else int(cv)
    return (StratifiedGroupKFold if classes else GroupKFold)(n_splits)


def draw_folds(
    splitter: Any,
    X: Any,
    y: Any,
    groups: np.ndarray | None,
    *,
    reproducible: bool = False,
    **options: Any,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training and test rows of all folds.

    Raises
    ------
    ValueError
        If a patient is in the training and in the test set of a fold, or if the folds
        must be ``reproducible`` and are not.
    """
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
    """Raise ValueError if a patient is in the training and in the test set."""
    if groups is None:
        return
    shared = np.intersect1d(groups[train], groups[test])
    if len(shared):
        raise ValueError(
            f"cv={cv!r} puts patient {shared.tolist()[0]!r} into both the training and "
            f"the test set{where}: use a splitter that keeps groups together, such as "
            "StratifiedGroupKFold."
        )


def check_target(estimator: Any, y: Any) -> None:
    """Raise ValueError if y is missing but required, or has NaN or infinity."""
    if y is None and get_tags(estimator).target_tags.required:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    if y is not None and np.asarray(y).dtype.kind == "f":
        assert_all_finite(y, input_name="y")
