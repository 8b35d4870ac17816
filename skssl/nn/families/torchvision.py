"""torchvision's classification networks, and the architectures that need more care."""

import re
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from skssl.nn.families._family import BackboneFamily, LoadedWeights
from skssl.nn.families._modules import (
    State,
    is_defined_in,
    remove_last_linear,
    with_current_version,
)
from skssl.nn.families._registry import register_family

__all__ = ["TorchvisionFamily", "torchvision_names"]

# Below this a new ResNet gets the small stem.
_SMALL_PX = 64
_DEFAULT = ("imagenet", "pretrained")
# What all of torchvision's classification weights were trained with, but for Inception.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@cache
def torchvision_names() -> frozenset[str]:
    """Return the names of all of torchvision's classification networks."""
    return frozenset(models.list_models(module=models))


class TorchvisionFamily(BackboneFamily):
    """torchvision's networks, with its weights, heads and normalisation.

    Subclasses are families of a few networks that differ from this.
    """

    def names(self) -> frozenset[str]:
        return torchvision_names()

    def owns(self, network: nn.Module) -> bool:
        return is_defined_in("torchvision.models", network)

    def make(
        self,
        name: str,
        image_size: tuple[int, int],  # noqa: ARG002
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        """Make a network for three channels; see `BackboneFamily.make`."""
        return models.get_model(name, weights=None)

    def remove_head(self, network: nn.Module) -> tuple[str, ...]:
        return remove_last_linear(network)

    def pretrained(self, name: str, weights: str) -> LoadedWeights:
        if name not in torchvision_names():
            return super().pretrained(name, weights)
        choices = models.get_model_weights(name).__members__
        key = "DEFAULT" if weights in _DEFAULT else weights
        if key not in choices:
            raise ValueError(
                f"weights must be None, 'imagenet', one of {sorted(choices)}, a path "
                f"that exists, or a FrozenEstimator for backbone {name!r}, got "
                f"{weights!r}."
            )
        try:  # torchvision's own builder knows the old layouts of some of its files
            network = models.get_model(name, weights=choices[key])
        except OSError as error:  # URLError is one
            raise OSError(
                f"weights={weights!r}: {choices[key]} could not be downloaded "
                f"({error}). Give weights= the path of a state dict, or None for "
                "random weights."
            ) from error
        mean, std = self.normalization(name, weights) or (None, None)
        source = f"torchvision {weights!r}"
        return LoadedWeights(network.state_dict(), source, weights, mean, std)

    def normalization(
        self, name: str, weights: str = "imagenet"
    ) -> tuple[Tensor, Tensor] | None:
        if name not in torchvision_names():
            return None
        key = "DEFAULT" if weights in _DEFAULT else weights
        preset = models.get_model_weights(name)[key].transforms()
        return torch.tensor(preset.mean), torch.tensor(preset.std)

    def own_normalization(self, network: nn.Module) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        return torch.tensor(_MEAN), torch.tensor(_STD)


class _ResNets(TorchvisionFamily):
    """Residual networks, whose first layers can be made for small images."""

    def names(self) -> frozenset[str]:
        kinds = ("resnet", "resnext", "wide_resnet")
        return frozenset(n for n in torchvision_names() if n.startswith(kinds))

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.ResNet)

    def stem_of(self, network: Any) -> str:
        if network.conv1.kernel_size == (7, 7):
            return "imagenet"
        return "cifar" if isinstance(network.maxpool, nn.Identity) else "small"

    def adapt_state(self, network: nn.Module, state: State) -> State:
        """Name the children of a sequence, in which lightly's examples keep them."""
        if not {"0.weight", "4.0.conv1.weight"} <= state.keys():
            return state
        names = list(network._modules)
        renamed = {}
        for key, value in state.items():
            number, _, rest = key.partition(".")
            known = number.isdecimal() and int(number) < len(names)
            renamed[f"{names[int(number)]}.{rest}" if known else key] = value
        return renamed

    def default_stem(self, image_size: tuple[int, int]) -> str:
        return "small" if max(image_size) < _SMALL_PX else "imagenet"

    def change_stem(self, network: Any, stem: str) -> None:
        """Replace the stem; new filters are drawn from torchvision's distribution.

        "imagenet" is a 7x7 convolution of stride 2 and a max-pool, "small" a 3x3
        convolution of stride 1 and a max-pool, "cifar" the latter without pooling.
        """
        if self.stem_of(network) == stem:
            return
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


class _Inceptions(TorchvisionFamily):
    """GoogLeNet and Inception v3, which have auxiliary heads."""

    def names(self) -> frozenset[str]:
        return frozenset({"googlenet", "inception_v3"})

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, (models.GoogLeNet, models.Inception3))

    def make(
        self,
        name: str,
        image_size: tuple[int, int],  # noqa: ARG002
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        # Without init_weights torchvision warns, and draws from another distribution.
        return models.get_model(name, weights=None, aux_logits=False, init_weights=True)

    def remove_head(self, network: Any) -> tuple[str, ...]:
        network.aux_logits = False
        network.dropout = nn.Identity()
        auxiliary = ("aux1", "aux2", "AuxLogits")
        for name in auxiliary:
            if hasattr(network, name):
                setattr(network, name, None)
        return (*(f"{name}." for name in auxiliary), *super().remove_head(network))

    def normalization(
        self,
        name: str,  # noqa: ARG002
        weights: str = "imagenet",  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        # They were trained with this. torchvision converts to it inside the network,
        # which a network made without weights does not do.
        return torch.full((3,), 0.5), torch.full((3,), 0.5)

    def own_normalization(self, network: Any) -> tuple[Tensor, Tensor]:
        if network.transform_input:  # it converts from the statistics of the others
            return torch.tensor(_MEAN), torch.tensor(_STD)
        return self.normalization("inception_v3")


class _DenseNets(TorchvisionFamily):
    """DenseNets, whose files may have the layer names of 2017."""

    def names(self) -> frozenset[str]:
        return frozenset(n for n in torchvision_names() if n.startswith("densenet"))

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.DenseNet)

    def adapt_state(self, network: nn.Module, state: State) -> State:  # noqa: ARG002
        """Rename norm.1 and conv.2, as in torchvision's own files, to norm1, conv2."""
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
        return {old.sub(r"\1\2.", key): value for key, value in state.items()}


class _SqueezeNets(TorchvisionFamily):
    """SqueezeNets, whose head is a convolution before the pooling."""

    def names(self) -> frozenset[str]:
        return frozenset(n for n in torchvision_names() if n.startswith("squeezenet"))

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.SqueezeNet)

    def remove_head(self, network: nn.Module) -> tuple[str, ...]:
        network.classifier = nn.AdaptiveAvgPool2d(1)
        return ("classifier.",)


class _MaxViTs(TorchvisionFamily):
    """MaxViTs, which are built for one image size."""

    def names(self) -> frozenset[str]:
        return frozenset(n for n in torchvision_names() if n.startswith("maxvit"))

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.MaxVit)

    def make(
        self,
        name: str,
        image_size: tuple[int, int],
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        try:
            return models.get_model(name, weights=None, input_size=image_size)
        except ValueError as error:  # it checks its partitions
            raise ValueError(
                f"backbone {name!r} cannot be built for image_size={image_size}: "
                f"{error}"
            ) from error


class _MNASNets(TorchvisionFamily):
    """MNASNets, which take files without a version for those of an old layout."""

    def names(self) -> frozenset[str]:
        return frozenset(n for n in torchvision_names() if n.startswith("mnasnet"))

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.MNASNet)

    def adapt_state(self, network: nn.Module, state: State) -> State:
        return with_current_version(network, state)


register_family(TorchvisionFamily())
for _special in (
    _ResNets(),
    _Inceptions(),
    _DenseNets(),
    _SqueezeNets(),
    _MaxViTs(),
    _MNASNets(),
):
    register_family(_special)
