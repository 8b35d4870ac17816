"""McNemar's test of the decisions of two models on the same rows."""

from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils import check_consistent_length, column_or_1d

from skssl.metrics._inputs import check_level, check_same_type
from skssl.metrics._intervals import Comparison, Interval


def mcnemar_test(
    y_true: Any,
    pred_a: Any,
    pred_b: Any,
    *,
    method: str = "exact",
    confidence_level: float = 0.95,
) -> Comparison:
    """Test whether the accuracies of two models on the same rows differ.

    The rows must be independent: one image per patient. For several images per
    patient, use `paired_bootstrap` with ``metric=accuracy_score`` and ``groups``.

    Parameters
    ----------
    y_true, pred_a, pred_b : array-like of shape (n,)
        True classes, and the predictions of the two models.
    method : {"exact", "mid-p", "asymptotic"}, default="exact"
        "exact" is the binomial test on the rows where only one model is correct.
        "mid-p" counts the probability of the observed outcome by half, and is less
        conservative. "asymptotic" is the χ² test without continuity correction.
    confidence_level : float, default=0.95
        In (0, 1).

    Returns
    -------
    Comparison
        The accuracy of a minus that of b, with the interval of Agresti and Min;
        ``statistic`` is χ².

    Raises
    ------
    ValueError
        If lengths differ, a label is missing, or ``method`` is unknown.

    Notes
    -----
    The interval is the Wald interval of matched proportions after adding 1/2 to each of
    the four cells; its centre is slightly closer to 0 than the estimate.

    References
    ----------
    .. [1] M. Fagerland, S. Lydersen, P. Laake. "The McNemar Test for Binary
       Matched-Pairs Data: Mid-p and Asymptotic Are Better than Exact Conditional",
       2013. :doi:`10.1186/1471-2288-13-91`
    .. [2] A. Agresti, Y. Min. "Simple Improved Confidence Intervals for Comparing
       Matched Proportions", 2005. :doi:`10.1002/sim.1781`

    Examples
    --------
    >>> y, a, b = [1] * 10, [1] * 9 + [0], [0] * 6 + [1] * 4
    >>> print(mcnemar_test(y, a, b))
    0.500 [0.019, 0.814], p = 0.12
    """
    check_level(confidence_level)
    y_true, a, b = (column_or_1d(values) for values in (y_true, pred_a, pred_b))
    check_consistent_length(y_true, a, b)
    check_same_type(y_true=y_true, pred_a=a, pred_b=b)
    n = len(y_true)
    if n == 0:
        raise ValueError("y_true has no rows: at least one is needed.")
    only_a = int(np.sum((a == y_true) & (b != y_true)))
    only_b = int(np.sum((b == y_true) & (a != y_true)))
    n_discordant = only_a + only_b
    statistic = (only_a - only_b) ** 2 / n_discordant if n_discordant else 0.0
    z = stats.norm.isf((1 - confidence_level) / 2)
    centre = (only_a - only_b) / (n + 2)
    variance = (n_discordant + 1) / (n + 2) - centre**2
    half = z * (variance / (n + 2)) ** 0.5
    interval = Interval(
        (only_a - only_b) / n,
        max(-1.0, centre - half),
        min(1.0, centre + half),
        confidence_level,
        "Agresti-Min",
    )
    return Comparison(interval, _pvalue(only_a, only_b, method), statistic)


def _pvalue(only_a: int, only_b: int, method: str) -> float:
    n_discordant = only_a + only_b
    if method not in ("exact", "mid-p", "asymptotic"):
        raise ValueError(
            f"method must be 'exact', 'mid-p' or 'asymptotic', got {method!r}."
        )
    if n_discordant == 0:
        return 1.0
    if method == "asymptotic":
        return float(stats.chi2.sf((only_a - only_b) ** 2 / n_discordant, 1))
    exact = float(stats.binomtest(only_a, n_discordant).pvalue)
    if method == "exact":
        return exact
    # The probability of the observed outcome counts by half on each side.
    observed = float(stats.binom.pmf(only_a, n_discordant, 0.5))
    return min(1.0, exact - observed) if only_a != only_b else 1.0
