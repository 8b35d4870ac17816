"""Optimizers by name, with weight decay where it belongs."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import torch
from torch import nn

from skssl._names import unknown_name
from skssl.nn import blocks

OptimizerLike = str | Callable[..., torch.optim.Optimizer]

# name -> (class, its fixed settings, default learning rate)
_OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict, float]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9}, 3e-2),
    "adam": (torch.optim.Adam, {}, 5e-4),
    "adamw": (torch.optim.AdamW, {}, 1e-3),
    "rmsprop": (torch.optim.RMSprop, {}, 1e-4),
}


def find_optimizer(
    optimizer: OptimizerLike, *others: str
) -> tuple[Callable[..., torch.optim.Optimizer], dict[str, Any], float]:
    """Return what makes an optimizer, its fixed settings and its default rate.

    Parameters
    ----------
    optimizer : str or callable
        As in `make_optimizer`.
    *others : str
        Further names that the message about an unknown one lists.

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the nearest one.
    """
    if not isinstance(optimizer, str):
        return optimizer, {}, 1e-3
    if optimizer not in _OPTIMIZERS:
        raise unknown_name("optimizer", optimizer, [*others, *_OPTIMIZERS])
    return _OPTIMIZERS[optimizer]


def make_optimizer(
    optimizer: OptimizerLike,
    module: nn.Module,
    *,
    lr: float | None,
    weight_decay: float,
    lr_factors: Mapping[nn.Parameter, float] | None = None,
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
    lr_factors : mapping of Parameter to float, optional
        Factors on ``lr`` of parameters that have another than 1.

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the nearest one.
    """
    make, settings, default_lr = find_optimizer(optimizer)
    lr = default_lr if lr is None else lr
    grouped = defaultdict(list)  # by (factor, whether decayed)
    for weight in module.parameters():
        if weight.requires_grad:
            factor = (lr_factors or {}).get(weight, 1.0)
            grouped[factor, weight.ndim > 1].append(weight)
    groups: list[dict[str, Any]] = []
    # The highest rate, which the history shows, first; decayed weights before others.
    for (factor, decayed), weights in sorted(
        grouped.items(), key=itemgetter(0), reverse=True
    ):
        group: dict[str, Any] = {"params": weights}
        if factor != 1:
            group["lr"] = lr * factor
        if not decayed:
            group["weight_decay"] = 0.0
        groups.append(group)
    return make(groups, lr=lr, weight_decay=weight_decay, **settings)


def layer_factors(network: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """Return the factor on the learning rate of each parameter where it is not 1.

    Examples
    --------
    >>> from torch import nn
    >>> factors = layer_factors(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(1, 1)), 0.5)
    >>> list(factors.values())
    [0.25, 0.25, 0.5, 0.5]
    """
    if decay == 1:
        return {}
    in_order = blocks(network)
    return {
        weight: decay ** (len(in_order) - place)
        for place, block in enumerate(in_order)
        for weight in block
    }
