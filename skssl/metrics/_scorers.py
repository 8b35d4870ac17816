"""Clinical metrics as scikit-learn scorers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.utils import column_or_1d

from skssl.metrics._calibration import expected_calibration_error
from skssl.metrics._classification import (
    harmonic_mean_score,
    sensitivity_at_specificity,
    sensitivity_score,
    specificity_score,
)
from skssl.metrics._inputs import is_positive, warn_undefined


def clinical_scorers(
    pos_label: Any = 1, *, specificity: float = 0.9
) -> dict[str, Callable[..., float]]:
    """Return scorers by name, for ``scoring=`` of scikit-learn.

    Parameters
    ----------
    pos_label : label, default=1
        The positive class; all other classes are negative.
    specificity : float, default=0.9
        Specificity of "sensitivity_at_specificity", in [0, 1].

    Returns
    -------
    dict of str to callable
        "sensitivity", "specificity", "hm", "balanced_accuracy", "roc_auc",
        "sensitivity_at_specificity" and "neg_ece" (the negated calibration error, so
        that greater is better). Each is called as ``scorer(estimator, X, y)``. A score
        that is undefined on a fold is NaN, or 0 for sensitivity and specificity, with
        an ``UndefinedMetricWarning``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_validate
    >>> from skssl.metrics import clinical_scorers
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> scores = cross_validate(
    ...     LogisticRegression(max_iter=10_000), X[:, :3], y, cv=3,
    ...     scoring=clinical_scorers(pos_label=0),
    ... )
    >>> scores["test_sensitivity"].round(2).tolist()
    [0.73, 0.83, 0.96]
    """
    decisions = {
        "sensitivity": sensitivity_score,
        "specificity": specificity_score,
        "hm": harmonic_mean_score,
    }
    sensitivity_at = partial(sensitivity_at_specificity, specificity=specificity)
    return {
        **{
            name: OneVsRestScorer(metric, pos_label, methods=("predict",))
            for name, metric in decisions.items()
        },
        "balanced_accuracy": get_scorer("balanced_accuracy"),
        "roc_auc": OneVsRestScorer(_weighted_auc, pos_label),
        "sensitivity_at_specificity": OneVsRestScorer(sensitivity_at, pos_label),
        "neg_ece": OneVsRestScorer(
            _negative_ece, pos_label, methods=("predict_proba",)
        ),
    }


class OneVsRestScorer:
    """Score the predictions of an estimator for one class against the rest.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_score, pos_label=...)``.
    pos_label : label
    methods : tuple of str
        Methods of the estimator; the first that it has gives ``y_score``.
    """

    def __init__(
        self,
        metric: Callable[..., float],
        pos_label: Any,
        methods: tuple[str, ...] = ("decision_function", "predict_proba"),
    ):
        self.metric = metric
        self.pos_label = pos_label
        self.methods = methods

    def __call__(self, estimator: Any, X: Any, y: Any, **options: Any) -> float:
        """Return the score on X."""
        classes = list(estimator.classes_)
        if self.pos_label not in classes:
            raise ValueError(
                f"pos_label={self.pos_label!r} is none of the classes {classes} of "
                f"{type(estimator).__name__}."
            )
        column = classes.index(self.pos_label)
        name = next((m for m in self.methods if hasattr(estimator, m)), None)
        if name is None:
            raise ValueError(f"{estimator!r} has none of the methods {self.methods}.")
        scores = np.asarray(getattr(estimator, name)(X))
        positive = column_or_1d(y) == self.pos_label
        if name == "predict":
            scores = scores == self.pos_label
        elif scores.ndim == 1:
            scores = scores if column == 1 else -scores
        else:
            scores = scores[:, column]
        return self.metric(positive, scores, pos_label=True, **options)


def _weighted_auc(
    y_true: Any, y_score: Any, *, pos_label: Any, **options: Any
) -> float:
    """Return the AUC; ranks do not take the ``sample_weight`` of ``options``."""
    (positive,) = is_positive(pos_label, y_true=y_true)
    if positive.all() or not positive.any():
        return warn_undefined(
            "y_true has one class only, so the area under the ROC curve is undefined"
        )
    return float(roc_auc_score(positive, y_score, **options))


def _negative_ece(*args: Any, **options: Any) -> float:
    return -expected_calibration_error(*args, **options)
