"""Mean area under the ROC curve (AUC) of several runs."""

import numpy as np

from skssl.metrics._ranks import rank_auc


def mean_auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUC over the columns of scores (n, k) for labels y (n,)."""
    return float(np.mean([rank_auc(y == 1, column) for column in scores.T]))
