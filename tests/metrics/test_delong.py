"""DeLong's variance against double loops, and where it is undefined."""

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from skssl.metrics import delong_interval, delong_test
from skssl.metrics._delong import auc_covariance


def placements(positive, scores):
    """Return V10 and V01 by comparing all pairs."""
    of_class, of_rest = scores[positive], scores[~positive]
    wins = np.array([[(x > y) + 0.5 * (x == y) for y in of_rest] for x in of_class])
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.fixture(params=[0, 1, 2])
def answers(request):
    """Two correlated scores with ties, of 60 rows of 15 patients."""
    rng = np.random.default_rng(request.param)
    positive = rng.random(60) < 0.4
    scores = positive[:, None] + rng.normal(size=(60, 1)) + rng.normal(size=(60, 2))
    return positive, scores.round(1), rng.integers(0, 15, 60)


def test_areas_and_covariance_are_those_of_all_pairs(answers):
    positive, scores, _ = answers
    areas, covariance = auc_covariance(positive, scores, np.arange(60))
    both = [placements(positive, scores[:, k]) for k in (0, 1)]
    s10 = np.cov([v10 for v10, _ in both])
    s01 = np.cov([v01 for _, v01 in both])
    expected = s10 / positive.sum() + s01 / (~positive).sum()
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-10)
    for k, area in enumerate(areas):
        assert area == pytest.approx(roc_auc_score(positive, scores[:, k]), abs=1e-12)


def test_clustered_variance_is_obuchowskis(answers):
    """Formulas (4) to (7) of the paper, patient by patient."""
    positive, scores, patient = answers
    x = scores[:, 0]
    v10, v01 = placements(positive, x)
    theta, n_1, n_0 = v10.mean(), positive.sum(), (~positive).sum()
    at_1, at_0 = np.cumsum(positive) - 1, np.cumsum(~positive) - 1
    sums = []
    for who in np.unique(patient):
        rows = np.flatnonzero(patient == who)
        of_1 = [v10[at_1[i]] for i in rows if positive[i]]
        of_0 = [v01[at_0[i]] for i in rows if not positive[i]]
        sums.append(
            (
                sum(of_1) - len(of_1) * theta,
                sum(of_0) - len(of_0) * theta,
                len(of_1) > 0,
                len(of_0) > 0,
            )
        )
    d_1, d_0, has_1, has_0 = map(np.array, zip(*sums, strict=True))
    i_1, i_0, i = has_1.sum(), has_0.sum(), len(sums)
    s10 = i_1 / ((i_1 - 1) * n_1) * (d_1**2).sum()
    s01 = i_0 / ((i_0 - 1) * n_0) * (d_0**2).sum()
    s11 = i / (i - 1) * (d_1 * d_0).sum()
    expected = s10 / n_1 + s01 / n_0 + 2 * s11 / (n_1 * n_0)
    unit = np.unique(patient, return_inverse=True)[1]
    _, covariance = auc_covariance(positive, scores, unit)
    assert covariance[0, 0] == pytest.approx(expected, abs=1e-10)


def test_the_interval_is_symmetric_in_log_odds(answers):
    positive, scores, _ = answers
    result = delong_interval(positive, scores[:, 0], pos_label=True)
    areas, covariance = auc_covariance(positive, scores[:, :1], np.arange(60))
    error = covariance[0, 0] ** 0.5 / (areas[0] * (1 - areas[0]))
    low, high = (np.log(p / (1 - p)) for p in (result.low, result.high))
    assert high - low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    assert result.estimate == areas[0]


def test_copies_of_a_row_are_no_new_evidence(answers):
    positive, scores, _ = answers
    single = delong_interval(positive, scores[:, 0], pos_label=True)
    five = np.repeat(positive, 5), np.repeat(scores[:, 0], 5)
    honest = delong_interval(*five, pos_label=True, groups=np.repeat(np.arange(60), 5))
    naive = delong_interval(*five, pos_label=True)
    assert honest.low == pytest.approx(single.low, abs=1e-3)
    assert naive.low > single.low
    assert (single.method, honest.method) == ("DeLong", "Obuchowski")


def test_the_test_is_that_of_the_contrast(answers):
    positive, scores, patient = answers
    for groups in (None, patient):
        result = delong_test(positive, *scores.T, pos_label=True, groups=groups)
        unit = np.arange(60) if groups is None else np.unique(patient, False, True)[1]
        areas, cov = auc_covariance(positive, scores, unit)
        error = (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) ** 0.5
        z = (areas[0] - areas[1]) / error
        assert result.statistic == pytest.approx(z)
        assert result.pvalue == pytest.approx(2 * stats.norm.sf(abs(z)))
        assert result.difference.high == pytest.approx(z * error + 1.959964 * error)


def test_scores_of_equal_order_do_not_differ(answers):
    positive, scores, _ = answers
    x = scores[:, 0]
    result = delong_test(positive, x, np.exp(x / 10), pos_label=True)
    assert result.pvalue == 1


def test_what_is_not_defined_is_nan_with_a_warning():
    with pytest.warns(UndefinedMetricWarning, match="one class only"):
        assert np.isnan(delong_interval([1, 1], [0.2, 0.3]).estimate)
    with pytest.warns(UndefinedMetricWarning, match="one class only"):
        assert np.isnan(delong_test([1, 1], [0.2, 0.3], [0.1, 0.3]).pvalue)
    with pytest.warns(UndefinedMetricWarning, match="variance of the area is 0"):
        result = delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    assert result.estimate == 1
    assert np.isnan(result.low)
    with pytest.warns(UndefinedMetricWarning, match="undefined, so there is no test"):
        result = delong_test([0, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.4])
    assert np.isnan(result.pvalue)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.1, np.nan]), "NaN"),
        (([0, 1], [0.1]), "y_score has 1 values, but y_true has 2"),
        (([2, 3], [0.1, 0.2]), "pos_label=1 is not among the labels"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        delong_interval(*arguments)


def test_groups_are_checked():
    with pytest.raises(ValueError, match="groups has shape"):
        delong_interval([0, 1], [0.1, 0.2], groups=[1])
    with pytest.raises(ValueError, match="confidence_level must be"):
        delong_interval([0, 1], [0.1, 0.2], confidence_level=95)
