"""AUC by ranks: against all pairs, ties and strata included."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skssl.metrics._ranks import placements, rank_auc


@pytest.fixture
def ties(rng):
    positive = rng.random(60) < 0.4
    return positive, np.round(rng.normal(size=60) + positive, 1)


def all_pairs(positive, scores):
    difference = scores[positive][:, None] - scores[~positive]
    return np.where(difference == 0, 0.5, difference > 0)


def test_auc_counts_pairs(ties):
    assert rank_auc(*ties) == pytest.approx(all_pairs(*ties).mean(), abs=1e-12)
    assert rank_auc(*ties) == pytest.approx(roc_auc_score(*ties), abs=1e-12)


def test_strata_count_pairs_within_each(ties):
    positive, scores = ties
    strata = np.arange(60) % 3
    pairs = [all_pairs(positive[strata == k], scores[strata == k]) for k in range(3)]
    expected = sum(p.sum() for p in pairs) / sum(p.size for p in pairs)
    assert rank_auc(positive, scores, strata) == pytest.approx(expected, abs=1e-12)


def test_one_class_has_no_auc():
    assert np.isnan(rank_auc(np.ones(3, bool), np.arange(3.0)))
    separate = rank_auc(np.array([True, False]), np.zeros(2), np.array([0, 1]))
    assert np.isnan(separate)  # no pair within a stratum


def test_placements_are_means_over_the_other_class(ties):
    positive, scores = ties
    pairs = all_pairs(positive, scores)
    found = placements(positive, scores[:, None])[:, 0]
    np.testing.assert_allclose(found[positive], pairs.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found[~positive], pairs.mean(axis=0), atol=1e-12)
