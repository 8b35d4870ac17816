"""The networks of timm, as ``"timm/NAME"`` or as modules.

R. Wightman, "PyTorch Image Models", :doi:`10.5281/zenodo.4414861`.
"""

import importlib
import math
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl.nn.families._family import BackboneFamily, LoadedWeights
from skssl.nn.families._huggingface import vit_from_huggingface
from skssl.nn.families._modules import State, average_map, is_defined_in
from skssl.nn.families._registry import register_family

__all__ = ["PREFIX", "TimmFamily", "TimmTokens"]

#: What the names of timm's networks start with here.
PREFIX = "timm/"
_IN_CHUNK = re.compile(r"^blocks\.\d+\.(\d+)\.")


class TimmFamily(BackboneFamily):
    """All classification networks of timm.

    timm is imported where a network is made, and only recognised by the names of its
    modules elsewhere.
    """

    def names(self) -> Iterable[str]:
        try:
            timm = _import_timm()
        except ImportError:
            return ()
        return [f"{PREFIX}{name}" for name in timm.list_models()]

    def has_name(self, name: str) -> bool:
        """Return whether timm has a network; its name may end with ``.TAG``."""
        if not name.startswith(PREFIX):
            return False
        return _import_timm().is_model(name.removeprefix(PREFIX))

    def owns(self, network: nn.Module) -> bool:
        return is_defined_in("timm", network)

    def make(
        self,
        name: str,
        image_size: tuple[int, int],
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        """Make a network for three channels; see `BackboneFamily.make`.

        Vision transformers take images of any size, padded to whole patches.
        """
        try:
            return _create(name, image_size, pretrained=False)
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"backbone {name!r} cannot be built for image_size={image_size}: "
                f"{error}"
            ) from error

    def remove_head(self, network: Any) -> tuple[str, ...]:
        if not hasattr(network, "reset_classifier"):
            return ()  # made for features only
        before = set(network.state_dict())
        network.reset_classifier(0)
        removed = before - set(network.state_dict())
        return tuple(sorted({f"{key.rpartition('.')[0]}." for key in removed}))

    def pretrained(self, name: str, weights: str) -> LoadedWeights:
        """Download timm's weights, "pretrained"; a tag of the name selects among them.

        Raises
        ------
        ValueError
            If ``weights`` is another name, or timm has no weights for the network.
        OSError
            If they cannot be downloaded.
        """
        if weights != "pretrained":
            raise ValueError(
                f"backbone {name!r} takes weights='pretrained', a path that exists, a "
                f"FrozenEstimator or None, got {weights!r}. A tag selects among "
                f"timm's weights: backbone='{PREFIX}resnet18.a1_in1k'."
            )
        try:
            network = _create(name, None, pretrained=True)
        except RuntimeError as error:
            raise ValueError(
                f"backbone {name!r} has no pretrained weights in timm: {error}"
            ) from error
        except Exception as error:  # huggingface_hub and requests have their own
            raise OSError(
                f"weights='pretrained' of {name!r} could not be downloaded "
                f"({type(error).__name__}: {error}). Give weights= the path of a state "
                "dict, or None for random weights."
            ) from error
        mean, std = self.own_normalization(network) or (None, None)
        return LoadedWeights(network.state_dict(), f"timm {name!r}", weights, mean, std)

    def normalization(
        self,
        name: str,
        weights: str = "pretrained",  # noqa: ARG002
    ) -> tuple[Tensor, Tensor] | None:
        config = _import_timm().get_pretrained_cfg(name.removeprefix(PREFIX))
        return None if config is None else _statistics(config.mean, config.std)

    def own_normalization(self, network: Any) -> tuple[Tensor, Tensor] | None:
        config = getattr(network, "pretrained_cfg", None) or {}
        if not {"mean", "std"} <= set(config):
            return None
        return _statistics(config["mean"], config["std"])

    def adapt_state(self, network: nn.Module, state: State) -> State:
        """Convert a published layout, and fit positions to the network's grid.

        Checkpoints of the authors of DINOv2, MAE, CLIP and others are converted by
        timm's own function for the architecture, and Hugging Face's vision
        transformers by skssl.
        """
        state = vit_from_huggingface(state)
        if has_tokens(network):  # DINOv2 keeps its blocks in chunks during training
            state = {_IN_CHUNK.sub(r"blocks.\1.", k): v for k, v in state.items()}
        module = sys.modules[type(network).__module__]
        convert = getattr(module, "checkpoint_filter_fn", None)
        return state if convert is None else dict(convert(dict(state), network))

    def pool(self, network: Any, output: Any) -> Tensor:
        """Return features (n, d) of maps and tokens, where there is no pool, too."""
        if isinstance(output, (list, tuple)) and output:
            output = output[-1]  # the last of several maps
        if not isinstance(output, Tensor):
            return super().pool(network, output)
        if output.ndim == 3:  # tokens (n, L, d), the class token first
            return output[:, getattr(network, "num_prefix_tokens", 0) :].mean(1)
        return average_map(self._channels_first(network, output))

    def feature_map(
        self, network: Any, module: str, output: Tensor, image_size: tuple[int, int]
    ) -> Tensor | None:
        """Return maps as they are, and the tokens after the last block as a map."""
        if output.ndim == 3 and module == "norm" and has_tokens(network):
            tokens = TimmTokens(network)
            patches = output[:, tokens.n_prefix :]  # (n, h * w, d)
            return patches.transpose(1, 2).unflatten(2, tokens.grid_of(*image_size))
        if output.ndim == 4:
            output = self._channels_first(network, output)
        return super().feature_map(network, module, output, image_size)

    def tokens(self, network: Any) -> "TimmTokens | None":
        return TimmTokens(network) if has_tokens(network) else None

    @staticmethod
    def _channels_first(network: Any, maps: Tensor) -> Tensor:
        """Return maps as (n, d, h, w); those of some transformers are (n, h, w, d)."""
        layout = str(getattr(network, "output_fmt", "NCHW")).rpartition(".")[2]
        is_last = layout == "NHWC" and maps.ndim == 4
        return maps.permute(0, 3, 1, 2) if is_last else maps


class TimmTokens:
    """The tokens of a vision transformer of timm; see `TokenNetwork`."""

    def __init__(self, network: Any):
        self.network = network
        self.patch_size = int(network.patch_embed.patch_size[0])
        self.hidden_dim = int(network.embed_dim)
        self.n_prefix = int(network.num_prefix_tokens)

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of patches of images of a size in pixels."""
        return math.ceil(height / self.patch_size), math.ceil(width / self.patch_size)

    def whole_patches(self, images: Tensor) -> Tensor:
        """Pad normalised images (n, C, H, W) to whole patches, as timm does."""
        rows, columns = self.grid_of(*images.shape[2:])
        right = columns * self.patch_size - images.shape[3]
        below = rows * self.patch_size - images.shape[2]
        return functional.pad(images, (0, right, 0, below))

    def embed(self, images: Tensor) -> Tensor:
        """Cut normalised images into tokens (n, n_prefix + L, d) with positions."""
        patches = self.network.patch_embed(images)
        return self.network.norm_pre(self.network._pos_embed(patches))

    def encode(self, tokens: Tensor) -> Tensor:
        """Pass all or some tokens (n, m, d) through the blocks and the last norm."""
        tokens = self.network.norm(self.network.blocks(tokens))
        # Networks that average tokens normalise after it; here each token is, instead.
        is_last = isinstance(self.network.norm, nn.Identity)
        return self.network.fc_norm(tokens) if is_last else tokens


def has_tokens(network: Any) -> bool:
    """Return whether a network is a plain vision transformer with square patches."""
    kinds = {kind.__name__ for kind in type(network).__mro__}
    if "VisionTransformer" not in kinds or not hasattr(network, "norm_pre"):
        return False
    height, width = network.patch_embed.patch_size
    return height == width and network.attn_pool is None


def _create(
    name: str, image_size: tuple[int, int] | None, *, pretrained: bool
) -> nn.Module:
    """Create a network of timm, for images of a size or of its usual one."""
    create = partial(
        _import_timm().create_model, name.removeprefix(PREFIX), pretrained=pretrained
    )
    if image_size is not None:
        sized: dict[str, Any] = {"img_size": image_size}
        dynamic = {**sized, "dynamic_img_size": True, "dynamic_img_pad": True}
        for options in (dynamic, sized):
            with suppress(TypeError):  # of networks that do not have these options
                return create(**options)
    return create()


def _statistics(mean: Any, std: Any) -> tuple[Tensor, Tensor]:
    return torch.tensor(mean), torch.tensor(std)


def _import_timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ImportError(
            f"backbones '{PREFIX}NAME' need timm: pip install 'skssl[timm]'."
        ) from error


register_family(TimmFamily())
