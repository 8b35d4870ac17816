"""Cross-validation with unlabelled images."""

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
    """Split the labelled rows, and add unlabelled rows to the training sets.

    Parameters
    ----------
    cv : int or splitter, default=5
        Splits the labelled rows. An int is the number of stratified folds, which keep
        the rows of a patient together if ``groups`` are given.
    transductive : bool, default=False
        Whether unlabelled rows of test patients are used for training. They have no
        label, but the network sees images of the test patients, so that scores hold for
        these patients, not for new ones. With False, these rows are left out of both
        sets. Without ``groups``, all unlabelled rows are in the training sets.

    See Also
    --------
    mask_labels : Mask labels, to simulate a set with fewer of them.

    Notes
    -----
    Rows with y = -1 are unlabelled, as in ``sklearn.semi_supervised``. The estimator
    must support this: `FineTuneClassifier` does. In a pipeline,
    ``SelfTrainingClassifier(LogisticRegression(), max_iter=0)`` learns from labelled
    rows only, while the pretrainer before it sees all rows.

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
        """Yield the rows of each training and test set.

        Parameters
        ----------
        X : sequence of n images or rows
        y : array-like of shape (n,)
            Classes, and -1 for unlabelled rows.
        groups : array-like of shape (n,), optional
            The patient of each row.

        Yields
        ------
        train, test : ndarrays of int, sorted
            All test rows have a label.

        Raises
        ------
        ValueError
            If y is None or has no label, if lengths differ, or if ``cv`` puts a patient
            into both the training and the test set.
        """
        n = n_rows(X)
        rows, labels = _rows_with_label(y, n)
        patients = check_groups(groups, n)
        unlabelled = np.setdiff1d(np.arange(n), rows)
        row_patients = None if patients is None else patients[rows]
        splitter = self._splitter(patients)
        for train, test in splitter.split(rows, labels, row_patients):
            check_patients_apart(self.cv, row_patients, train, test)
            added = unlabelled
            if patients is not None and not self.transductive:
                is_tested = np.isin(patients[unlabelled], patients[rows[test]])
                added = unlabelled[~is_tested]
            yield np.sort(np.r_[rows[train], added]), np.sort(rows[test])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of splits."""
        if y is None:
            return int(self._splitter(groups).get_n_splits())
        rows, labels = _rows_with_label(y, len(y))
        patients = check_groups(groups, len(y))
        row_patients = None if patients is None else patients[rows]
        splitter = self._splitter(patients)
        return int(splitter.get_n_splits(rows, labels, row_patients))

    def _splitter(self, groups: Any) -> Any:
        if hasattr(self.cv, "split"):
            return self.cv
        if not isinstance(self.cv, Integral):
            raise ValueError(
                f"cv must be a number of folds or a splitter, got {self.cv!r}: lists "
                "of rows do not separate labelled from unlabelled rows."
            )
        return (StratifiedKFold if groups is None else StratifiedGroupKFold)(self.cv)


def _rows_with_label(y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that have a label, and their labels."""
    labels = check_labels(y, n)
    if labels is None:
        raise ValueError("y is None: give classes, and -1 for unlabelled rows.")
    rows, labels = labels_of(labels)
    if len(rows) == 0:
        raise ValueError("y is -1 everywhere: there is no labelled row to test on.")
    return rows, labels
