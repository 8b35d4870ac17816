"""An estimate with its interval, and the intervals of proportions."""

from dataclasses import dataclass
from math import isnan

from scipy import stats

from skssl.metrics._inputs import check_level

_NAMES = {"wilson": "Wilson", "normal": "normal", "exact": "Clopper-Pearson"}


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, low, high : float
        In the units of the metric.
    confidence_level : float
        In (0, 1).
    method : str
        How the interval was made.

    Examples
    --------
    >>> print(Interval(0.8, 0.72, 0.87))
    0.800 [0.720, 0.870]
    """

    estimate: float
    low: float
    high: float
    confidence_level: float = 0.95
    method: str = ""

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows: what is between them, and whether it is chance.

    Attributes
    ----------
    difference : Interval
        Of the first less the second.
    pvalue : float
        Two-sided, of no difference; in [0, 1].
    statistic : float
        Of the test; NaN where there is none.

    Examples
    --------
    >>> print(Comparison(Interval(0.03, -0.01, 0.07), 0.14))
    0.030 [-0.010, 0.070], p = 0.14
    """

    difference: Interval
    pvalue: float
    statistic: float = float("nan")

    def __str__(self) -> str:
        if self.pvalue < 1e-4:
            return f"{self.difference}, p < 0.0001"
        p = "not defined" if isnan(self.pvalue) else f"= {self.pvalue:.2g}"
        return f"{self.difference}, p {p}"


def proportion_interval(
    n_hits: int,
    n: int,
    *,
    method: str = "wilson",
    confidence_level: float = 0.95,
) -> Interval:
    """Return a proportion, such as an accuracy, with its interval.

    The rows must be independent: one image a patient. For several, use
    `bootstrap_interval` with ``groups``.

    Parameters
    ----------
    n_hits, n : int
        Hits among n, with 0 <= n_hits <= n and n at least 1.
    method : {"wilson", "normal", "exact"}, default="wilson"
        "wilson" is the score interval, "exact" Clopper and Pearson's. "normal" is
        p ± z √(p (1 - p) / n), cut at 0 and 1, as most papers print it; it is too
        short for small n and near 0 and 1.
    confidence_level : float, default=0.95
        In (0, 1).

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If a number is out of range, or the method unknown.

    References
    ----------
    .. [1] L. Brown, T. Cai, A. DasGupta. "Interval Estimation for a Binomial
       Proportion", 2001. :doi:`10.1214/ss/1009213286`

    Examples
    --------
    >>> accuracy = proportion_interval(160, 203, method="normal")
    >>> f"{accuracy.estimate:.4f} ± {accuracy.high - accuracy.estimate:.4f}"
    '0.7882 ± 0.0562'
    >>> print(proportion_interval(160, 203))
    0.788 [0.727, 0.839]
    """
    check_level(confidence_level)
    if not (n >= 1 and 0 <= n_hits <= n):
        raise ValueError(f"0 <= n_hits <= n with n >= 1, got {n_hits} and {n}.")
    p = n_hits / n
    if method == "normal":
        half = stats.norm.isf((1 - confidence_level) / 2) * (p * (1 - p) / n) ** 0.5
        low, high = max(0.0, p - half), min(1.0, p + half)
    elif method in ("wilson", "exact"):
        told = stats.binomtest(n_hits, n)
        low, high = told.proportion_ci(confidence_level, method=method)
    else:
        raise ValueError(
            f"method must be 'wilson', 'normal' or 'exact', got {method!r}."
        )
    return Interval(p, float(low), float(high), confidence_level, _NAMES[method])
