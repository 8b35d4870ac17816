"""Adapt the first layer of a network, and set a network to eval mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = [
    "adapt_channels",
    "first_convolution",
    "has_parallel_stems",
    "in_eval_mode",
]


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Find the first convolution and its name, in the order of ``named_modules``."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    return None


@torch.no_grad()
def has_parallel_stems(network: nn.Module, image_size: tuple[int, int]) -> bool:
    """Return whether several convolutions get the images themselves, as in RepVGG.

    False for images that the network does not take.
    """
    found = first_convolution(network)
    if found is None:
        return False
    first = found[1]
    convolutions = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == first.in_channels
    ]
    if len(convolutions) < 2:
        return False
    images = first.weight.new_zeros((1, first.in_channels, *image_size))
    n_stems = 0

    def count(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal n_stems
        n_stems += inputs[0] is images

    handles = [module.register_forward_pre_hook(count) for module in convolutions]
    try:
        with in_eval_mode(network):
            network(images)
    except (AssertionError, IndexError, RuntimeError, ValueError):
        return False  # the check of the size says what is wrong
    finally:
        for handle in handles:
            handle.remove()
    return n_stems > 1


@torch.no_grad()
def adapt_channels(network: nn.Module, n_channels: int, *, keep_response: bool) -> None:
    """Make the first convolution take ``n_channels``, in place.

    Parameters
    ----------
    network : nn.Module
        The network. It is not changed if it has no convolution.
    n_channels : int
        Channels of the images.
    keep_response : bool
        True for trained weights: the filter is summed over its channels and divided
        equally among the new ones, so that a grayscale image gives the features of its
        RGB replica. False for random weights: each channel keeps a filter as drawn,
        so that the weights keep their scale.

    Raises
    ------
    ValueError
        If the first convolution has groups.
    """
    found = first_convolution(network)
    if found is None or found[1].in_channels == n_channels:
        return
    name, convolution = found
    if convolution.groups != 1:
        raise ValueError(
            f"backbone's first convolution {name!r} takes {convolution.in_channels} "
            f"channels in {convolution.groups} groups and cannot be adapted to images "
            f"of {n_channels} channels."
        )
    weight = convolution.weight  # (c_out, c_in, h, w)
    if keep_response:
        mean_filter = weight.sum(1, keepdim=True) / n_channels  # (c_out, 1, h, w)
        new_weight = mean_filter.repeat(1, n_channels, 1, 1)
    else:
        channels = torch.arange(n_channels, device=weight.device) % weight.shape[1]
        new_weight = weight[:, channels]
    convolution.in_channels = n_channels
    convolution.weight = nn.Parameter(new_weight, requires_grad=weight.requires_grad)


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Set a module to eval mode; afterwards restore the mode of each submodule.

    Parameters
    ----------
    module : nn.Module

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import in_eval_mode
    >>> layer = torch.nn.Dropout().train()
    >>> with in_eval_mode(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes.items():
            submodule.training = training
