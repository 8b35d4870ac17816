"""Cross-validation with images that have no label."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import (
    BaseCrossValidator,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from skssl._labels import check_groups, check_labels, labels_of
from skssl._sklearn import GroupsConsumerMixin
from skssl.model_selection._folds import check_patients_apart, n_rows


class KeepUnlabeledInTrain(GroupsConsumerMixin, BaseCrossValidator):
    """Split the labelled rows, and train with the unlabelled ones beside them.

    Parameters
    ----------
    cv : int or splitter, default=5
        Splits the rows with a label; a number is that of stratified folds, which with
        ``groups`` keep patients together.
    transductive : bool, default=False
        Whether unlabelled rows of patients who are tested stay in training. They have
        no label, but show the network who is to be tested, so that scores are for
        these patients and not for new ones. With False they are in no part. Without
        ``groups`` nobody knows, and all unlabelled rows are in training.

    See Also
    --------
    mask_labels : Take labels away, to see what fewer would do.

    Notes
    -----
    Rows with y = -1 have no label, as in ``sklearn.semi_supervised``. What is fitted
    must know that: `FineTuneClassifier` does; in a pipeline
    ``SelfTrainingClassifier(LogisticRegression(), max_iter=0)`` learns from labelled
    rows alone, while the pretrainer before it sees all.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GroupKFold
    >>> from skssl.model_selection import KeepUnlabeledInTrain
    >>> y = np.array([0, 1, 0, 1, -1, -1])
    >>> patients = [1, 1, 2, 2, 2, 3]
    >>> cv = KeepUnlabeledInTrain(GroupKFold(2))
    >>> for train, test in cv.split(np.zeros((6, 1)), y, patients):
    ...     print(train, test)
    [0 1 5] [2 3]
    [2 3 4 5] [0 1]
    """

    def __init__(self, cv: Any = 5, *, transductive: bool = False):
        self.cv = cv
        self.transductive = transductive

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of each training and test part.

        Parameters
        ----------
        X : sequence of n images or rows
        y : array-like of shape (n,)
            Classes, and -1 for none.
        groups : array-like of shape (n,), optional
            The patient of each row.

        Yields
        ------
        train, test : ndarrays of int, sorted
            All test rows have a label.

        Raises
        ------
        ValueError
            If y is missing or has no label at all, if lengths differ, or if ``cv`` puts
            a patient into both parts.
        """
        n = n_rows(X)
        rows, labels = self._labelled(y, n)
        patients = check_groups(groups, n)
        without = np.setdiff1d(np.arange(n), rows)
        of_rows = None if patients is None else patients[rows]
        for train, test in self._splitter(patients).split(rows, labels, of_rows):
            check_patients_apart(self.cv, of_rows, train, test)
            beside = without
            if patients is not None and not self.transductive:
                tested = np.isin(patients[without], patients[rows[test]])
                beside = without[~tested]
            yield np.sort(np.r_[rows[train], beside]), np.sort(rows[test])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of splits."""
        if y is None:
            return int(self._splitter(groups).get_n_splits())
        rows, labels = self._labelled(y, len(y))
        patients = check_groups(groups, len(y))
        of_rows = None if patients is None else patients[rows]
        splitter = self._splitter(patients)
        return int(splitter.get_n_splits(rows, labels, of_rows))

    def _splitter(self, groups: Any) -> Any:
        if hasattr(self.cv, "split"):
            return self.cv
        if not isinstance(self.cv, Integral):
            raise ValueError(
                f"cv must be a number of folds or a splitter, got {self.cv!r}: lists "
                "of rows cannot say which of them are labelled."
            )
        return (StratifiedKFold if groups is None else StratifiedGroupKFold)(self.cv)

    def _labelled(self, y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = check_labels(y, n)
        if labels is None:
            raise ValueError("y is None: which rows have a label is needed.")
        rows, labels = labels_of(labels)
        if len(rows) == 0:
            raise ValueError("y is -1 everywhere: there is no label to test on.")
        return rows, labels
