"""Bootstrap intervals: right centre, right width, whole patients."""

from functools import partial

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, roc_auc_score

from skssl.metrics import (
    Interval,
    bootstrap_interval,
    delong_test,
    paired_bootstrap,
)


@pytest.fixture
def answers(rng):
    y = rng.integers(0, 2, 200)
    return y, y + rng.normal(0, 1.2, 200)


def test_estimate_is_the_metric(answers):
    y, scores = answers
    interval = bootstrap_interval(y, scores, n_resamples=50, random_state=0)
    assert interval.estimate == roc_auc_score(y, scores)
    assert interval.low < interval.estimate < interval.high


def test_width_is_that_of_scipy(answers):
    y, scores = answers
    predictions = (scores > 0.5).astype(int)
    ours = bootstrap_interval(
        y, predictions, metric=accuracy_score, n_resamples=4000, random_state=0
    )
    correct = (y == predictions).astype(float)
    scipys = stats.bootstrap(
        (correct,), np.mean, method="percentile", n_resamples=4000, random_state=0
    ).confidence_interval
    assert ours.low == pytest.approx(scipys.low, abs=0.01)
    assert ours.high == pytest.approx(scipys.high, abs=0.01)


def test_copies_of_a_row_are_no_new_evidence(answers):
    """Five equal slices a patient: by patients as wide as one slice each."""
    y, scores = answers
    single = bootstrap_interval(y, scores, n_resamples=1000, random_state=0)
    patients = np.repeat(np.arange(200), 5)
    five = np.repeat(y, 5), np.repeat(scores, 5)
    naive = bootstrap_interval(*five, n_resamples=1000, random_state=0)
    honest = bootstrap_interval(
        *five, groups=patients, n_resamples=1000, random_state=0
    )
    width = single.high - single.low
    assert honest.high - honest.low == pytest.approx(width, rel=0.1)
    assert naive.high - naive.low < 0.6 * width  # 1/√5 = 0.45


def test_confidence_level_and_seed(answers):
    options = {"n_resamples": 500, "random_state": 1}
    wide = bootstrap_interval(*answers, confidence_level=0.99, **options)
    narrow = bootstrap_interval(*answers, confidence_level=0.8, **options)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide == bootstrap_interval(*answers, confidence_level=0.99, **options)


def test_groups_of_any_kind_in_any_order(answers):
    y, scores = answers
    names = np.array([f"patient {i % 40}" for i in range(200)])
    numbers = np.array([i % 40 for i in range(200)])
    by_name, by_number = (
        bootstrap_interval(y, scores, groups=g, n_resamples=200, random_state=0)
        for g in (names, numbers)
    )
    assert by_name.low == pytest.approx(by_number.low, abs=0.03)


@pytest.mark.parametrize(
    ("y", "scores", "groups", "message"),
    [
        ([0, 1], [0.1, 0.2, 0.3], None, "inconsistent numbers"),
        ([0, 1], [0.1, 0.2], [1], "inconsistent numbers"),
    ],
)
def test_what_cannot_be_resampled_is_refused(y, scores, groups, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(y, scores, groups=groups)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_one_class_has_no_interval():
    nothing = bootstrap_interval([1, 1, 1], [0.1, 0.2, 0.3], n_resamples=50)
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()
    result = paired_bootstrap([1, 1], [0.1, 0.2], [0.1, 0.3], n_resamples=50)
    assert np.isnan(result.pvalue)
    assert str(result) == "nan [nan, nan], p not defined"


def test_resamples_without_a_value_are_left_out(answers):
    """They are no evidence for a difference."""
    y, scores = answers

    def at_times(y, s):
        return float("nan") if y[0] else np.mean(y == (s > 0.5))

    result = paired_bootstrap(
        y, scores, scores, metric=at_times, n_resamples=80, random_state=0
    )
    assert result.pvalue == 1 or np.isnan(result.difference.estimate)
    accuracy = bootstrap_interval(
        [1] + [0] * 9, [0] * 10, metric=accuracy_score, random_state=0
    )
    assert (accuracy.low, accuracy.high) == (0.7, 1.0)  # of one class, too


def test_equal_resamples_are_no_certainty():
    with pytest.warns(UndefinedMetricWarning, match="same value in all resamples"):
        result = bootstrap_interval([0, 1] * 9, [0, 1] * 9, random_state=0)
    assert result.estimate == 1
    assert np.isnan([result.low, result.high]).all()


def test_the_interval_of_a_difference_is_paired(answers):
    """What both models find easy does not widen it."""
    y, scores = answers
    other = scores + 0.1 * np.sin(np.arange(200))
    result = paired_bootstrap(y, scores, other, n_resamples=500, random_state=0)
    assert result.difference.estimate == roc_auc_score(y, scores) - roc_auc_score(
        y, other
    )
    single = bootstrap_interval(y, scores, n_resamples=500, random_state=0)
    width = result.difference.high - result.difference.low
    assert width < 0.3 * (single.high - single.low)
    error = width / (2 * 1.96)
    reference = delong_test(y, scores, other)
    delong = (reference.difference.high - reference.difference.low) / (2 * 1.96)
    assert error == pytest.approx(delong, rel=0.15)
    assert result.pvalue == pytest.approx(reference.pvalue, abs=0.08)


def test_equal_models_do_not_differ(answers):
    y, scores = answers
    result = paired_bootstrap(y, scores, scores, n_resamples=50, random_state=0)
    assert (result.difference.low, result.difference.high, result.pvalue) == (0, 0, 1)


def test_a_clear_difference_has_a_small_p(answers, rng):
    y, _ = answers
    result = paired_bootstrap(y, y, rng.random(200), n_resamples=199, random_state=0)
    assert result.pvalue == 2 / 200
    assert result.difference.low > 0.3


def test_prints_as_a_report_does():
    assert str(Interval(0.8126, 0.7514, 0.8701)) == "0.813 [0.751, 0.870]"


def test_scores_of_several_classes(rng):
    y = np.repeat([0, 1, 2], 4)
    scores = np.eye(3)[y] * 0.6 + rng.random((12, 3))
    scores /= scores.sum(axis=1, keepdims=True)
    metric = partial(roc_auc_score, multi_class="ovr")
    interval = bootstrap_interval(
        y, scores, metric=metric, n_resamples=50, random_state=0
    )
    assert 0.5 < interval.low < interval.estimate


def test_the_area_by_ranks_is_scikit_learns(rng):
    """The default metric is computed by ranks; any other function is called."""
    y = np.array(["no", "yes"])[rng.integers(0, 2, 40)]
    scores = rng.integers(0, 6, 40) / 6  # with ties
    options = {"n_resamples": 60, "random_state": 0}
    ours = bootstrap_interval(y, scores, **options)
    theirs = bootstrap_interval(
        y, scores, metric=partial(roc_auc_score, average="macro"), **options
    )
    assert ours.estimate == theirs.estimate
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
