"""How often intervals hold the truth, by simulation: the claim is 95 %."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score

from skssl.metrics import bootstrap_interval, delong_interval, proportion_interval

pytestmark = pytest.mark.slow

N_DRAWS = 1000


def draw_patients(rng, n_patients, n_slices, *, apart=1.19, shared=0.5):
    """Return classes, scores and patients, whose slices share a part of the noise."""
    patient = np.repeat(np.arange(n_patients), n_slices)
    y = (rng.random(n_patients) < 0.5)[patient]
    alike = rng.normal(size=n_patients)[patient]
    noise = shared**0.5 * alike + (1 - shared) ** 0.5 * rng.normal(size=len(patient))
    return y.astype(int), apart * y + noise, patient


def share_that_holds(make, truth):
    """Return how many of the intervals hold the truth."""
    return np.mean([low < truth < high for low, high in make])


AREA = stats.norm.cdf(1.19 / 2**0.5)
RIGHT = stats.norm.cdf(1.19 / 2)


def of(interval):
    return interval.low, interval.high


def test_proportions():
    rng = np.random.default_rng(0)
    hits = rng.binomial(203, 0.79, N_DRAWS).tolist()
    for method in ("wilson", "normal"):
        held = share_that_holds(
            (of(proportion_interval(k, 203, method=method)) for k in hits), 0.79
        )
        assert 0.93 <= held <= 0.97
    few = rng.binomial(20, 0.95, N_DRAWS).tolist()
    wilson, normal = (
        share_that_holds((of(proportion_interval(k, 20, method=m)) for k in few), 0.95)
        for m in ("wilson", "normal")
    )
    assert wilson >= 0.9 > 0.8 > normal  # why "wilson" is the default


@pytest.mark.parametrize("n", [60, 200])
def test_delong(n):
    rng = np.random.default_rng(1)
    draws = (draw_patients(rng, n, 1) for _ in range(N_DRAWS))
    held = share_that_holds((of(delong_interval(y, s)) for y, s, _ in draws), AREA)
    assert 0.93 <= held <= 0.97


def test_delong_by_patients_holds_where_the_naive_one_does_not():
    rng = np.random.default_rng(2)
    sets = [draw_patients(rng, 100, 5) for _ in range(N_DRAWS)]
    honest = share_that_holds(
        (of(delong_interval(y, s, groups=g)) for y, s, g in sets), AREA
    )
    naive = share_that_holds((of(delong_interval(y, s)) for y, s, _ in sets), AREA)
    print(f"DeLong by patients {honest:.3f}, naive {naive:.3f}")
    assert 0.93 <= honest <= 0.97
    assert naive < 0.85


def test_bootstrap_by_patients_holds_where_the_naive_one_does_not():
    rng = np.random.default_rng(3)
    held = {"honest": [], "naive": []}
    for _ in range(N_DRAWS):
        y, s, g = draw_patients(rng, 100, 5)
        result = (s > 1.19 / 2).astype(int)
        for name, groups in (("honest", g), ("naive", None)):
            interval = bootstrap_interval(
                y,
                result,
                metric=_accuracy,
                groups=groups,
                n_resamples=300,
                random_state=0,
            )
            held[name].append(interval.low < RIGHT < interval.high)
    honest, naive = np.mean(held["honest"]), np.mean(held["naive"])
    print(f"bootstrap by patients {honest:.3f}, naive {naive:.3f}")
    assert 0.93 <= honest <= 0.97
    assert naive < 0.85


def _accuracy(y, result):
    """The same as `accuracy_score`, in a hundredth of the time."""
    return np.mean(y == result)


def test_the_short_cut_is_the_accuracy():
    y, result = np.array([0, 1, 1]), np.array([0, 1, 0])
    assert _accuracy(y, result) == accuracy_score(y, result)
