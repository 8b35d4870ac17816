"""VICReg: the three terms against loops over the paper's sums, and by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.vicreg import VICReg, _vicreg_loss
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=6)


def make(**parameters):
    task = VICReg(**parameters).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return task.build(backbone, INFO).train()


def random_views(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def variance_by_loops(z):
    shortfalls = []
    for j in range(z.shape[1]):
        var = sum((x - z[:, j].mean()) ** 2 for x in z[:, j]) / (len(z) - 1)
        shortfalls.append(max(0.0, 1 - np.sqrt(var + 1e-4)))
    return sum(shortfalls) / z.shape[1]


def covariance_by_loops(z):
    n, d = z.shape
    mean, total = z.mean(axis=0), 0.0
    for i in range(d):
        for j in range(d):
            if i != j:
                of_images = [
                    (z[k, i] - mean[i]) * (z[k, j] - mean[j]) for k in range(n)
                ]
                total += (sum(of_images) / (n - 1)) ** 2
    return total / d


def vicreg_by_loops(z1, z2, invariance, variance, covariance):
    """Equations 1 to 6 of Bardes et al. 2022, equation 5 divided by d."""
    n, d = z1.shape
    distance = sum(np.linalg.norm(z1[k] - z2[k]) ** 2 for k in range(n)) / n / d
    return (
        invariance * distance
        + variance * (variance_by_loops(z1) + variance_by_loops(z2))
        + covariance * (covariance_by_loops(z1) + covariance_by_loops(z2))
    )


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize(
    "weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
)
def test_loss_equals_the_formula(n, weights):
    names = ("invariance_weight", "variance_weight", "covariance_weight")
    settings = dict(zip(names, weights, strict=True))
    module = make(hidden_size=7, projection_size=4, **settings)
    views = random_views(n)
    double = deepcopy(module).double()
    loss = module(views, torch.arange(n))
    with torch.no_grad():
        z = double.projector(double.backbone(torch.cat(views).double())).numpy()
    expected = vicreg_by_loops(z[:n], z[n:], *weights)
    assert expected > 0
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_defaults_are_the_published_weights():
    task = VICReg()
    weights = (task.invariance_weight, task.variance_weight, task.covariance_weight)
    assert weights == (25.0, 25.0, 1.0)


def test_collapsed_features_cost_the_whole_variance_term():
    z = torch.ones(4, 3)  # deviation sqrt(1e-4) = 0.01, twice
    assert _vicreg_loss(z, z, 25.0, 25.0, 1.0).item() == pytest.approx(25 * 2 * 0.99)


def test_equal_features_cost_their_covariance():
    z = torch.tensor([[2.0, 2.0], [-2.0, -2.0], [2.0, 2.0], [-2.0, -2.0]])
    # Var = Cov = 16 / 3, above γ; two elements off the diagonal, d = 2, two views
    expected = 2 * (2 * (16 / 3) ** 2 / 2)
    assert _vicreg_loss(z, z, 25.0, 25.0, 1.0).item() == pytest.approx(expected)


def test_distance_is_a_mean_over_features():
    z1 = torch.tensor([[9.0, -9.0], [-9.0, -9.0], [9.0, 9.0], [-9.0, 9.0]])
    # uncorrelated and of large variance: the shift by (3, 1) is all there is
    loss = _vicreg_loss(z1, z1 + torch.tensor([3.0, 1.0]), 25.0, 25.0, 1.0)
    assert loss.item() == pytest.approx(25 * (9 + 1) / 2)


def test_gradient_is_finite_where_features_collapsed():
    z1, z2 = torch.ones(3, 4, requires_grad=True), torch.ones(3, 4)
    _vicreg_loss(z1, z2, 25.0, 25.0, 1.0).backward()
    assert torch.isfinite(z1.grad).all()


def test_loss_is_float32_inside_autocast():
    module = make(hidden_size=7, projection_size=4)
    views = random_views(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = module(views, torch.arange(5))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss, module(views, torch.arange(5)), rtol=0.05, atol=0.0
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
        ({"invariance_weight": -1}, "'invariance_weight' parameter of VICReg"),
        ({"variance_weight": -1}, "'variance_weight' parameter of VICReg"),
        ({"covariance_weight": "1"}, "'covariance_weight' parameter of VICReg"),
        ({"projection_size": 0}, "'projection_size' parameter of VICReg"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        VICReg(**parameters).resolve(INFO)
