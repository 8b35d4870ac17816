"""Barlow Twins: the loss against loops over the paper's sums, and by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.barlow_twins import BarlowTwins, _barlow_twins_loss
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=6)


def make(**parameters):
    task = BarlowTwins(**parameters).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return task.build(backbone, INFO).train()


def random_views(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def barlow_twins_by_loops(z1, z2, weight):
    """Equations 1 and 2 of Zbontar et al. 2021, term by term in float64."""
    n, d = z1.shape
    loss = 0.0
    for i in range(d):
        for j in range(d):
            a = (z1[:, i] - z1[:, i].mean()) / np.sqrt(z1[:, i].var() + 1e-5)
            b = (z2[:, j] - z2[:, j].mean()) / np.sqrt(z2[:, j].var() + 1e-5)
            c = sum(a[k] * b[k] for k in range(n)) / n
            loss += (1 - c) ** 2 if i == j else weight * c**2
    return loss


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("weight", [0.0, 0.005, 0.3])
def test_loss_equals_the_formula(n, weight):
    module = make(redundancy_weight=weight, hidden_size=7, projection_size=4)
    views = random_views(n)
    double = deepcopy(module).double()
    loss = module(views, torch.arange(n))
    with torch.no_grad():
        z = double.projector(double.backbone(torch.cat(views).double())).numpy()
    expected = barlow_twins_by_loops(z[:n], z[n:], weight)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([[1, 1], [1, -1], [-1, 1], [-1, -1]], 0.0),  # C = [[1, 0], [0, 1]]
        ([[-1, -1], [-1, 1], [1, -1], [1, 1]], 8.0),  # C = [[-1, 0], [0, -1]]
        ([[1, 1], [-1, 1], [1, -1], [-1, -1]], 2.2),  # C = [[0, 1], [1, 0]]
        ([[7, 5], [7, 3], [3, 5], [3, 3]], 0.0),  # scale and shift do not matter
    ],
)
def test_correlations_by_hand(second, expected):
    first = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    loss = _barlow_twins_loss(first, torch.tensor(second).float(), 0.1)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_a_feature_that_is_constant_has_a_finite_gradient():
    z1, z2 = torch.ones(3, 4, requires_grad=True), torch.ones(3, 4)
    loss = _barlow_twins_loss(z1, z2, 0.005)
    loss.backward()
    assert loss.item() == pytest.approx(4.0)  # (1 - 0)² for each feature
    assert torch.isfinite(z1.grad).all()


def test_views_are_equal_partners():
    module = make(hidden_size=7, projection_size=4)
    first, second = random_views(5)
    loss = module((first, second), torch.arange(5))
    torch.testing.assert_close(loss, module((second, first), torch.arange(5)))


def test_loss_is_float32_inside_autocast():
    module = make(hidden_size=7, projection_size=4)
    views = random_views(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = module(views, torch.arange(5))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss, module(views, torch.arange(5)), rtol=0.1, atol=0.05
    )


def test_default_projector_is_three_layers():
    module = make()
    kinds = [type(layer).__name__ for layer in module.projector]
    hidden = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds == [*hidden, *hidden, "Linear"]
    # weights, biases and scales of two hidden layers; the last has weights only
    expected = 16 * 512 + 512 * 512 + 2 * 3 * 512 + 512 * 256
    assert sum(p.numel() for p in module.projector.parameters()) == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"redundancy_weight": -0.1}, "'redundancy_weight' parameter of BarlowTwins"),
        ({"hidden_size": 0}, "'hidden_size' parameter of BarlowTwins"),
        ({"projection_size": 2.5}, "'projection_size' parameter of BarlowTwins"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        BarlowTwins(**parameters).resolve(INFO)
