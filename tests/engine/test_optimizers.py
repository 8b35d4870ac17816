"""Optimizers by name or class, with weight decay on matrices and kernels alone."""

from functools import partial

import pytest
import torch
from torch import nn

from skssl.engine.optimizers import make_optimizer


@pytest.fixture
def module():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("name", "kind", "lr"),
    [
        ("sgd", torch.optim.SGD, 0.03),
        ("adam", torch.optim.Adam, 5e-4),
        ("adamw", torch.optim.AdamW, 1e-3),
        ("rmsprop", torch.optim.RMSprop, 1e-4),
        (torch.optim.NAdam, torch.optim.NAdam, 1e-3),
        (partial(torch.optim.SGD, nesterov=True, momentum=0.5), torch.optim.SGD, 1e-3),
    ],
)
def test_kinds_and_default_rates(module, name, kind, lr):
    optimizer = make_optimizer(name, module, lr=None, weight_decay=0.1)
    assert type(optimizer) is kind
    assert {group["lr"] for group in optimizer.param_groups} == {lr}


def test_weight_decay_spares_norms_and_biases(module):
    optimizer = make_optimizer("sgd", module, lr=1.0, weight_decay=0.1)
    decay = {
        id(p): group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    convolution, norm, linear = module
    assert decay[id(convolution.weight)] == decay[id(linear.weight)] == 0.1
    for spared in (convolution.bias, norm.weight, norm.bias, linear.bias):
        assert decay[id(spared)] == 0.0
    assert optimizer.defaults["momentum"] == 0.9


def test_frozen_parameters_are_left_out(module):
    module[0].requires_grad_(False)
    optimizer = make_optimizer("adam", module, lr=None, weight_decay=0.0)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert id(module[0].weight) not in held
    assert len(held) == 4


def test_unknown_name_gets_the_nearest(module):
    with pytest.raises(ValueError, match=r"optimizer='adamx' is unknown.*'adam"):
        make_optimizer("adamx", module, lr=None, weight_decay=0.0)
