"""Find pretrained weights (torchvision, file, fitted estimator) and load them."""

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torchvision import models

from skssl.nn._networks import OWN_NAMES, adapt_channels, first_convolution
from skssl.nn.vit import fit_positions

__all__ = ["LoadedWeights", "fill", "load_weights"]

_SUFFIXES = (".pth", ".pt", ".safetensors")
_PREFIXES = ("module.", "backbone.", "network.")


@dataclass
class LoadedWeights:
    """A state dict and what is known about it.

    Attributes
    ----------
    state : dict of str to Tensor
        Weights of a whole network, with or without its head.
    origin : str
        Where they come from, for messages.
    mean, std : Tensor of shape (c,), or None
        The normalisation of the images that they were trained with, where known.
    stem : str or None
        The stem of the ResNet that they were trained in, where known.
    """

    state: dict[str, torch.Tensor]
    origin: str
    mean: torch.Tensor | None = None
    std: torch.Tensor | None = None
    stem: str | None = None


def load_weights(
    weights: object, *, name: str, network: nn.Module, named: bool
) -> LoadedWeights:
    """Read weights, without putting them into a network yet.

    Parameters
    ----------
    weights : str, Path or FrozenEstimator
        "imagenet", the name of torchvision weights, a file, or a fitted estimator.
    name : str
        The backbone's name.
    network : nn.Module
        The network that they are for; only its state-dict keys are read.
    named : bool
        Whether the backbone was asked for by name.

    Returns
    -------
    LoadedWeights
        The state dict, with its normalisation where that is known.

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
        return _from_torchvision(str(weights), name, named)
    loaded = _from_file(path, network)
    if named and loaded.mean is None and _n_channels(network, loaded.state) == 3:
        # An RGB file without statistics most likely descends from torchvision's.
        loaded.mean, loaded.std = _torchvision_normalization("DEFAULT", name)
    return loaded


def fill(
    network: nn.Module, loaded: LoadedWeights, head_prefixes: tuple[str, ...]
) -> None:
    """Load a state dict into a network without a head; anything else must fit.

    The network's first convolution takes the file's channel count; a vision
    transformer's position embeddings are interpolated to the network's image size.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.
    loaded : LoadedWeights
        The weights.
    head_prefixes : tuple of str
        Keys that begin so belong to a head and are ignored.

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
    embeddings = state.get("encoder.pos_embedding")
    if isinstance(network, models.VisionTransformer) and embeddings is not None:
        state["encoder.pos_embedding"] = fit_positions(network, embeddings)
    n_channels = _n_channels(network, state)
    if n_channels is not None:
        adapt_channels(network, n_channels, keep_response=False)
    _check_keys(network, state, loaded.origin)
    # MNASNet reads the version of its layout from the metadata; batch normalisation
    # must find none there, so that it accepts old files without batch counts.
    versioned: Any = OrderedDict(state)
    versioned._metadata = {"": {"version": network._version}}
    network.load_state_dict(versioned, strict=False)


def _n_channels(network: nn.Module, state: Mapping[str, torch.Tensor]) -> int | None:
    """Channels that the state dict's first convolution takes, if it has one."""
    found = first_convolution(network)
    kernel = state.get(f"{found[0]}.weight") if found else None
    if found is None or kernel is None or kernel.ndim != 4:
        return None
    return kernel.shape[1] * found[1].groups  # (c_out, c_in / groups, h, w)


def _check_keys(
    network: nn.Module, state: Mapping[str, torch.Tensor], origin: str
) -> None:
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
            f"weights from {origin} do not fit the backbone: {'; '.join(found)}. Check "
            "backbone= and, for a ResNet, stem=."
        )


def _from_estimator(estimator: Any, name: str) -> LoadedWeights:
    check_is_fitted(
        estimator,
        "backbone_",
        msg="weights=FrozenEstimator(...) holds a %(name)s without backbone_: fit it "
        "before it is frozen.",
    )
    backbone = estimator.backbone_
    if backbone.name != name:
        raise ValueError(
            f"weights hold the fitted backbone {backbone.name!r}, but backbone is "
            f"{name!r}: both must be the same."
        )
    return LoadedWeights(
        state=backbone.network.state_dict(),
        origin=f"FrozenEstimator({type(estimator).__name__})",
        mean=backbone.mean.flatten(),
        std=backbone.std.flatten(),
        stem=backbone.stem,
    )


def _from_torchvision(weights: str, name: str, named: bool) -> LoadedWeights:
    if not named or name in OWN_NAMES:
        raise ValueError(
            f"weights={weights!r} exist only for torchvision models asked for by name; "
            f"for backbone {name!r} give None, a path that exists, or a "
            "FrozenEstimator."
        )
    choices = models.get_model_weights(name).__members__
    key = "DEFAULT" if weights == "imagenet" else weights
    if key not in choices:
        raise ValueError(
            f"weights must be None, 'imagenet', one of {sorted(choices)}, a path that "
            f"exists, or a FrozenEstimator for backbone {name!r}, got {weights!r}."
        )
    try:  # torchvision's own builder knows the old layouts of some of its files
        network = models.get_model(name, weights=choices[key])
    except OSError as error:  # URLError is one
        raise OSError(
            f"weights={weights!r}: {choices[key]} could not be downloaded ({error}). "
            "Give weights= the path of a state dict, or None for random weights."
        ) from error
    mean, std = _torchvision_normalization(key, name)
    return LoadedWeights(network.state_dict(), f"torchvision {weights!r}", mean, std)


def _torchvision_normalization(
    key: str, name: str
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    if name in OWN_NAMES:
        return None, None
    if name in {"googlenet", "inception_v3"}:
        # Trained with this; torchvision converts inside the network, which we do not.
        return torch.full((3,), 0.5), torch.full((3,), 0.5)
    preset = models.get_model_weights(name)[key].transforms()
    return torch.tensor(preset.mean), torch.tensor(preset.std)


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
    loaded = LoadedWeights(dict(state), str(path))
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
    if isinstance(network, models.DenseNet):
        # torchvision's files still have the layer names of 2017: norm.1, conv.2.
        loaded.state = {
            re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): value
            for key, value in loaded.state.items()
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
    except Exception as error:  # each format has its own errors, none a common one
        raise ValueError(
            f"weights file {path} could not be read as a state dict of plain tensors: "
            f"{error}"
        ) from error
