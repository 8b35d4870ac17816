"""Mean area under the ROC curve (AUC) of several runs."""

import numpy as np
from sklearn.metrics import roc_auc_score


def mean_auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUC over the columns of scores (n, k) for labels y (n,)."""
    return float(np.mean([roc_auc_score(y, column) for column in scores.T]))
