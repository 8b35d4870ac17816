"""No split or draw breaks a patient, whoever the patients are."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from skssl import (
    FineTuneClassifier,
    Phase,
    Probe,
    SelfSupervisedPretrainer,
    TargetedPretrainer,
)
from skssl._rows import draw_rows, inner_split
from skssl.model_selection import KeepUnlabeledInTrain
from skssl.testing import tiny_cnn

SEEDS = st.integers(0, 2**63 - 1)
SHARES = st.sampled_from([0.01, 0.1, 0.2, 0.25, 0.3, 0.5])
NAMES = ["ann", "Ann", "1", "01", "Bob", "bob", "1 ", "10"]
# Few patients may leave no way to split; drawing too many of these is an error.
REFUSED = re.compile(
    "cannot be split off|cannot split|"
    "leaves (the|no image of class .* in the) (validation|training) (part|split)|"
    "number of members in each class|greater than the number of groups|"
    r"have 1 class\(es\)|at least 2 are needed"
)


@st.composite
def sets(draw, max_rows=60):
    """Classes (-1 for none) and patients, of whom there are two or more.

    They come in any order; a class belongs to a patient, or to a row.
    """
    known = NAMES if draw(st.booleans()) else list(range(-3, 9))
    n = draw(st.integers(10, max_rows))
    others = st.lists(st.sampled_from(known), min_size=n - 2, max_size=n - 2)
    groups = np.array([*known[:2], *draw(others)])
    unit = np.unique(groups, return_inverse=True)[1]
    if draw(st.booleans()):
        unit = np.arange(n)
    label = st.lists(st.integers(0, 1), min_size=n, max_size=n)
    y = np.array(draw(label))[unit]
    y[draw(st.lists(st.integers(0, n - 1), max_size=n // 2))] = -1
    return y, groups


def or_assume(split, *args, **options):
    """Return what the call gives; what it refuses is no case."""
    try:
        return split(*args, **options)
    except ValueError as error:
        if not REFUSED.search(str(error)):
            raise
    return assume(False)


def assert_apart(groups, first, second):
    assert len(first)
    assert len(second)
    assert not set(groups[first].tolist()) & set(groups[second].tolist())


def assert_whole(groups, rows):
    """All rows of the patients of some rows are among these."""
    of_them = np.flatnonzero(np.isin(groups, groups[rows]))
    np.testing.assert_array_equal(of_them, np.sort(rows))


@settings(deadline=None, max_examples=80)
@given(sets(), SHARES, SEEDS)
def test_inner_splits_of_images(drawn, share, seed):
    y, groups = drawn
    rows = np.flatnonzero(y != -1)
    assume(len(set(groups[rows].tolist())) > 1)
    train, held = inner_split(rows, share, groups=groups, seed=seed)
    np.testing.assert_array_equal(np.sort(np.r_[train, held]), rows)
    assert_apart(groups, train, held)


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=80)
@given(sets(), SHARES, SEEDS)
def test_inner_splits_of_labels(drawn, share, seed):
    y, groups = drawn
    rows = np.flatnonzero(y != -1)
    assume(len(set(y[rows])) == 2)
    train, held = or_assume(inner_split, rows, share, y=y, groups=groups, seed=seed)
    np.testing.assert_array_equal(np.sort(np.r_[train, held]), rows)
    assert_apart(groups, train, held)
    assert set(y[train]) == set(y[held]) == {0, 1}


@settings(deadline=None, max_examples=80)
@given(sets(), st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), SEEDS)
def test_fractions(drawn, fractions, seed):
    _, groups = drawn
    drawn_rows = []
    for fraction in sorted(fractions):
        rows = or_assume(draw_rows, len(groups), fraction, groups, seed)
        assert_whole(groups, rows)
        drawn_rows.append(set(rows.tolist()))
    assert drawn_rows[0] <= drawn_rows[1]


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge()])
@settings(deadline=None, max_examples=80)
@given(sets(), st.integers(2, 5), SEEDS)
def test_folds_of_a_probe(estimator, drawn, n_folds, seed):
    y, groups = drawn
    groups, y = groups[y != -1], y[y != -1]
    folds = or_assume(Probe(estimator, cv=n_folds).draw_folds, y, groups, seed)
    assert len(folds) == n_folds
    tested = []
    for train, test in folds:
        assert_apart(groups, train, test)
        tested.extend(test)
    assert sorted(tested) == list(range(len(y)))


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=80)
@given(sets(), st.integers(2, 5), st.booleans())
def test_stratified_folds_beside_unlabelled_rows(drawn, n_folds, transductive):
    y, groups = drawn
    cv = KeepUnlabeledInTrain(n_folds, transductive=transductive)
    folds = or_assume(lambda: list(cv.split(groups, y, groups)))
    tested = []
    for train, test in folds:
        shown = train[y[train] != -1] if transductive else train
        assert_apart(groups, shown, test)
        tested.extend(test)
    assert sorted(tested) == np.flatnonzero(y != -1).tolist()


class Seen(SelfSupervisedPretrainer):
    """Keep the patients that it is shown."""

    def fit(self, X, y=None, groups=None):
        super().fit(X, y, groups)
        self.seen_ = groups
        return self


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(deadline=None, max_examples=20)
@given(sets(max_rows=30), st.sampled_from([0.2, 0.3, 0.5]), st.integers(0, 99))
def test_a_fit_keeps_the_patients_of_its_validation_from_all_trainings(
    drawn, share, seed
):
    y, groups = drawn
    images = np.random.default_rng(0).integers(0, 256, (len(y), 12, 12), np.uint8)
    clf = FineTuneClassifier(
        Seen(backbone=tiny_cnn, max_epochs=0),
        phases=[Phase("head", epochs=1)],
        validation_fraction=share,
        random_state=seed,
    )
    assume(len(set(y.tolist()) - {-1}) == 2)
    or_assume(clf.fit, images, y, groups)
    train, held = clf.sample_indices_, clf.validation_indices_
    assert_apart(groups, train, held)
    np.testing.assert_array_equal(np.sort(np.r_[train, held]), np.flatnonzero(y != -1))
    # The pretrainer gets all others, with or without a label.
    of_held = np.isin(groups, groups[held])
    np.testing.assert_array_equal(clf.pretrainer_.seen_, groups[~of_held])


@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
@settings(deadline=None, max_examples=20)
@given(sets(max_rows=24), SHARES, st.sampled_from([0.6, 1.0]), st.integers(0, 99))
def test_a_targeted_fit_keeps_its_patients_apart(drawn, share, fraction, seed):
    _, groups = drawn
    images = np.random.default_rng(0).integers(0, 256, (len(groups), 12, 12), np.uint8)
    flip = TargetedPretrainer(
        "flip",
        backbone=tiny_cnn,
        hidden_size=4,
        phases=[Phase("head", epochs=1)],
        fraction=fraction,
        validation_fraction=share,
        random_state=seed,
    )
    or_assume(flip.fit, images, groups=groups)
    train, held = flip.sample_indices_, flip.validation_indices_
    assert_apart(groups, train, held)
    n_taken = round(fraction * len(groups))
    np.testing.assert_array_equal(np.sort(np.r_[train, held]), np.arange(n_taken))
