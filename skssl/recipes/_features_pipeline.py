"""A pipeline that looks at labels and patients before it learns features."""

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
    """Features, then a search: ``fit`` takes patients, and refuses first.

    What the search cannot learn from would otherwise be told after the pretraining.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> "FeaturesPipeline":
        """Fit all steps.

        Parameters
        ----------
        X : images
        y : array-like of shape (n_images,)
            One label an image, none of them -1.
        **params
            ``groups`` of shape (n_images,) go to each step, without metadata routing;
            else as in `Pipeline`.

        Raises
        ------
        ValueError
            If labels, patients or folds are such that the last step cannot be fitted.
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
    """Five folds that keep patients together, and say so where there are none."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Any]:
        """Yield the rows to fit, and those to score."""
        if groups is None:
            raise ValueError(
                "C is searched in folds that keep patients together, and fit got no "
                "patients: fit(X, y, groups=patients), or, where each image is of "
                "another patient, contrastive_extractor(cv=StratifiedKFold(5))."
            )
        return super().split(X, y, groups)


def _check_search(search: GridSearchCV, n_images: int, y: Any, groups: Any) -> None:
    """Refuse what the search would refuse, and rows without a label."""
    y = check_labels(y, n_images)
    groups = check_groups(groups, n_images)
    if y is None:
        raise ValueError("y is None, but C is chosen by labels: give one an image.")
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    rows, labels = labels_of(y)
    if len(rows) < n_images:
        row = int(np.setdiff1d(np.arange(n_images), rows)[0])
        raise ValueError(
            f"y[{row}] is -1, an image without a label. Fit a contrastive_pretrainer "
            "to all images, and contrastive_extractor(external=...) to the labelled "
            "ones."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"y holds one class, {labels.tolist()[0]!r}: two at least are needed."
        )
    folds = check_cv(search.cv, y, classifier=True)
    for fold, (train, test) in enumerate(folds.split(np.zeros(n_images), y, groups)):
        for part, of in ((train, "learn from"), (test, "score")):
            absent = np.setdiff1d(y, y[part])
            if len(absent):
                raise ValueError(
                    f"fold {fold} of the search for C has no image of class "
                    f"{absent.tolist()[0]!r} to {of}: take fewer folds, by cv=."
                )
