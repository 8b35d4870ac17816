"""Budgets scale epochs and image size, and nothing else."""

import pytest

from skssl.recipes import (
    BUDGETS,
    Budget,
    contrastive_pretrainer,
    cross_transfer,
    get_budget,
    self_trans,
    targeted_flip,
)


def test_the_full_budget_changes_nothing():
    full = BUDGETS["full"]
    assert (full.n_epochs(30), full.size_px(224)) == (30, 224)


def test_one_epoch_remains():
    assert Budget("b", epochs=0.01).n_epochs(30) == 1


def test_images_are_never_enlarged():
    assert Budget("b", image_size=256).size_px(224) == 224


def test_a_network_gets_the_size_that_it_needs():
    assert BUDGETS["tiny"].size_px(299, "inception_v3") == 75


@pytest.mark.parametrize(
    ("make", "unchanged"),
    [
        (targeted_flip, ["selection", "pretrainer__hidden_size"]),
        (
            lambda **options: self_trans(method=1, **options),
            ["pretrainer__lr", "pretrainer__batch_size", "augmentation"],
        ),
        (cross_transfer, ["pretrainer__lr", "pretrainer__pretext__momentum"]),
        (contrastive_pretrainer, ["lr", "batch_size", "pretext__temperature"]),
    ],
)
def test_only_epochs_and_size_change(make, unchanged):
    full, small = (make(budget=name).get_params() for name in ("full", "small"))
    assert [full[name] for name in unchanged] == [small[name] for name in unchanged]
    changed = {
        name
        for name in full
        if repr(full[name]) != repr(small[name])
        and not hasattr(full[name], "get_params")
    }
    allowed = {"phases", "max_epochs", "image_size", "n_average"}
    assert {name.split("__")[-1] for name in changed} <= allowed
    assert any("image_size" in name for name in changed)


def test_phases_keep_their_rates():
    small = targeted_flip(budget="small").pretrainer.phases
    assert [(phase.epochs, phase.lr) for phase in small] == [
        (6, 1e-4),
        (6, 1e-5),
        (6, 1e-6),
    ]


def test_a_budget_says_what_it_is():
    assert str(BUDGETS["small"]) == (
        "small (20 % of the epochs, images of at most 64 px)"
    )
    assert "all epochs" in str(BUDGETS["full"])


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        ("smal", ValueError, r"(?s)budget.*small"),
        (3, TypeError, "or a Budget, got int"),
    ],
)
def test_unknown_budgets(budget, error, message):
    with pytest.raises(error, match=message):
        get_budget(budget)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"epochs": "0.1"}, "epochs must be"),
        ({"epochs": float("inf")}, "epochs must be"),
        ({"image_size": True}, "image_size must be"),
        ({"image_size": 0}, "image_size must be"),
        ({"image_size": 32.5}, "image_size must be"),
    ],
)
def test_budgets_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Budget("b", **settings)
