"""The table of a study."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from skssl.metrics import (
    bootstrap_interval,
    classification_summary,
    delong_interval,
    expected_calibration_error,
    proportion_interval,
    sensitivity_at_specificity,
)

QUICK = {"n_resamples": 60, "random_state": 0}


@pytest.fixture
def answers(rng):
    y = rng.integers(0, 2, 120)
    return y, 1 / (1 + np.exp(-(1.5 * y - 0.75 + rng.normal(size=120))))


def test_estimates_are_scikit_learns(answers):
    y, p = answers
    summary = classification_summary(y, p, **QUICK)
    result = (p >= 0.5).astype(int)
    for name, value in {
        "AUC": roc_auc_score(y, p),
        "sensitivity": recall_score(y, result),
        "specificity": recall_score(y, result, pos_label=0),
        "PPV": precision_score(y, result),
        "NPV": precision_score(y, result, pos_label=0),
        "accuracy": accuracy_score(y, result),
        "F1": f1_score(y, result),
    }.items():
        assert summary[name].estimate == pytest.approx(value), name
    at = sensitivity_at_specificity(y, p, specificity=0.9)
    assert summary["sensitivity at specificity 0.9"].estimate == at
    ece = expected_calibration_error(y, p)
    assert summary["ECE"].estimate == ece
    n_hits = int(np.sum((y == 1) & (result == 1)))
    assert summary["sensitivity"] == proportion_interval(n_hits, int(y.sum()))
    assert summary["AUC"] == delong_interval(y, p)


def test_with_patients_all_intervals_are_theirs(answers):
    y, p = answers
    groups = np.arange(120) // 4
    summary = classification_summary(y, p, groups=groups, **QUICK)
    methods = {row.metric: row.interval.method for row in summary.rows}
    assert methods.pop("AUC") == "Obuchowski"
    assert set(methods.values()) == {"bootstrap by patients"}
    alone = bootstrap_interval(
        y, (p >= 0.5).astype(int), metric=accuracy_score, groups=groups, **QUICK
    )
    assert summary["accuracy"].low == pytest.approx(alone.low)
    assert summary.n_patients == 30


def test_several_classes(rng):
    names = np.array(["covid", "normal", "viral"])
    code = rng.integers(0, 3, 90)
    p = rng.dirichlet(np.ones(3), 90) + np.eye(3)[code] * 0.3
    p /= p.sum(axis=1, keepdims=True)
    summary = classification_summary(names[code], p, labels=names, **QUICK)
    result = p.argmax(axis=1)
    assert summary["all", "accuracy"].estimate == np.mean(result == code)
    areas = [roc_auc_score(code == k, p[:, k]) for k in range(3)]
    assert summary["mean AUC"].estimate == pytest.approx(np.mean(areas))
    assert summary["viral", "AUC"].estimate == pytest.approx(areas[2])
    sensitivity = np.mean(result[code == 1] == 1)
    assert summary["normal", "sensitivity"].estimate == pytest.approx(sensitivity)
    with pytest.raises(ValueError, match="give labels, one for each column"):
        classification_summary(names[code], p[:, :2], **QUICK)
    with pytest.raises(ValueError, match=r"y_true holds \['covid', 'normal', 'viral'"):
        classification_summary(names[code], p, labels=[0, 1, 2], **QUICK)


def test_predictions_may_be_given(answers):
    y, p = answers
    text = np.array(["well", "sick"])[y]
    result = np.where(p > 0.8, "sick", "well")
    summary = classification_summary(text, p, y_pred=result, pos_label="sick", **QUICK)
    assert summary["accuracy"].estimate == np.mean(text == result)


def test_scores_that_are_no_probabilities_have_no_calibration(answers):
    y, p = answers
    odds = np.log(p / (1 - p))
    summary = classification_summary(y, odds, threshold=0.0, **QUICK)
    assert summary["accuracy"].estimate == np.mean((odds >= 0) == y)
    with pytest.raises(KeyError, match="there are AUC, sensitivity"):
        summary["ECE"]
    p[0] = 1.2  # one is enough, also where a resample leaves it out
    summary = classification_summary(y, p, **QUICK)
    assert "ECE" not in {row.metric for row in summary.rows}
    with pytest.raises(ValueError, match="specificity must be in"):
        classification_summary(y, p, specificity=90)


def test_a_perfect_score_is_not_certain():
    y = np.arange(60) // 3 % 2
    by_patients = classification_summary(y, y, groups=np.arange(60) // 3, **QUICK)
    assert np.isnan(by_patients["sensitivity"].low)


def test_one_class_only_is_a_line_not_a_crash():
    summary = classification_summary([1, 1, 1], [0.2, 0.6, 0.7], **QUICK)
    assert np.isnan(summary["AUC"].estimate)
    assert np.isnan(summary["specificity"].low)
    assert summary["sensitivity"].estimate == pytest.approx(2 / 3)
    lines = str(summary).splitlines()
    assert lines[0] == "3 rows; 95 % intervals"
    assert lines[2].split() == ["1", "AUC", "-", "-", "-", "3", "DeLong"]


def test_its_three_faces(answers):
    y, p = answers
    summary = classification_summary(y, p, groups=np.arange(120) // 2, **QUICK)
    frame = summary.to_frame()
    assert frame.shape == (len(summary.rows), 7)
    assert frame.set_index("metric").loc["AUC", "estimate"] == summary["AUC"].estimate
    text = str(summary)
    assert "120 rows of 60 patients" in text
    assert f"{summary['AUC'].estimate:.3f}" in text
    page = summary._repr_html_()
    assert page.count("<tr>") == len(summary.rows) + 1
    named = classification_summary(np.where(y, "<b>", "c"), p, pos_label="<b>", **QUICK)
    assert "<b>" not in named._repr_html_()


def test_a_transductive_study_says_so():
    y, scores = [0, 1, 0, 1], [0.1, 0.9, 0.6, 0.4]
    plain = classification_summary(y, scores, random_state=0)
    seen = classification_summary(y, scores, transductive=True, random_state=0)
    assert "transductive" not in str(plain) + plain._repr_html_()
    for face in (str(seen), seen._repr_html_()):
        assert "transductive: the training has seen these images" in face
