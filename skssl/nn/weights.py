"""Find pretrained weights (by name, in a file, in an estimator) and load them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skssl.nn._networks import adapt_channels, first_convolution
from skssl.nn.families import LoadedWeights, family_of, find_family

__all__ = ["LoadedWeights", "fill", "load_weights"]

_SUFFIXES = (".pth", ".pt", ".safetensors")
_PREFIXES = ("module.", "backbone.", "network.")


def load_weights(
    weights: object, *, name: str, network: nn.Module, named: bool
) -> LoadedWeights:
    """Read weights, without loading them into a network.

    Parameters
    ----------
    weights : str, Path or FrozenEstimator
        "imagenet", the name of torchvision weights, a file, or a fitted estimator.
    name : str
        The backbone's name.
    network : nn.Module
        The network that they are for. Only the keys of its state dict are read.
    named : bool
        Whether the network was made by that name.

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
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            "weights must be None, 'imagenet', the name of torchvision weights, a path "
            f"to a state dict or a FrozenEstimator, got {type(weights).__name__}."
        )
    path = Path(weights)
    if weights == "imagenet" or not (path.suffix in _SUFFIXES or path.exists()):
        if named:
            return find_family(name).pretrained(name, str(weights))
        raise ValueError(
            f"weights={str(weights)!r} need a backbone given by its name; for the "
            f"module {name!r} give None, a path that exists, or a FrozenEstimator."
        )
    loaded = _from_file(path, network)
    state = family_of(network).adapt_state(network, loaded.state)
    if named and loaded.mean is None and _n_channels(network, state) == 3:
        # An RGB file without statistics was most likely trained from the default ones.
        normalization = find_family(name).normalization(name)
        loaded.mean, loaded.std = normalization or (None, None)
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
        If keys are missing, unexpected or of another shape.
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
            "backbone= and, for a ResNet, stem=."
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


def _from_file(path: Path, network: nn.Module) -> LoadedWeights:
    state = _read(path)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(value, torch.Tensor) for value in state.values())
    ):
        raise ValueError(
            f"weights file {path} must hold a state dict of tensors, bare or under the "
            "key 'state_dict'."
        )
    loaded = LoadedWeights(dict(state), source=str(path), origin=path.name)
    own = network.state_dict().keys()
    while not loaded.state.keys() & own:
        if {"mean", "std"} <= loaded.state.keys():  # the buffers of a saved Backbone
            loaded.mean = loaded.state.pop("mean").flatten()
            loaded.std = loaded.state.pop("std").flatten()
        keys = list(loaded.state)
        common = [p for p in _PREFIXES if keys and all(k.startswith(p) for k in keys)]
        if not common:
            break
        loaded.state = {
            key.removeprefix(common[0]): value for key, value in loaded.state.items()
        }
    return loaded


def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist.")
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise ImportError(
                f"weights file {path} needs safetensors: "
                "pip install skssl[safetensors]."
            ) from error
        read: Any = load_file
        options: dict[str, Any] = {}
    else:
        read, options = torch.load, {"map_location": "cpu", "weights_only": True}
    try:
        return read(path, **options)
    except Exception as error:  # the formats have no common error class
        raise ValueError(
            f"weights file {path} could not be read as a state dict of plain tensors: "
            f"{error}"
        ) from error
