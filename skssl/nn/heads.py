"""Projection and prediction heads."""

from collections.abc import Callable
from functools import partial

from torch import nn

__all__ = ["mlp"]

_RELU = partial(nn.ReLU, inplace=True)


def mlp(
    n_in: int,
    hidden: int,
    n_out: int,
    *,
    n_layers: int = 2,
    batch_norm: bool = True,
    bias_out: bool = True,
    batch_norm_out: bool = False,
    activation: Callable[[], nn.Module] = _RELU,
) -> nn.Sequential:
    """Make a multilayer perceptron, the usual head of self-supervised methods.

    Parameters
    ----------
    n_in, hidden, n_out : int
        Widths of the input, of every hidden layer, and of the output.
    n_layers : int, default=2
        Number of linear layers, at least 1; with 1, ``hidden`` is not used.
    batch_norm : bool, default=True
        Apply batch normalisation between each hidden linear layer and its activation.
    bias_out : bool, default=True
        Whether the last linear layer has a bias. Hidden ones always have one.
    batch_norm_out : bool, default=False
        Whether to end with a batch normalisation without scale and shift.
    activation : callable, default=ReLU
        Returns the module after each hidden layer.

    Returns
    -------
    nn.Sequential
        Maps (n, n_in) to (n, n_out).

    Raises
    ------
    ValueError
        If ``n_layers`` is below 1.

    Examples
    --------
    >>> from skssl.nn import mlp
    >>> [type(layer).__name__ for layer in mlp(512, 2048, 128)]
    ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}.")
    layers: list[nn.Module] = []
    for _ in range(n_layers - 1):
        layers.append(nn.Linear(n_in, hidden))
        if batch_norm:
            layers.append(nn.BatchNorm1d(hidden))
        layers.append(activation())
        n_in = hidden
    layers.append(nn.Linear(n_in, n_out, bias=bias_out))
    if batch_norm_out:
        layers.append(nn.BatchNorm1d(n_out, affine=False))
    return nn.Sequential(*layers)
