"""Unlabelled rows stay in training, and tested patients out of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from skssl.model_selection import KeepUnlabeledInTrain


@st.composite
def sets(draw):
    n = draw(st.integers(12, 60))
    groups = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    y = draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=n, max_size=n))
    return np.array(y), np.array(groups)


@settings(deadline=None, max_examples=60)
@given(sets(), st.booleans())
def test_no_split_breaks_a_patient(drawn, transductive):
    y, groups = drawn
    n_labelled_patients = len(set(groups[y != -1]))
    if n_labelled_patients < 3:
        return
    cv = KeepUnlabeledInTrain(GroupKFold(3), transductive=transductive)
    tested = []
    for train, test in cv.split(np.zeros((len(y), 1)), y, groups):
        assert not set(train) & set(test)
        assert np.all(y[test] != -1)
        of_test = set(groups[test])
        labelled = train[y[train] != -1]
        assert not of_test & set(groups[labelled])
        unlabelled = train[y[train] == -1]
        if transductive:
            np.testing.assert_array_equal(unlabelled, np.flatnonzero(y == -1))
        else:
            assert not of_test & set(groups[unlabelled])
            others = ~np.isin(groups, list(of_test))
            np.testing.assert_array_equal(
                unlabelled, np.flatnonzero((y == -1) & others)
            )
        tested.extend(test)
    assert sorted(tested) == np.flatnonzero(y != -1).tolist()


def test_without_patients_all_unlabelled_rows_are_in_train():
    y = np.array([0, 1, 0, 1, -1, -1, 0, 1])
    cv = KeepUnlabeledInTrain(3)
    for train, _ in cv.split(y, y):
        assert {4, 5} <= set(train)
    assert cv.get_n_splits() == 3
    names = ["a", "b", "a", "b", -1, -1, "a", "b"]
    assert len(list(KeepUnlabeledInTrain(2).split(names, names))) == 2
    groups = [0, 0, 1, 1, 1, 2, 3, 3]
    leave = KeepUnlabeledInTrain(LeaveOneGroupOut())
    assert leave.get_n_splits(y, y, groups) == 3


def test_a_number_of_folds_keeps_patients_together():
    y, groups = np.arange(24) // 2 % 2, np.arange(24) // 2
    for train, test in KeepUnlabeledInTrain(3).split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_splitters_that_break_a_patient_are_refused():
    y, groups = np.arange(24) % 2, np.arange(24) // 2
    with pytest.raises(ValueError, match=r"puts patient \d+ into both the training"):
        list(KeepUnlabeledInTrain(StratifiedKFold(3, shuffle=True)).split(y, y, groups))
    with pytest.raises(ValueError, match="number of folds or a splitter"):
        next(KeepUnlabeledInTrain([([0], [1])]).split(y, y))


def test_what_cannot_be_split_is_named():
    with pytest.raises(ValueError, match="y is None"):
        next(KeepUnlabeledInTrain().split([1, 2]))
    with pytest.raises(ValueError, match="-1 everywhere"):
        next(KeepUnlabeledInTrain().split([1, 2], [-1, -1]))
    with pytest.raises(ValueError, match="groups has shape"):
        next(KeepUnlabeledInTrain().split([1, 2], [0, 1], [1]))


@pytest.mark.parametrize("routing", [False, True])
def test_in_scikit_learns_tools(rng, routing):
    y = rng.integers(-1, 2, 90)
    X = y[:, None] + rng.normal(size=(90, 2))
    groups = np.arange(90) // 3
    clf = SelfTrainingClassifier(LogisticRegression(), max_iter=0)
    cv = KeepUnlabeledInTrain(StratifiedGroupKFold(3))
    options = {"cv": cv, "scoring": "roc_auc", "error_score": "raise", "n_jobs": 2}
    with config_context(enable_metadata_routing=routing):
        named = {"params": {"groups": groups}} if routing else {"groups": groups}
        scores = cross_val_score(clf, X, y, **named, **options)
        assert np.all(scores > 0.5)
        search = GridSearchCV(clf, {"estimator__C": [0.1, 1]}, **options)
        search.fit(X, y, groups=groups)
        assert search.best_score_ > 0.5
    # A classifier that knows nothing of -1 is seen at once: a third class.
    assert -1 in DummyClassifier().fit(X, y).classes_
    assert repr(cv).startswith("KeepUnlabeledInTrain(cv=StratifiedGroupKFold(")
