"""Outputs of an image that do not depend on the images beside it, to the last bit."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

__all__ = ["apply_independently"]

# Layers whose kernels treat each image of a batch alike, wherever it stands in it.
_SAFE_IN_BATCHES = (_ConvNd, _BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.PReLU)


class _LinearByImage(TorchFunctionMode):
    """Apply linear layers to one image at a time.

    Matrix products of several rows may differ in the last bit from row to row: MKL
    computes the rows at the edge of a block, or of a thread's part, in another order.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.linear or not args or args[0].ndim < 2:
            return func(*args, **kwargs)
        images, *weights = args
        # Copies, since the order of summation may also follow the alignment in memory.
        outputs = [func(image.clone(), *weights, **kwargs) for image in images.split(1)]
        return torch.cat(outputs)


def apply_independently(
    network: nn.Module,
    images: Tensor,
    function: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Apply a network so that each image's output has the same bits in any company.

    Parameters
    ----------
    network : Module
        In eval mode, on the CPU. If it owns no other weights than those of
        convolutions, normalisation and linear layers, the images pass as one batch,
        and linear layers are applied to one image at a time. Any other network, such as
        a vision transformer, gets one image at a time.
    images : Tensor of shape (n, ...)
        Of one size of batch in all calls that are compared, since kernels are chosen by
        the shape of the batch.
    function : callable, optional
        What is applied, made of the network's layers. Default: the network itself.

    Returns
    -------
    Tensor of shape (n, ...)

    Examples
    --------
    >>> layer = nn.Linear(8, 2)
    >>> rows = torch.rand(16, 8)
    >>> together = apply_independently(layer, rows)
    >>> bool((apply_independently(layer, rows.flip(0)).flip(0) == together).all())
    True
    """
    function = network if function is None else function
    if _is_convolutional(network):
        with _LinearByImage():
            return function(images)
    return torch.cat([function(image.clone()) for image in images.split(1)])


def _is_convolutional(network: nn.Module) -> bool:
    """Return whether only convolutions, norms and linear layers own weights."""
    safe = (*_SAFE_IN_BATCHES, nn.Linear)
    return all(
        isinstance(module, safe)
        for module in network.modules()
        if next(module.parameters(recurse=False), None) is not None
    )
