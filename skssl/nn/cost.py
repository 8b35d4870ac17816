"""How a network spends its time."""

import torch
from torch import nn

from skssl.nn._networks import in_eval_mode
from skssl.nn.backbones import Backbone

__all__ = ["depthwise_fraction"]


@torch.no_grad()
def depthwise_fraction(backbone: Backbone, image_size: tuple[int, int]) -> float:
    """Return the fraction of a network's outputs that depthwise convolutions make.

    Such convolutions multiply little and move much memory, so that they gain nothing
    from a narrower number format.

    Parameters
    ----------
    backbone : Backbone
        Its modes and batch statistics do not change.
    image_size : (height, width)
        Pixels.

    Returns
    -------
    float
        Among the output values of all convolutions and linear layers, in [0, 1].

    Examples
    --------
    >>> from skssl.nn import build_backbone
    >>> from skssl.nn.cost import depthwise_fraction
    >>> resnet = build_backbone("resnet18", in_channels=1, image_size=(64, 64))
    >>> depthwise_fraction(resnet, (64, 64))
    0.0
    """
    layers = [
        module
        for module in backbone.network.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    if not any(map(_is_depthwise, layers)):
        return 0.0
    n_outputs = {True: 0, False: 0}  # by whether the layer is depthwise

    def count(module: nn.Module, _args: object, output: torch.Tensor) -> None:
        n_outputs[_is_depthwise(module)] += output.numel()

    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with in_eval_mode(backbone):
            backbone(backbone.mean.new_zeros((1, backbone.n_channels, *image_size)))
    finally:
        for handle in handles:
            handle.remove()
    return n_outputs[True] / max(1, sum(n_outputs.values()))


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels
