"""BYOL: loss, gradient and moving average against computations by hand."""

from copy import deepcopy
from math import cos, pi

import numpy as np
import pytest
import torch
from torch import nn

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.byol import BYOL
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=9, n_channels=1, image_size=(16, 16), batch_size=6)


def make(network=tiny_cnn, **parameters):
    task = BYOL(**{"hidden_size": 7, "projection_size": 5, **parameters}).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(network, in_channels=1, image_size=(16, 16))
        return task.build(backbone, INFO).train()


def random_views(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def squared_distance(a, b):
    """Equation 2 of Grill et al. 2020, row by row in float64."""
    rows = []
    for x, y in zip(a, b, strict=True):
        apart = x / np.sqrt(x @ x) - y / np.sqrt(y @ y)
        rows.append(sum(side**2 for side in apart))
    return float(np.mean(rows))


def move_target_away(module):
    """Make the target another network, as it is after a step."""
    with isolated_rng(1), torch.no_grad():
        for copy in (module.target_backbone, module.target_projector):
            for weight in copy.parameters():
                weight.mul_(1 + torch.rand_like(weight))


@pytest.mark.parametrize("normalize_output", [False, True])
@pytest.mark.parametrize("n", [3, 6])
def test_loss_equals_the_formula(n, normalize_output):
    module = make(normalize_output=normalize_output)
    assert isinstance(module.projector[-1], nn.BatchNorm1d) == normalize_output
    views = random_views(n, 0)
    move_target_away(module)
    double = deepcopy(module).double()
    loss = module(views, torch.arange(n))
    p, target = [], []
    with torch.no_grad():
        for view in views:
            z = double.projector(double.backbone(view.double()))
            p.append(double.predictor(z).numpy())
            y = double.target_backbone(view.double())
            target.append(double.target_projector(y).numpy())
    expected = squared_distance(p[0], target[1]) + squared_distance(p[1], target[0])
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_reaches_the_network_and_not_the_target():
    module = make()
    module(random_views(6, 0), torch.arange(6)).backward()
    for name, weight in module.named_parameters():
        if name.startswith("target_"):
            assert weight.grad is None, name
        elif name not in {"projector.0.bias", "predictor.0.bias"}:
            # BatchNorm takes the bias before it away again.
            assert weight.grad.abs().sum() > 0, name


def test_target_follows_with_a_momentum_that_rises_to_1():
    module = make(momentum=0.9)
    target = (module.target_backbone.module, module.target_projector.module)
    expected = [w.clone() for part in target for w in part.parameters()]
    for step, n in enumerate((3, 6, 2, 5), start=1):
        module(random_views(n, step), torch.arange(n))
        network = [*module.backbone.parameters(), *module.projector.parameters()]
        with torch.no_grad():
            for weight in network:
                weight.add_(0.1 * step)
        module.after_step(step / 4)
        m = 1 - (1 - 0.9) * (cos(pi * step / 4) + 1) / 2
        expected = [
            m * old + (1 - m) * new.detach()
            for old, new in zip(expected, network, strict=True)
        ]
    moved = [w for part in target for w in part.parameters()]
    for weight, by_hand in zip(moved, expected, strict=True):
        torch.testing.assert_close(weight, by_hand)


@pytest.mark.parametrize(("progress", "share"), [(1e-6, 0.04), (0.5, 0.02), (1.0, 0.0)])
def test_momentum_is_that_of_the_cosine(progress, share):
    module = make(momentum=0.96)
    with torch.no_grad():
        module.projector[0].bias.fill_(1.0)
        module.target_projector.module[0].bias.zero_()
    module.after_step(progress)
    moved = module.target_projector.module[0].bias
    torch.testing.assert_close(moved, torch.full((7,), share), atol=1e-6, rtol=1e-5)


def test_heads_have_the_papers_sizes_when_asked_for():
    module = make(
        lambda: nn.Conv2d(3, 512, 1),
        hidden_size=4096,
        projection_size=256,
        normalize_output=False,
    )
    hidden = 4096 + 2 * 4096  # bias of the linear layer; BatchNorm's scale and shift
    for head, n_in in ((module.projector, 512), (module.predictor, 256)):
        kinds = [type(layer).__name__ for layer in head]
        assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
        n_weights = sum(weight.numel() for weight in head.parameters())
        assert n_weights == n_in * 4096 + hidden + 4096 * 256


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"momentum": 1.0}, "'momentum' parameter of BYOL"),
        ({"hidden_size": 0}, "'hidden_size' parameter of BYOL"),
        ({"projection_size": 2.5}, "'projection_size' parameter of BYOL"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        BYOL(**parameters).resolve(INFO)
