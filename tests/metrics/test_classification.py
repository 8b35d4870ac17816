"""Figures of decisions and scores, against scikit-learn's and by hand."""

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    recall_score,
    roc_curve,
)

from skssl.metrics import (
    expected_calibration_error,
    harmonic_mean_score,
    proportion_interval,
    sensitivity_at_specificity,
    sensitivity_score,
    specificity_score,
)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_they_are_scikit_learns(rng, n_classes, weighted):
    names = np.array(["covid", "normal", "opacity", "viral"])[:n_classes]
    y, result = names[rng.integers(0, n_classes, (2, 200))]
    weight = rng.random(200) if weighted else None
    for name in names:
        options = {"pos_label": name, "sample_weight": weight}
        se = sensitivity_score(y, result, **options)
        sp = specificity_score(y, result, **options)
        truth, guess = y == name, result == name
        reference = recall_score(truth, guess, sample_weight=weight)
        assert se == pytest.approx(reference, abs=1e-12)
        matrix = confusion_matrix(truth, guess, sample_weight=weight)
        assert sp == pytest.approx(matrix[0, 0] / matrix[0].sum(), abs=1e-12)
        assert (se + sp) / 2 == pytest.approx(
            balanced_accuracy_score(truth, guess, sample_weight=weight)
        )
        assert harmonic_mean_score(y, result, **options) == pytest.approx(
            2 / (1 / se + 1 / sp)
        )


def test_a_class_that_does_not_occur():
    with pytest.warns(UndefinedMetricWarning, match="sensitivity is not defined"):
        assert sensitivity_score([0, 0], [0, 1]) == 0
    with pytest.warns(UndefinedMetricWarning, match="specificity is not defined"):
        assert specificity_score([1, 1], [0, 1]) == 0
    assert np.isnan(specificity_score([1, 1], [1, 1], zero_division=np.nan))
    with pytest.warns(UndefinedMetricWarning, match="specificity is not defined"):
        assert harmonic_mean_score([1, 1], [1, 1]) == 0
    assert harmonic_mean_score([1, 0], [0, 1]) == 0  # both are 0


def test_the_class_must_be_known():
    with pytest.raises(ValueError, match="pos_label=1 is not among the labels"):
        sensitivity_score(["a", "b"], ["a", "a"])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        sensitivity_score([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="missing values"):
        specificity_score([1, 1, np.nan], [1, 0, 0])
    with pytest.raises(ValueError, match="text and numbers"):
        specificity_score(["1", "0"], [1, 0])
    with pytest.raises(ValueError, match="Negative values"):
        sensitivity_score([1, 1], [1, 0], sample_weight=[2, -1])
    with pytest.raises(ValueError, match=r"y_true holds \['a', 'b'\]"):
        expected_calibration_error(["a", "b"], [[0.1, 0.9]] * 2, labels=[0, 1])


@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_sensitivity_at_specificity_is_on_the_curve(rng, specificity):
    y = rng.integers(0, 2, 150)
    scores = (y + rng.normal(size=150)).round(1)
    false_rate, true_rate, _ = roc_curve(y, scores, drop_intermediate=False)
    reached = true_rate[1 - false_rate >= specificity - 1e-12].max()
    result = sensitivity_at_specificity(y, scores, specificity=specificity)
    assert result == pytest.approx(reached, abs=1e-12)


def test_sensitivity_at_specificity_needs_both():
    with pytest.warns(UndefinedMetricWarning, match="one class only"):
        assert np.isnan(sensitivity_at_specificity([1, 1], [0.1, 0.2]))
    with pytest.raises(ValueError, match="specificity must be in"):
        sensitivity_at_specificity([0, 1], [0.1, 0.2], specificity=90)


def test_calibration_error_by_hand():
    y = [0, 1, 1, 0, 1]
    p = [0.05, 0.1, 0.55, 0.6, 0.95]
    # [0, 0.1]: 0.5 against 0.075; (0.5, 0.6]: 0.5 against 0.575; (0.9, 1]: 1, 0.95.
    expected = 2 / 5 * 0.425 + 2 / 5 * 0.075 + 1 / 5 * 0.05
    assert expected_calibration_error(y, p) == pytest.approx(expected)
    # Of the largest probability: 0.95, 0.9, 0.55, 0.6, 0.95.
    two = np.stack([1 - np.array(p), p], axis=1)
    right = [1, 0, 1, 0, 1]
    by_hand = (abs(2 - 1.9) + abs(0 - 0.9) + abs(1 - 1.15)) / 5
    assert right == (two.argmax(1) == y).astype(int).tolist()
    assert expected_calibration_error(y, two) == pytest.approx(by_hand)
    names = np.array(["a", "b"])
    result = expected_calibration_error(names[y], two, labels=["a", "b"])
    assert result == pytest.approx(by_hand)


def test_calibration_error_of_quantiles_and_weights(rng):
    p = rng.random(4000) ** 3
    y = (rng.random(4000) < p).astype(int)
    for strategy in ("uniform", "quantile"):
        assert expected_calibration_error(y, p, strategy=strategy) < 0.03
        result = expected_calibration_error(y, p / 2, strategy=strategy)
        assert result == pytest.approx(p.mean() / 2, abs=0.02)
    twice = expected_calibration_error(np.r_[y, y[:9]], np.r_[p, p[:9]])
    weight = np.r_[np.full(9, 2.0), np.ones(3991)]
    assert expected_calibration_error(y, p, sample_weight=weight) == pytest.approx(
        twice
    )


@pytest.mark.parametrize(
    ("y_prob", "options", "message"),
    [
        ([0.1, 1.2], {}, "must hold probabilities"),
        ([[0.1, 0.2, 0.7]] * 2, {}, "give labels, one for each column"),
        ([0.1, 0.2], {"n_bins": 0}, "n_bins must be at least 1"),
        ([0.1, 0.2], {"strategy": "width"}, "'uniform' or 'quantile'"),
    ],
)
def test_calibration_error_of_nonsense(y_prob, options, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error([0, 1], y_prob, **options)


def test_the_papers_interval():
    """0.7882 ± 0.0562 at n = 203, of Ewen & Khan 2020."""
    result = proportion_interval(160, 203, method="normal")
    assert round(result.estimate, 4) == 0.7882
    assert round(result.high - result.estimate, 4) == 0.0562
    assert round(result.estimate - result.low, 4) == 0.0562


def test_wilson_by_hand():
    z, p, n = 1.959963984540054, 0.1, 20
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    result = proportion_interval(2, 20)
    assert (result.low, result.high) == pytest.approx((centre - half, centre + half))
    assert proportion_interval(0, 5, method="normal").high == 0  # why it is not used
    assert proportion_interval(0, 5, method="exact").low == 0


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((6, 5), {}), ((0, 0), {}), ((1, 5), {"method": "wald"})],
)
def test_proportions_of_nonsense(arguments, options):
    with pytest.raises(ValueError, match=r"n_hits|method must be"):
        proportion_interval(*arguments, **options)
