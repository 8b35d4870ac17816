"""The blocks of a network, and which of its weights are trained."""

import re
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skssl.nn.families import sequence_types

__all__ = ["blocks", "check_trainable", "frozen_statistics", "trained_weights"]

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
_LAST = re.compile(r"last:([1-9]\d*)")


def check_trainable(
    trainable: object, name: str = "trainable", others: tuple[str, ...] = ()
) -> None:
    """Raise an error unless a value says which weights of a network are trained.

    Parameters
    ----------
    trainable : object
        "all", "last:K" with an int K above 0, or "norms".
    name : str
        Of the parameter, for the message.
    others : tuple of str
        Further values that are accepted.

    Raises
    ------
    ValueError
        For any other value.
    """
    known = isinstance(trainable, str) and (
        trainable in ("all", "norms", *others) or _LAST.fullmatch(trainable)
    )
    if not known:
        also = "".join(f"{other!r}, " for other in others)
        raise ValueError(
            f"{name} must be {also}'all', 'norms' or 'last:K' with a number of blocks "
            f"K above 0, got {trainable!r}."
        )


def trained_weights(network: nn.Module, trainable: str) -> list[nn.Parameter]:
    """Return the weights of a network that are trained.

    Parameters
    ----------
    network : nn.Module
    trainable : {"all", "last:K", "norms"}
        All weights, those of the last K `blocks`, or those of the normalisation layers.

    Raises
    ------
    ValueError
        If the network has fewer than K blocks, or no normalisation layer with weights.

    Examples
    --------
    >>> from torchvision.models import resnet18
    >>> from skssl.nn.blocks import trained_weights
    >>> sum(weight.numel() for weight in trained_weights(resnet18(), "norms"))
    9600
    """
    if trainable == "all":
        return list(network.parameters())
    if trainable == "norms":
        norms = [m for m in network.modules() if isinstance(m, _NORMS)]
        found = [weight for norm in norms for weight in norm.parameters(recurse=False)]
        if not found:
            raise ValueError(
                f"trainable='norms': {type(network).__name__} has no normalisation "
                "layer with weights."
            )
        return found
    count = int(trainable.removeprefix("last:"))
    in_order = blocks(network)
    if count > len(in_order):
        raise ValueError(
            f"trainable={trainable!r}: {type(network).__name__} has {len(in_order)} "
            "blocks."
        )
    return [weight for block in in_order[-count:] for weight in block]


def frozen_statistics(network: nn.Module) -> list[str]:
    """Return the names of the batch normalisations whose weights are all frozen."""
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and not any(weight.requires_grad for weight in module.parameters())
    ]


def blocks(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters of a network's blocks, from the images to the features.

    The children of sequences of layers, and of a vision transformer's encoder, are
    separate blocks; every other child is one block. Normalisation layers belong to the
    block before them, and parameters of the network itself to the block after them.

    Parameters
    ----------
    network : nn.Module

    Returns
    -------
    list of list of Parameter
        Each parameter of the network once.

    Examples
    --------
    >>> from torchvision.models import resnet18
    >>> [len(block) for block in blocks(resnet18())]
    [3, 6, 6, 9, 6, 9, 6, 9, 6, 2]
    """
    grouped: list[list[nn.Parameter]] = []
    for group in _groups(network, sequence_types()):
        if grouped and all(p.ndim == 1 for p in group):
            grouped[-1] += group
        else:
            grouped.append(group)
    return grouped


def _groups(
    module: nn.Module, sequences: tuple[type[nn.Module], ...]
) -> Iterator[list[nn.Parameter]]:
    """Yield the parameters of each child, of sequences those of each of their children.

    Sequences inside sequences are treated alike.
    """
    own = list(module.parameters(recurse=False))
    for child in module.children():
        is_sequence = isinstance(child, sequences)
        inner = _groups(child, sequences) if is_sequence else [child.parameters()]
        for group in map(list, inner):
            if group:
                yield own + group
                own = []
    if own:
        yield own
