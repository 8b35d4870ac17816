"""Means over seeds with their spread."""

from collections.abc import Sequence
from statistics import fmean, stdev


def mean_and_spread(values: Sequence[float], sign: str = "") -> str:
    """Return mean ± standard deviation of a sample, or the one value there is."""
    mean = f"{fmean(values):{sign}.3f}"
    return f"{mean} ± {stdev(values):.3f}" if len(values) > 1 else mean
