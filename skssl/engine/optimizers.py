"""Optimizers by name, with weight decay where it belongs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from skssl._names import unknown_name

OptimizerLike = str | Callable[..., torch.optim.Optimizer]

# name -> (class, its fixed settings, default learning rate)
_OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict, float]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9}, 3e-2),
    "adam": (torch.optim.Adam, {}, 5e-4),
    "adamw": (torch.optim.AdamW, {}, 1e-3),
    "rmsprop": (torch.optim.RMSprop, {}, 1e-4),
}


def make_optimizer(
    optimizer: OptimizerLike,
    module: nn.Module,
    *,
    lr: float | None,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Build an optimizer over the trainable parameters of a module.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "rmsprop"} or callable
        A callable takes (parameter groups, lr=, weight_decay=), as torch's classes do;
        ``functools.partial`` sets what else they take.
    module : Module
    lr : float or None
        Learning rate; None is 0.03 for SGD (momentum 0.9), 5e-4 for Adam, 1e-3 for
        AdamW and callables, 1e-4 for RMSprop.
    weight_decay : float
        Applied to matrices and kernels; biases and the scales and shifts of
        normalisation layers get none.

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the nearest one.
    """
    make: Callable[..., torch.optim.Optimizer]
    settings: dict[str, Any]
    if not isinstance(optimizer, str):
        make, settings, default_lr = optimizer, {}, 1e-3
    elif optimizer in _OPTIMIZERS:
        make, settings, default_lr = _OPTIMIZERS[optimizer]
    else:
        # The estimator resolves "auto" before.
        raise unknown_name("optimizer", optimizer, ["auto", *_OPTIMIZERS])
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return make(
        [group for group in groups if group["params"]],
        lr=default_lr if lr is None else lr,
        weight_decay=weight_decay,
        **settings,
    )
