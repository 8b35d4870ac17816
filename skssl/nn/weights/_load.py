"""Read weights by name, from a file or an estimator, and load them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skssl.nn._networks import adapt_channels, first_convolution
from skssl.nn.families import LoadedWeights, family_of, find_family
from skssl.nn.families._modules import XRAYVISION
from skssl.nn.weights._file import SUFFIXES, WeightsFile, read_tensors
from skssl.nn.weights._layout import by_order, find_network, with_prefix

__all__ = ["fill", "load_weights"]

# torchxrayvision's networks have this buffer.
_THRESHOLDS = "op_threshs"


class Head(NamedTuple):
    """What was removed from a network: the head.

    Attributes
    ----------
    prefixes : tuple of str
        Of the keys of its tensors.
    shapes : dict of str to Size
        Of all tensors of the network while it had its head, in order.
    """

    prefixes: tuple[str, ...]
    shapes: dict[str, torch.Size]


def load_weights(
    weights: object,
    *,
    name: str,
    network: nn.Module,
    named: bool,
    head: Head,
) -> LoadedWeights:
    """Read weights, without loading them into a network.

    Parameters
    ----------
    weights : str, Path, WeightsFile or FrozenEstimator
        "imagenet", "pretrained", the name of torchvision weights, a file, or a fitted
        estimator.
    name : str
        The backbone's name.
    network : nn.Module
        The network that they are for. Only the keys of its state dict are read.
    named : bool
        Whether the network was made by that name.
    head : Head
        What was removed from the network.

    Returns
    -------
    LoadedWeights
        The state dict, its origin, and its normalisation where that is known.

    Raises
    ------
    ValueError
        If the name or file is wrong, or the estimator's backbone has another name.
    TypeError
        If ``weights`` is of another type, or is an estimator that is not frozen.
    FileNotFoundError
        If the file does not exist.
    OSError
        If torchvision's weights cannot be downloaded.
    sklearn.exceptions.NotFittedError
        If the frozen estimator is not fitted.
    ImportError
        If the file needs safetensors, which is not installed.
    """
    if isinstance(weights, FrozenEstimator):
        return _from_estimator(weights.estimator, name)
    if hasattr(weights, "fit"):
        kind = type(weights).__name__
        raise TypeError(
            f"weights got a bare {kind}. scikit-learn's searches and pipelines clone "
            "every estimator that is a parameter, and a clone is unfitted. Fit it and "
            "wrap it: weights=FrozenEstimator(fitted), from sklearn.frozen."
        )
    if not isinstance(weights, (str, os.PathLike, WeightsFile)):
        raise TypeError(
            "weights must be None, 'imagenet', 'pretrained', 'own', the name of "
            "torchvision weights, a path to a state dict, a WeightsFile or a "
            f"FrozenEstimator, got {type(weights).__name__}."
        )
    if not isinstance(weights, WeightsFile):
        path = Path(weights)
        is_name = weights in ("imagenet", "pretrained")
        if is_name or not (path.suffix in SUFFIXES or path.exists()):
            if named:
                return find_family(name).pretrained(name, str(weights))
            raise ValueError(
                f"weights={str(weights)!r} need a backbone given by its name; for the "
                f"module {name!r} give None, 'own', a path that exists, or a "
                "FrozenEstimator."
            )
        weights = WeightsFile(path)
    loaded = _from_file(weights, network, head)
    if loaded.mean is None and _n_channels(network, loaded.state) == 3:
        # An RGB file without statistics was most likely trained from the default ones.
        known = (
            find_family(name).normalization(name)
            if named
            else family_of(network).own_normalization(network)
        )
        loaded.mean, loaded.std = known or (None, None)
    return loaded


def fill(
    network: nn.Module, loaded: LoadedWeights, head_prefixes: tuple[str, ...]
) -> None:
    """Load a state dict into a network without a head.

    The network's first convolution takes the file's channel count, and the network's
    family adapts old layouts and other image sizes. All else must fit.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.
    loaded : LoadedWeights
        The weights.
    head_prefixes : tuple of str
        Keys that start with one of these belong to a head and are ignored.

    Raises
    ------
    ValueError
        If keys are missing, unexpected or of another shape, a weight is not finite, or
        a variance is negative.
    """
    state = {
        key: value
        for key, value in loaded.state.items()
        if not key.startswith(head_prefixes)
    }
    state = family_of(network).adapt_state(network, state)
    n_channels = _n_channels(network, state)
    if n_channels is not None:
        adapt_channels(network, n_channels, keep_response=False)
    _check_keys(network, state, loaded.source)
    _check_values(network, state, loaded.source)
    network.load_state_dict(state, strict=False)


def _n_channels(network: nn.Module, state: Mapping[str, torch.Tensor]) -> int | None:
    """Return the channels of the state dict's first convolution, if it has one."""
    found = first_convolution(network)
    kernel = state.get(f"{found[0]}.weight") if found else None
    if found is None or kernel is None or kernel.ndim != 4:
        return None
    return kernel.shape[1] * found[1].groups  # (c_out, c_in / groups, h, w)


def _check_keys(
    network: nn.Module, state: Mapping[str, torch.Tensor], source: str
) -> None:
    """Raise an error if keys or shapes differ. Batch counts may be missing."""
    own = network.state_dict()
    needed = {key for key in own if not key.endswith("num_batches_tracked")}
    problems = {
        "missing": sorted(needed - state.keys()),
        "unexpected": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    found = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})"
        for what, keys in problems.items()
        if keys
    ]
    if found:
        raise ValueError(
            f"weights from {source} do not fit the backbone: {'; '.join(found)}. Check "
            "backbone= and, for a ResNet, stem=. Of several networks in a file, "
            "skssl.nn.WeightsFile(path, prefix=...) selects one."
        )


def _check_values(
    network: nn.Module, state: Mapping[str, torch.Tensor], source: str
) -> None:
    """Raise an error for values that no trained network has."""
    own = network.state_dict()
    for key, value in state.items():
        if own[key].is_floating_point() and not value.is_floating_point():
            raise ValueError(
                f"weights from {source} are not numbers of a network: {key!r} holds "
                f"{value.dtype}, where floating-point numbers are expected."
            )
        if not value.isfinite().all():
            raise ValueError(
                f"weights from {source} are not finite: {key!r} holds NaN or infinity."
            )
        if key.endswith("running_var") and (value < 0).any():
            raise ValueError(
                f"weights from {source} cannot be right: {key!r} holds a negative "
                "variance."
            )


def _from_estimator(estimator: Any, name: str) -> LoadedWeights:
    check_is_fitted(
        estimator,
        "backbone_",
        msg="weights=FrozenEstimator(...) holds a %(name)s without backbone_: fit it "
        "before you freeze it.",
    )
    backbone = estimator.backbone_
    if backbone.name != name:
        raise ValueError(
            f"weights hold the fitted backbone {backbone.name!r}, but backbone is "
            f"{name!r}: both must be the same."
        )
    source = f"FrozenEstimator({type(estimator).__name__})"
    return LoadedWeights(
        state=backbone.network.state_dict(),
        source=source,
        origin=source if backbone.is_trained else None,
        mean=backbone.mean.flatten(),
        std=backbone.std.flatten(),
        stem=backbone.stem,
    )


def _from_file(file: WeightsFile, network: nn.Module, head: Head) -> LoadedWeights:
    """Read the tensors of a network from a file, in the network's layout."""
    path = Path(file.path)
    tensors = read_tensors(path)
    found = ""
    if file.prefix is not None:
        tensors = with_prefix(tensors, file.prefix, str(path))
    if file.by_order:
        state = by_order(tensors, head.shapes, head.prefixes, str(path))
    else:
        found, state = find_network(tensors, network, str(path))
    loaded = LoadedWeights(state, source=str(path), origin=path.name)
    if file.mean is not None and file.std is not None:
        loaded.mean, loaded.std = torch.tensor(file.mean), torch.tensor(file.std)
    elif _THRESHOLDS in state:
        loaded.mean, loaded.std = (torch.tensor([value]) for value in XRAYVISION)
    elif found.endswith("network."):  # of a saved Backbone, which has these, too
        outside = found.removesuffix("network.")
        mean, std = (tensors.get(f"{outside}{name}") for name in ("mean", "std"))
        if mean is not None and std is not None:
            loaded.mean, loaded.std = mean.flatten(), std.flatten()
    loaded.state = {k: v for k, v in state.items() if k != _THRESHOLDS}
    return loaded
