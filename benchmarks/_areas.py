"""The area under ROC curves of several runs at once."""

import numpy as np
from scipy.stats import mannwhitneyu


def mean_auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUC of the columns of scores (n, k): U / (n₁ n₀), all at once.

    Intervals take some hundreds of it.
    """
    ill, well = scores[y == 1], scores[y == 0]
    u = mannwhitneyu(ill, well, axis=0, method="asymptotic").statistic
    return float(np.mean(u) / (len(ill) * len(well)))
