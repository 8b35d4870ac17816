"""A pipeline that validates labels and patients before the pretraining."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import sklearn
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets

from skssl._labels import check_groups, check_labels, labels_of
from skssl.model_selection._folds import n_rows

__all__ = ["FeaturesPipeline", "PatientFolds"]


class FeaturesPipeline(Pipeline):
    """Features, then a search; ``fit`` accepts groups and validates them first.

    Without this, input that the search cannot use would raise an error only after the
    pretraining.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> "FeaturesPipeline":
        """Fit all steps.

        Parameters
        ----------
        X : images
        y : array-like of shape (n_images,)
            One label per image; -1 is not allowed.
        **params
            Without metadata routing, ``groups`` of shape (n_images,) go to each step.
            Otherwise as in `Pipeline`.

        Raises
        ------
        ValueError
            If the last step cannot be fitted with these labels, patients or folds.
        """
        if not sklearn.get_config()["enable_metadata_routing"] and "groups" in params:
            groups = params.pop("groups")
            params = {f"{name}__groups": groups for name, _ in self.steps} | params
        search = self.steps[-1][1]
        if isinstance(search, GridSearchCV):
            groups = params.get("groups", params.get(f"{self.steps[-1][0]}__groups"))
            _check_search(search, n_rows(X), y, groups)
        return super().fit(X, y, **params)


class PatientFolds(StratifiedGroupKFold):
    """Folds that keep patients together; an error explains how to do without them."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Any]:
        """Yield the training and test rows of each fold."""
        if groups is None:
            raise ValueError(
                "groups is None, but the search for C uses folds that keep patients "
                "together: call fit(X, y, groups=patients) or, if each image is of "
                "another patient, use contrastive_extractor(cv=StratifiedKFold(5))."
            )
        return super().split(X, y, groups)


def _check_search(search: GridSearchCV, n_images: int, y: Any, groups: Any) -> None:
    """Raise ValueError for unlabelled rows, and for input the search cannot use."""
    y = check_labels(y, n_images)
    groups = check_groups(groups, n_images)
    if y is None:
        raise ValueError("y is None, but C is selected by labels: give one per image.")
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    rows, labels = labels_of(y)
    if len(rows) < n_images:
        row = int(np.setdiff1d(np.arange(n_images), rows)[0])
        raise ValueError(
            f"y[{row}] is -1, which marks an unlabelled image. Fit a "
            "contrastive_pretrainer to all images, and "
            "contrastive_extractor(external=...) to the labelled ones."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"y holds one class, {labels.tolist()[0]!r}: at least two are needed."
        )
    folds = check_cv(search.cv, y, classifier=True)
    for fold, (train, test) in enumerate(folds.split(np.zeros(n_images), y, groups)):
        for rows, subset in ((train, "training"), (test, "test")):
            absent = np.setdiff1d(y, y[rows])
            if len(absent):
                raise ValueError(
                    f"the {subset} set of fold {fold} in the search for C has no image "
                    f"of class {absent.tolist()[0]!r}: set cv to use fewer folds."
                )
