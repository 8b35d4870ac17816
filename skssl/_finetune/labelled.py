"""Labels and weights of the images that a classifier learns from."""

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from skssl._labels import check_labels, labels_of
from skssl._sklearn import check_sample_weight


class Labelled(NamedTuple):
    """The classes, the rows of labelled images, and label and weight of each image."""

    classes: np.ndarray  # (n_classes,), sorted
    rows: np.ndarray  # (m,), int
    target: np.ndarray  # (n,), int64, 0 where there is no label
    weight: np.ndarray  # (n,), float64
    y: np.ndarray  # (n,), as given, but -1 where a label has weight 0


def read_labelled(estimator: Any, y: Any, sample_weight: Any, n: int) -> Labelled:
    """Return the labelled images; those of weight 0 count as unlabelled.

    Raises
    ------
    ValueError
        If labels or weights are not usable, or fewer than two classes are left.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but "
            "the target y is None."
        )
    if getattr(y, "ndim", 1) == 2:
        y = column_or_1d(y, warn=True)
    y = check_labels(y, n)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    weight = np.ones(n)
    if sample_weight is not None:
        weight = check_sample_weight(
            sample_weight,
            np.empty((n, 1)),
            dtype=np.float64,
            ensure_non_negative=True,
        )
    rows, labels = labels_of(y)
    check_classification_targets(labels)
    counts = weight[rows] > 0
    if not counts.all():
        y = y.astype(object)
        y[rows[~counts]] = -1
    rows, labels = rows[counts], labels[counts]
    classes = np.unique(labels)
    if len(classes) < 2:
        found = ", ".join(map(repr, classes.tolist())) or "none"
        raise ValueError(
            f"y has {len(classes)} class ({found}) with weight, while at "
            "least 2 classes are needed; -1 means no label."
        )
    target = np.zeros(n, dtype=np.int64)
    target[rows] = np.searchsorted(classes, labels)
    return Labelled(classes, rows, target, weight, y)


def labelled_accuracy(predicted: np.ndarray, y: Any, sample_weight: Any) -> float:
    """Return the accuracy of predictions on the rows that have a label.

    Raises
    ------
    ValueError
        If no row has one.
    """
    y = check_labels(y, len(predicted))
    rows, labels = labels_of(np.array([]) if y is None else y)
    if len(rows) == 0:
        raise ValueError("y has no label to score: -1 means no label.")
    weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
    return float(accuracy_score(labels, predicted[rows], sample_weight=weight))


def check_class_weight(class_weight: Any, classes: np.ndarray) -> None:
    """Refuse weights of unknown classes, and weights that exclude a class."""
    if class_weight is None:
        return
    weight = compute_sample_weight(class_weight, classes)
    for label, value in zip(classes.tolist(), weight, strict=True):
        if not 0 < value < np.inf:
            raise ValueError(
                f"class_weight is {value:g} for class {label!r}, but must be above 0: "
                "to exclude a class, exclude its images or label them -1."
            )


def to_mean_one(weight: np.ndarray) -> torch.Tensor | None:
    """Return weights scaled to a mean of 1, or None where all are equal."""
    if np.all(weight == weight[0]):
        return None
    return torch.from_numpy(weight / weight.mean()).float()
