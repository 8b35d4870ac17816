"""Estimates with confidence intervals, and the intervals of proportions."""

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
        In the units of the metric; a bound is NaN if it is undefined.
    confidence_level : float
        In (0, 1).
    method : str
        Name of the method that gave the interval.

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
    """The difference between two models on the same rows, with its p-value.

    Attributes
    ----------
    difference : Interval
        The first model minus the second.
    pvalue : float
        Two-sided, for the null hypothesis of no difference; in [0, 1].
    statistic : float
        Test statistic; NaN for tests without one.

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

    The rows must be independent: one image per patient. For several images per
    patient, use `bootstrap_interval` with ``groups``.

    Parameters
    ----------
    n_hits, n : int
        Number of hits among n rows, with 0 <= n_hits <= n and n at least 1.
    method : {"wilson", "normal", "exact"}, default="wilson"
        "wilson" is the score interval, "exact" that of Clopper and Pearson. "normal" is
        p ± z √(p (1 - p) / n), clipped to [0, 1], as most papers report it; it is too
        narrow for small n and near 0 and 1.
    confidence_level : float, default=0.95
        In (0, 1).

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If a number is out of range, or ``method`` is unknown.

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
        raise ValueError(
            f"n must be at least 1 and n_hits in [0, n], got n_hits={n_hits} and n={n}."
        )
    p = n_hits / n
    if method == "normal":
        half = stats.norm.isf((1 - confidence_level) / 2) * (p * (1 - p) / n) ** 0.5
        low, high = max(0.0, p - half), min(1.0, p + half)
    elif method in ("wilson", "exact"):
        test = stats.binomtest(n_hits, n)
        low, high = test.proportion_ci(confidence_level, method=method)
    else:
        raise ValueError(
            f"method must be 'wilson', 'normal' or 'exact', got {method!r}."
        )
    return Interval(p, float(low), float(high), confidence_level, _NAMES[method])
