"""The area under the ROC curve (AUC) by ranks.

H. Mann, D. Whitney, 1947: the AUC is the fraction of pairs of a positive and a negative
row in which the positive row has the higher score; ties count one half.
"""

import numpy as np
from scipy.stats import rankdata


def rank_auc(
    positive: np.ndarray, scores: np.ndarray, strata: np.ndarray | None = None
) -> float:
    """Return the area under the ROC curve.

    Parameters
    ----------
    positive : ndarray of shape (n,), bool
    scores : ndarray of shape (n,)
        Higher for positive rows.
    strata : ndarray of shape (n,), optional
        Only pairs of rows within a stratum are compared, such as those of a fold.

    Returns
    -------
    float in [0, 1]
        NaN if there is no pair of a positive and a negative row.

    References
    ----------
    .. [1] H. Mann, D. Whitney. "On a Test of Whether One of Two Random Variables Is
       Stochastically Larger than the Other", 1947. :doi:`10.1214/aoms/1177730491`

    Examples
    --------
    >>> rank_auc(np.array([False, True, False, True]), np.array([1, 2, 3, 4]))
    0.75
    """
    if strata is None:
        n_ordered, n_pairs = _ordered_pairs(positive, scores)
    else:
        within = [strata == stratum for stratum in np.unique(strata)]
        pairs = [_ordered_pairs(positive[rows], scores[rows]) for rows in within]
        n_ordered, n_pairs = map(sum, zip(*pairs, strict=True))
    return float(n_ordered / n_pairs) if n_pairs else float("nan")


def _ordered_pairs(positive: np.ndarray, scores: np.ndarray) -> tuple[float, int]:
    """Return how many pairs are in order, ties as halves, and how many there are."""
    ranks = rankdata(scores)[positive]
    n_positive = len(ranks)
    n_ordered = float(ranks.sum()) - n_positive * (n_positive + 1) / 2
    return n_ordered, n_positive * (len(positive) - n_positive)


def placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the fraction of the other class on whose correct side each row lies.

    Parameters
    ----------
    positive : ndarray of shape (n,), bool
        Both classes occur.
    scores : ndarray of shape (n, k)

    Returns
    -------
    ndarray of shape (n, k), float64, in [0, 1]
        The mean over the positive rows, or over the negative ones, is the AUC.

    References
    ----------
    .. [1] X. Sun, W. Xu. "Fast Implementation of DeLong's Algorithm for Comparing the
       Areas Under Correlated Receiver Operating Characteristic Curves", 2014.
       :doi:`10.1109/LSP.2014.2337313`

    Examples
    --------
    >>> scores = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> placements(np.array([False, True, False, True]), scores).ravel().tolist()
    [1.0, 0.5, 0.5, 1.0]
    """
    n_positive, n_negative = positive.sum(), (~positive).sum()
    midranks = rankdata(scores, axis=0)  # (n, k); O(n log n) instead of all pairs
    fractions = np.empty_like(midranks)
    above = midranks[positive] - rankdata(scores[positive], axis=0)
    below = midranks[~positive] - rankdata(scores[~positive], axis=0)
    fractions[positive] = above / n_negative
    fractions[~positive] = 1 - below / n_positive
    return fractions
