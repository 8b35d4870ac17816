"""McNemar's test, by hand."""

import numpy as np
import pytest
from scipy import stats

from skssl.metrics import mcnemar_test


def answers(both, only_a, only_b, neither):
    a = np.r_[np.ones(both + only_a), np.zeros(only_b + neither)]
    b = np.r_[np.ones(both), np.zeros(only_a), np.ones(only_b), np.zeros(neither)]
    return np.ones(len(a)), a, b


def test_by_hand():
    y, a, b = answers(50, 12, 4, 34)
    exact = 2 * sum(stats.binom.pmf(k, 16, 0.5) for k in range(5))
    result = mcnemar_test(y, a, b)
    assert result.pvalue == pytest.approx(exact)
    assert result.statistic == (12 - 4) ** 2 / 16
    assert result.difference.estimate == pytest.approx(0.08)
    mid = exact - stats.binom.pmf(4, 16, 0.5)
    assert mcnemar_test(y, a, b, method="mid-p").pvalue == pytest.approx(mid)
    chi2 = stats.chi2.sf(4.0, 1)
    assert mcnemar_test(y, a, b, method="asymptotic").pvalue == pytest.approx(chi2)
    # Half a row more in each cell: 12.5 and 4.5 of 102.
    centre = 8 / 102
    half = 1.959964 * ((17 / 102 - centre**2) / 102) ** 0.5
    assert result.difference.low == pytest.approx(centre - half, abs=1e-6)
    assert result.difference.high == pytest.approx(centre + half, abs=1e-6)


@pytest.mark.parametrize("method", ["exact", "mid-p", "asymptotic"])
def test_models_that_do_not_differ(method):
    assert mcnemar_test(*answers(5, 0, 0, 5), method=method).pvalue == 1
    assert mcnemar_test(*answers(5, 3, 3, 5), method=method).pvalue == 1


def test_other_methods_are_refused():
    with pytest.raises(ValueError, match="method must be"):
        mcnemar_test(*answers(1, 1, 1, 1), method="chi")
    with pytest.raises(ValueError, match="no rows"):
        mcnemar_test([], [], [])
    with pytest.raises(ValueError, match="text and numbers"):
        mcnemar_test(["1", "0"], [1, 0], ["1", "0"])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        mcnemar_test([0, 1], [0], [0, 1])
