"""``UndefinedMetricWarning`` points at the line of the user's call."""

import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import cross_validate

from skssl.metrics import (
    bootstrap_interval,
    clinical_scorers,
    delong_interval,
    delong_test,
    paired_bootstrap,
    sensitivity_at_specificity,
    sensitivity_score,
    specificity_score,
)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sensitivity_score([0, 0], [0, 0]),
        lambda: specificity_score([1, 1], [1, 1]),
        lambda: sensitivity_at_specificity([1, 1], [0.1, 0.2]),
        lambda: delong_interval([1, 1], [0.1, 0.2]),
        lambda: delong_test([1, 1], [0.1, 0.2], [0.2, 0.1]),
        lambda: bootstrap_interval([0, 1] * 9, [0, 1] * 9, random_state=0),
        lambda: paired_bootstrap(
            *([0, 1], [0, 1], [0, 1]), metric=lambda y, p: np.nan, n_resamples=2
        ),
    ],
)
def test_metrics_warn_at_the_call(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert caught[0].category is UndefinedMetricWarning
    assert caught[0].filename == __file__


def test_scorers_warn_at_the_call_of_cross_validate():
    X, y = np.zeros((8, 1)), np.array([0] * 4 + [1] * 4)
    folds = [(np.arange(8), np.arange(4))]  # class 0 only is tested
    scorers = clinical_scorers()
    scoring = {name: scorers[name] for name in ("sensitivity", "roc_auc")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_validate(DummyClassifier(), X, y, cv=folds, scoring=scoring)
    assert len(caught) == 2
    for warning in caught:
        assert warning.category is UndefinedMetricWarning
        assert warning.filename == __file__
