"""Which images a network takes, and how many features it gives for them."""

import math
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from skssl.nn._networks import in_eval_mode
from skssl.nn.backbones import Backbone
from skssl.nn.families import family_of

__all__ = ["check_takes_size", "features_at"]

# Logarithms of ratios of aspect ratios.
_SAME_SHAPE, _OTHER_SHAPE = math.log(1.1), math.log(2)


@torch.no_grad()
def features_at(network: nn.Module, n_channels: int, size: tuple[int, int]) -> int:
    """Return the width of a network's features for images of one size.

    One image of zeros passes in eval mode. Modes and batch statistics do not change.

    Parameters
    ----------
    network : nn.Module
        Maps images (n, n_channels, height, width) to features (n, d) or to maps
        (n, d, h, w), for example a `Backbone`.
    n_channels : int
    size : (height, width)
        Pixels.

    Returns
    -------
    int
        The width d.

    Raises
    ------
    ValueError
        If the network cannot take such images, or gives anything else. The message
        says why and is meant to follow the caller's own words.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn.sizes import features_at
    >>> features_at(torch.nn.Conv2d(1, 4, kernel_size=3), 1, (8, 8))
    4
    """
    like = next(_float_tensors(network), torch.zeros(()))
    images = like.new_zeros((1, n_channels, *size))
    body, images = (
        (network.network, network.normalize(images))
        if isinstance(network, Backbone)
        else (network, images)
    )
    try:
        with in_eval_mode(network):
            output = body(images)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"they may be too small, or of another size than it was built for: {error}"
        ) from error
    if isinstance(output, Tensor) and output.numel() == 0:
        raise ValueError("nothing is left of them after its pooling")
    width = family_of(body).pool(body, output).shape[1]
    if isinstance(output, Tensor) and output.ndim == 4 and width == output.shape[1]:
        _check_layout(output, size)
    return width


def _check_layout(maps: Tensor, size: tuple[int, int]) -> None:
    """Raise an error for maps (n, h, w, d), which have the shape of images first."""
    _, first, second, last = maps.shape
    expected = size[0] / size[1]
    as_channels_last = abs(math.log(first / second / expected))
    as_channels_first = abs(math.log(second / last / expected))
    if as_channels_last < _SAME_SHAPE and as_channels_first > _OTHER_SHAPE:
        raise ValueError(
            f"it gives maps of shape {tuple(maps.shape)}, which seem to be "
            "(n, h, w, d): it must give (n, d, h, w)"
        )


def check_takes_size(backbone: Backbone, size: tuple[int, int], method: str) -> None:
    """Raise an error unless a backbone gives as many features at another image size.

    Parameters
    ----------
    backbone : Backbone
        Its modes and batch statistics do not change.
    size : (height, width)
        Size of the images that the method passes to it, pixels.
    method : str
        Name of the method, for the message.

    Raises
    ------
    ValueError
        If the backbone fails on images of this size, or the width of its features is
        not ``backbone.n_features``.

    Examples
    --------
    >>> from skssl.nn import build_backbone
    >>> from skssl.nn.sizes import check_takes_size
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(64, 64))
    >>> check_takes_size(backbone, (32, 32), "jigsaw")
    """
    try:
        width = features_at(backbone, backbone.n_channels, size)
        if width != backbone.n_features:
            raise ValueError(
                f"it gives {width} features instead of {backbone.n_features}"
            )
    except ValueError as error:
        raise ValueError(
            f"{method} feeds the backbone images of {size[0]} x {size[1]} px, which "
            f"{backbone.name!r} cannot take: {error}; choose a network that averages "
            "its maps, such as backbone='resnet18'."
        ) from error


def _float_tensors(network: nn.Module) -> Iterator[Tensor]:
    """Yield parameters, then buffers, whose device and dtype images should have."""
    tensors = chain(network.parameters(), network.buffers())
    return (tensor for tensor in tensors if tensor.is_floating_point())
