"""Make networks by name, and take off or adapt their two ends: head, first layer."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torchvision import models

from skssl._names import unknown_name
from skssl.nn.crnet import CRNet
from skssl.nn.vits import SMALL_VITS, VIT_NAMES, make_vit

__all__ = [
    "OWN_NAMES",
    "adapt_channels",
    "change_stem",
    "first_convolution",
    "in_eval_mode",
    "make_network",
    "remove_head",
    "stem_of",
]

#: Networks by name that torchvision does not have.
OWN_NAMES = ("crnet", *SMALL_VITS)
# torchvision's classifiers keep their head under one of these names.
_HEADS = ("fc", "classifier", "head", "heads")
_AUXILIARY_HEADS = ("aux1", "aux2", "AuxLogits")


def make_network(name: str, image_size: tuple[int, int], in_channels: int) -> nn.Module:
    """Build the named network, randomly initialised, head included.

    CRNet takes ``in_channels``; all other networks take three.
    """
    if name == "crnet":
        return CRNet(in_channels=in_channels, image_size=image_size)
    if name in VIT_NAMES:
        return make_vit(name, image_size)
    known = models.list_models(module=models)
    if name not in known:
        raise unknown_name("backbone", name, [*known, *OWN_NAMES])
    options: dict[str, object] = {}
    if name in {"googlenet", "inception_v3"}:
        # Without init_weights torchvision warns, and draws another distribution.
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("maxvit"):
        options = {"input_size": image_size}
    try:
        return models.get_model(name, weights=None, **options)
    except ValueError as error:  # MaxViT checks its partitions
        raise ValueError(
            f"backbone {name!r} cannot be built for image_size={image_size}: {error}"
        ) from error


def remove_head(network: nn.Module) -> tuple[str, ...]:
    """Take the classification head off a torchvision network or CRNet, in place.

    Other modules, and networks whose head is off already, stay as they are: which of
    their linear layers is a head cannot be known.

    Returns
    -------
    tuple of str
        Prefixes of the state-dict keys that belong to a head.
    """
    origins = {kind.__module__ for kind in type(network).__mro__}
    if not isinstance(network, CRNet) and not any(
        origin.startswith("torchvision.models") for origin in origins
    ):
        return ()
    if isinstance(network, models.SqueezeNet):
        network.classifier = nn.AdaptiveAvgPool2d(1)
        return ("classifier.",)
    removed = []
    if isinstance(network, (models.GoogLeNet, models.Inception3)):
        network.aux_logits = False
        network.dropout = nn.Identity()
        for name in _AUXILIARY_HEADS:
            if hasattr(network, name):
                setattr(network, name, None)
            removed.append(f"{name}.")
    for name in _HEADS:
        head = getattr(network, name, None)
        if isinstance(head, nn.Linear):
            setattr(network, name, nn.Identity())
            removed.append(f"{name}.")
        elif isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            last = list(head._modules)[-1]
            head[-1] = nn.Identity()
            if len(head) > 1 and isinstance(head[-2], nn.Dropout):
                head[-2] = nn.Identity()
            removed.append(f"{name}.{last}.")
    return tuple(removed)


def stem_of(network: nn.Module) -> str | None:
    """Name the stem of a ResNet; None for every other network."""
    if not isinstance(network, models.ResNet):
        return None
    if network.conv1.kernel_size == (7, 7):
        return "imagenet"
    return "cifar" if isinstance(network.maxpool, nn.Identity) else "small"


def change_stem(network: nn.Module, stem: str) -> None:
    """Give a ResNet another stem, in place; new filters are drawn as torchvision's.

    Parameters
    ----------
    network : nn.Module
        The network.
    stem : {"imagenet", "small", "cifar"}
        7x7 convolution of stride 2 and max-pool, 3x3 of stride 1 and max-pool, or 3x3
        of stride 1 alone.
    """
    if stem_of(network) == stem or (stem == "imagenet" and stem_of(network) is None):
        return
    if not isinstance(network, models.ResNet):
        raise ValueError(
            f"stem={stem!r} needs a torchvision ResNet as backbone, got "
            f"{type(network).__name__}; use stem='auto'."
        )
    old = network.conv1
    kernel_px, stride = (7, 2) if stem == "imagenet" else (3, 1)
    if old.kernel_size != (kernel_px, kernel_px):
        network.conv1 = nn.Conv2d(
            old.in_channels,
            old.out_channels,
            kernel_px,
            stride=stride,
            padding=kernel_px // 2,
            bias=False,
            device=old.weight.device,
            dtype=old.weight.dtype,
        )
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out")
    network.maxpool = (
        nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, stride=2, padding=1)
    )


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Find the first convolution and its name, in the order of ``named_modules``."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    return None


@torch.no_grad()
def adapt_channels(network: nn.Module, n_channels: int, *, keep_response: bool) -> None:
    """Make the first convolution take ``n_channels``, in place.

    Parameters
    ----------
    network : nn.Module
        The network; without a convolution it stays as it is.
    n_channels : int
        Channels of the images.
    keep_response : bool
        True, for learned weights: each channel gets an equal share of the summed
        filter, so a gray image gives what its RGB replica gave. False, for random ones:
        each channel keeps a filter as it was drawn, so the weights keep their scale.
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
        share = weight.sum(1, keepdim=True) / n_channels
        new_weight = share.repeat(1, n_channels, 1, 1)
    else:
        drawn = torch.arange(n_channels, device=weight.device) % weight.shape[1]
        new_weight = weight[:, drawn]
    convolution.in_channels = n_channels
    convolution.weight = nn.Parameter(new_weight, requires_grad=weight.requires_grad)


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Set a module to eval mode, and give each of its parts its own mode back.

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
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
