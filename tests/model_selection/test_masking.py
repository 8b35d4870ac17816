"""Fewer labels, by hand and for any set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skssl.model_selection import mask_labels

FRACTIONS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([-1, 0, 1, 2]), st.integers(0, 7)),
        min_size=1,
        max_size=50,
    ),
    st.booleans(),
    st.booleans(),
)
def test_smaller_fractions_are_within_larger_ones(rows, grouped, stratify):
    y, groups = np.array(rows).T
    before = np.zeros(len(y), bool)
    for fraction in FRACTIONS:
        masked = mask_labels(
            y,
            fraction,
            groups=groups if grouped else None,
            stratify=stratify,
            random_state=3,
        )
        kept = masked != -1
        np.testing.assert_array_equal(masked[kept], y[kept])
        assert not np.any(before & ~kept)
        before = kept
        if grouped:  # a patient's labels are kept together
            for who in set(groups):
                of = (groups == who) & (y != -1)
                assert len(set(kept[of].tolist())) < 2
    np.testing.assert_array_equal(masked, y)


def test_classes_keep_their_proportions():
    y = np.repeat([0, 1], [80, 20])
    masked = mask_labels(y, 0.25, random_state=0)
    assert [np.sum(masked == label) for label in (0, 1)] == [20, 5]
    few = mask_labels(y, 0.01, random_state=0)
    assert [np.sum(few == label) for label in (0, 1)] == [1, 1]
    none = mask_labels(y, 0.0, random_state=0)
    assert np.all(none == -1)
    patients = np.arange(100) // 4
    masked = mask_labels(y, 0.4, groups=patients, random_state=0)
    assert [np.sum(masked == label) for label in (0, 1)] == [32, 8]


def test_no_class_gets_lost_among_patients_of_several():
    """A patient with one slice of a rare class counts for that class."""
    y = np.zeros(30, int)
    y[2] = 1
    for seed in range(5):
        masked = mask_labels(y, 0.3, groups=np.arange(30) // 3, random_state=seed)
        assert set(masked.tolist()) == {-1, 0, 1}


def test_seeds_draw_other_labels():
    y = np.arange(40) % 2
    first, again, other = (mask_labels(y, 0.3, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (["a", "b", "a"], object),
        (np.array([True, False, True]), np.int64),
        (np.array([0, 1, 1], np.uint8), np.int64),
        (np.array([0.0, 1.0, 1.0], np.float32), np.float32),
    ],
)
def test_labels_of_any_kind(y, dtype):
    masked = mask_labels(y, 0.5, random_state=0)
    assert masked.dtype == dtype
    assert set(masked.tolist()) <= {-1, *np.asarray(y).tolist()}
    assert np.sum([label != -1 for label in masked.tolist()]) == 2


def test_what_cannot_be_masked_is_named():
    with pytest.raises(ValueError, match="fraction must be in"):
        mask_labels([0, 1], 2)
    with pytest.raises(ValueError, match="groups has shape"):
        mask_labels([0, 1], 0.5, groups=[1, 2, 3])
