import pytest

from skssl.nn import constant, cosine, get_schedule


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
        (1 / 3, 0.0, 0.75),
        (1.0, 0.0, 0.0),
        (0.0, 0.1, 0.0),
        (0.05, 0.1, 0.5),
        (0.1, 0.1, 1.0),
        (0.55, 0.1, 0.5),
        (0.7, 0.1, 0.25),
        (1.0, 0.1, 0.0),
    ],
)
def test_cosine_at_points_worked_out_by_hand(progress, warmup, factor):
    assert cosine(progress, warmup) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [(0.0, 0.0, 1.0), (0.0, 0.5, 0.0), (0.125, 0.5, 0.25), (0.5, 0.5, 1.0), (1, 0, 1)],
)
def test_constant_at_points_worked_out_by_hand(progress, warmup, factor):
    assert constant(progress, warmup) == factor


def test_lookup_by_name_and_of_a_callable():
    def own(progress, warmup):
        return 1.0

    assert get_schedule("cosine") is cosine
    assert get_schedule("constant") is constant
    assert get_schedule(own) is own


def test_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        get_schedule("cosin")
    with pytest.raises(ValueError, match=r"schedule='qqq' is unknown. Known"):
        get_schedule("qqq")
    with pytest.raises(TypeError, match="got int"):
        get_schedule(3)


@pytest.mark.parametrize("schedule", [constant, cosine])
def test_out_of_range(schedule):
    with pytest.raises(ValueError, match="progress"):
        schedule(1.5, 0.1)
    with pytest.raises(ValueError, match="warmup"):
        schedule(0.5, 1.01)
