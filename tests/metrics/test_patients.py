"""From slices to patients, by hand."""

import numpy as np
import pytest

from skssl.metrics import aggregate_by_group

SCORES = [0.5, 0.2, 0.4, 0.9]
GROUPS = ["b", "a", "a", "b"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [0.3, 0.7]),
        ("max", [0.4, 0.9]),
        ("noisy_or", [1 - 0.8 * 0.6, 1 - 0.5 * 0.1]),
    ],
)
def test_by_hand(how, expected):
    result = aggregate_by_group(SCORES, GROUPS, how=how)
    assert result.groups.tolist() == ["a", "b"]
    assert result.y_score == pytest.approx(expected)
    assert result.y_true is None
    assert result.n_rows.tolist() == [2, 2]


def test_scores_of_several_classes_have_a_mean():
    p = np.array([[0.1, 0.9], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    result = aggregate_by_group(p, GROUPS)
    np.testing.assert_allclose(result.y_score, [[0.3, 0.7], [0.2, 0.8]])
    with pytest.raises(ValueError, match="takes one score per slice"):
        aggregate_by_group(p, GROUPS, how="max")


def test_a_patient_with_one_positive_slice_is_positive():
    result = aggregate_by_group(SCORES, GROUPS, y_true=[0, 0, 1, 0])
    assert result.y_true.tolist() == [1, 0]
    names = np.array(["well", "well", "sick", "well"], dtype=object)
    result = aggregate_by_group(SCORES, GROUPS, y_true=names, pos_label="sick")
    assert result.y_true.tolist() == ["sick", "well"]
    with pytest.raises(ValueError, match="patient 'a' has slices of classes"):
        aggregate_by_group(SCORES, GROUPS, y_true=names, pos_label="other")


@pytest.mark.parametrize(
    ("scores", "groups", "options", "message"),
    [
        (SCORES, None, {}, "groups is None"),
        (SCORES, GROUPS[:3], {}, "groups has shape"),
        (SCORES, GROUPS, {"how": "median"}, "how must be"),
        (
            [2.0, 0.1, 0.1, 0.1],
            GROUPS,
            {"how": "noisy_or"},
            r"needs y_score in \[0, 1\]",
        ),
        (SCORES, GROUPS, {"y_true": [0, 1]}, "y_true has 2 rows"),
        ([np.nan, 0, 0, 0], GROUPS, {}, "NaN"),
    ],
)
def test_what_cannot_be_used_is_named(scores, groups, options, message):
    with pytest.raises(ValueError, match=message):
        aggregate_by_group(scores, groups, **options)
