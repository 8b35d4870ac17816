"""Supervised evaluation of frozen features during pretraining."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
)

from skssl._params import set_params
from skssl._sklearn import HasMethods, Interval

Splits = list[tuple[np.ndarray, np.ndarray]]


class Probe(BaseEstimator):
    """Evaluation of features while they are being learned.

    Parameters
    ----------
    estimator : estimator
        A classifier or regressor, or a pipeline that ends in one. It is fitted to the
        frozen features of the labelled images.
    every : int, default=5
        Number of epochs between probes; epoch ``max_epochs`` is always probed. A
        callback that monitors ``probe_score`` needs 1.
    cv : int or splitter, default=5
        Folds. An int means shuffled folds, stratified for classifiers, that keep
        patients together if ``fit`` gets ``groups``.
    scoring : str, callable or None, default=None
        As in scikit-learn; None is the estimator's ``score``.

    Notes
    -----
    The folds are drawn once, before training, from the rows of X that pretraining
    uses; no other image is read. Gazda et al. (2021), Figure 2, evaluate every epoch in
    this way and find that the pretext loss does not identify the best one. A checkpoint
    chosen by the probe depends on the labels: evaluate it on other rows, by an outer
    cross-validation.

    References
    ----------
    .. [1] M. Gazda, J. Plavka, J. Gazda, P. Drotár. "Self-Supervised Deep
       Convolutional Neural Network for Chest X-Ray Classification", IEEE Access
       2021. :doi:`10.1109/ACCESS.2021.3125324`

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skssl import Probe, SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> scans = make_scan_phantoms(12, image_size=32, random_state=0)
    >>> probe = Probe(LogisticRegression(max_iter=1000), every=1, cv=2)
    >>> ssl = SelfSupervisedPretrainer(probe=probe, max_epochs=2, random_state=0)
    >>> ssl = ssl.fit(scans.data, scans.target, groups=scans.groups)
    >>> ["probe_score" in row for row in ssl.history_]
    [True, True]
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "estimator": [HasMethods("fit")],
        "every": [Interval(Integral, 1, None, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods("split")],
        "scoring": [str, callable, None],
    }

    def __init__(
        self, estimator: Any, *, every: int = 5, cv: Any = 5, scoring: Any = None
    ):
        self.estimator = estimator
        self.every = every
        self.cv = cv
        self.scoring = scoring

    def set_params(self, **params: Any) -> Self:
        """Set parameters; where one is refused, all stay as they were."""
        return set_params(self, params, super().set_params)

    def draw_folds(self, y: np.ndarray, groups: np.ndarray | None, seed: int) -> Splits:
        """Draw the folds.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Labels of the labelled images that pretraining uses.
        groups : ndarray of shape (n,) or None
        seed : int

        Returns
        -------
        list of (train, test), ndarrays of int

        Raises
        ------
        ValueError
            If there are too few rows, patients or members of a class for the folds.
        """
        self._validate_params()
        folds = self.cv
        if isinstance(folds, Integral):
            kinds = {
                (True, True): StratifiedGroupKFold,
                (True, False): StratifiedKFold,
                (False, True): GroupKFold,
                (False, False): KFold,
            }
            kind = kinds[is_classifier(self.estimator), groups is not None]
            folds = kind(int(folds), shuffle=True, random_state=seed % 2**32)
        self._check_classes(y)
        try:
            splits = list(folds.split(np.zeros(len(y)), y, groups))
        except ValueError as error:
            raise ValueError(f"probe: cv={self.cv!r} cannot split: {error}") from error
        if any(max(part, default=0) >= len(y) for fold in splits for part in fold):
            raise ValueError(
                f"probe: the folds of cv={self.cv!r} are not of the {len(y)} labelled "
                "images that pretraining uses."
            )
        return splits

    def _check_classes(self, y: np.ndarray) -> None:
        classes = np.unique(y)
        if is_classifier(self.estimator) and len(classes) < 2:
            raise ValueError(
                f"probe: the labelled images that pretraining uses have {len(classes)} "
                "class(es). -1 means no label: number classes from 0; with fraction "
                "below 1 a class may have been left out."
            )

    def evaluate(
        self, features: np.ndarray, y: np.ndarray, splits: Splits
    ) -> np.ndarray:
        """Return the score of each fold.

        Parameters
        ----------
        features : ndarray of shape (n, d)
        y : ndarray of shape (n,)
        splits : list of (train, test)
        """
        return cross_val_score(
            self.estimator,
            features,
            y,
            cv=splits,
            scoring=self.scoring,
            error_score="raise",
        )
