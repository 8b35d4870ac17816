"""Mean and standard deviation over seeds, as text."""

from collections.abc import Sequence
from statistics import fmean, stdev


def mean_and_spread(values: Sequence[float], sign: str = "") -> str:
    """Return "mean ± sample standard deviation", or the value alone if it is one."""
    mean = f"{fmean(values):{sign}.3f}"
    return f"{mean} ± {stdev(values):.3f}" if len(values) > 1 else mean
