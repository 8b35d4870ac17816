"""Cross: loss, gradient and moving average against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.cross import Cross
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=9, n_channels=1, image_size=(16, 16), batch_size=6)
SMALL = {"hidden_size": 7, "projection_size": 5, "predictor_size": 9}


def make(network=tiny_cnn, **parameters):
    task = Cross(**parameters).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(network, in_channels=1, image_size=(16, 16))
        return task.build(backbone, INFO).train()


def random_views(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def move_target_away(module):
    """Make the target another network, as it is after a step."""
    with isolated_rng(1), torch.no_grad():
        for copy in (module.target_backbone, module.target_projector):
            for weight in copy.parameters():
                weight.mul_(1 + torch.rand_like(weight))


def squared_distance(a, b):
    """Equations 1 and 2 of Li et al. 2021, row by row in float64."""
    rows = []
    for x, y in zip(a, b, strict=True):
        apart = x / np.sqrt(x @ x) - y / np.sqrt(y @ y)
        rows.append(sum(side**2 for side in apart))
    return float(np.mean(rows))


@pytest.mark.parametrize("n", [3, 6])
def test_loss_equals_the_formula(n):
    module, views = make(**SMALL), random_views(n, 0)
    move_target_away(module)
    double = deepcopy(module).double()
    loss = module(views, torch.arange(n))
    with torch.no_grad():
        p1, p2 = (
            double.predictor(double.projector(double.backbone(v.double()))).numpy()
            for v in views
        )
        y2 = double.target_projector(double.target_backbone(views[1].double()))
    expected = squared_distance(p1, p2) + squared_distance(p2, y2.numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_goes_through_both_predictions_and_not_the_target():
    module, views = make(**SMALL), random_views(6, 0)
    move_target_away(module)
    double = deepcopy(module).double()
    module(views, torch.arange(6)).backward()
    p1, p2 = (
        double.predictor(double.projector(double.backbone(v.double()))) for v in views
    )
    y2 = double.target_projector(double.target_backbone(views[1].double()))
    loss = 0.0
    for a, b in ((p1, p2), (p2, y2)):
        for i in range(6):
            loss = loss + (2 - 2 * (a[i] @ b[i]) / (a[i].norm() * b[i].norm())) / 6
    loss.backward()
    pairs = zip(module.named_parameters(), double.parameters(), strict=True)
    for (name, weight), reference in pairs:
        if name.startswith("target_"):
            assert weight.grad is None, name
            continue
        torch.testing.assert_close(
            weight.grad.double(), reference.grad, rtol=1e-3, atol=1e-5, msg=name
        )
    for name, weight in module.backbone.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_target_follows_by_the_moving_average():
    module = make(momentum=0.9, **SMALL)
    target = (module.target_backbone.module, module.target_projector.module)
    expected = [w.clone() for part in target for w in part.parameters()]
    for step, n in enumerate((3, 6, 2, 5), start=1):
        module(random_views(n, step), torch.arange(n))
        network = [*module.backbone.parameters(), *module.projector.parameters()]
        with torch.no_grad():
            for weight in network:
                weight.add_(0.1 * step)
        module.after_step(step / 4)
        expected = [
            0.9 * old + 0.1 * new.detach()
            for old, new in zip(expected, network, strict=True)
        ]
    moved = [w for part in target for w in part.parameters()]
    for weight, by_hand in zip(moved, expected, strict=True):
        torch.testing.assert_close(weight, by_hand)


def test_default_heads_are_the_papers():
    module = make(lambda: nn.Conv2d(3, 512, 1))
    for head, n_in, hidden in (
        (module.projector, 512, 512),
        (module.predictor, 128, 4096),
    ):
        kinds = [type(layer).__name__ for layer in head]
        assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
        n_weights = sum(weight.numel() for weight in head.parameters())
        # linear with bias, BatchNorm's scale and shift, linear with bias
        assert n_weights == n_in * hidden + hidden + 2 * hidden + hidden * 128 + 128


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"momentum": 1.0}, "'momentum' parameter of Cross"),
        ({"hidden_size": 0}, "'hidden_size' parameter of Cross"),
        ({"projection_size": 2.5}, "'projection_size' parameter of Cross"),
        ({"predictor_size": -1}, "'predictor_size' parameter of Cross"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        Cross(**parameters).resolve(INFO)
