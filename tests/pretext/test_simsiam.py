"""SimSiam: loss and stop-gradient against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.simsiam import SimSiam
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=9, n_channels=1, image_size=(16, 16), batch_size=6)
SMALL = {"hidden_size": 7, "projection_size": 5, "predictor_size": 4}


def make(network=tiny_cnn, **parameters):
    task = SimSiam(**parameters).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(network, in_channels=1, image_size=(16, 16))
        return task.build(backbone, INFO).train()


def random_views(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def mean_cosine_by_loops(a, b):
    rows = [x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a, b, strict=True)]
    return float(np.mean(rows))


@pytest.mark.parametrize("n", [3, 6])
def test_loss_equals_the_formula(n):
    module, views = make(**SMALL), random_views(n, 0)
    double = deepcopy(module).double()
    loss = module(views, torch.arange(n))
    with torch.no_grad():
        z1, z2 = (double.projector(double.backbone(v.double())) for v in views)
        p1, p2 = double.predictor(z1).numpy(), double.predictor(z2).numpy()
    z1, z2 = z1.numpy(), z2.numpy()
    expected = -(mean_cosine_by_loops(p1, z2) + mean_cosine_by_loops(p2, z1)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_takes_the_projections_as_constants():
    module, views = make(**SMALL), random_views(6, 0)
    double = deepcopy(module).double()
    module(views, torch.arange(6)).backward()
    with torch.no_grad():  # the constants
        c1, c2 = (double.projector(double.backbone(v.double())) for v in views)
    loss = 0.0
    for view, c in ((views[0], c2), (views[1], c1)):
        p = double.predictor(double.projector(double.backbone(view.double())))
        for i in range(6):
            loss = loss - (p[i] @ c[i]) / (p[i].norm() * c[i].norm()) / 12
    loss.backward()
    pairs = zip(module.named_parameters(), double.parameters(), strict=True)
    for (name, weight), reference in pairs:
        torch.testing.assert_close(
            weight.grad.double(), reference.grad, rtol=1e-3, atol=1e-5, msg=name
        )
    for name, weight in module.backbone.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_prediction_of_the_target_itself_is_the_least_loss():
    module = make(hidden_size=7, projection_size=5, predictor_size=5)
    module.predictor = nn.Identity()
    view = random_views(6, 0)[0]
    loss = module((view, view), torch.arange(6))
    assert loss.item() == pytest.approx(-1, abs=1e-6)


def test_heads_have_the_papers_sizes_when_asked_for():
    module = make(
        lambda: nn.Conv2d(3, 512, 1),
        hidden_size=2048,
        projection_size=2048,
        predictor_size=512,
    )
    kinds = [type(layer).__name__ for layer in module.projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear", "BatchNorm1d"]
    assert not module.projector[-1].affine
    hidden = 2048 + 2 * 2048  # bias of the linear layer; BatchNorm's scale and shift
    n_weights = sum(weight.numel() for weight in module.projector.parameters())
    assert n_weights == 512 * 2048 + hidden + 2048**2 + hidden + 2048**2
    kinds = [type(layer).__name__ for layer in module.predictor]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    n_weights = sum(weight.numel() for weight in module.predictor.parameters())
    assert n_weights == 2048 * 512 + 512 + 2 * 512 + 512 * 2048 + 2048


@pytest.mark.parametrize("name", ["hidden_size", "projection_size", "predictor_size"])
@pytest.mark.parametrize("value", [0, 1.5])
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of SimSiam"):
        SimSiam(**{name: value}).resolve(INFO)
