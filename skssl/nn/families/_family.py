"""What a family of backbones must know about its networks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from skssl.nn.families._modules import State, average_map

__all__ = [
    "BackboneFamily",
    "LoadedWeights",
    "State",
    "TokenNetwork",
]


@dataclass
class LoadedWeights:
    """A state dict and what is known about it.

    Attributes
    ----------
    state : dict of str to Tensor
        Weights of a whole network, with or without its head.
    source : str
        Where they come from, in full, for error messages.
    origin : str or None
        Where they come from, in short, as `Backbone.weights_origin` records it; None
        if they are random.
    mean, std : Tensor of shape (c,), or None
        The normalisation of the images that they were trained with, where known.
    stem : str or None
        The stem of the ResNet that they were trained in, where known.
    """

    state: State
    source: str
    origin: str | None
    mean: Tensor | None = None
    std: Tensor | None = None
    stem: str | None = None


class TokenNetwork(Protocol):
    """A vision transformer, for methods that pass some of its tokens only.

    Attributes
    ----------
    patch_size : int
        Side of the patches, pixels.
    hidden_dim : int
        Width d of the tokens.
    n_prefix : int
        Tokens before those of the patches: class token and registers.
    """

    patch_size: int
    hidden_dim: int
    n_prefix: int

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of patches of images of a size in pixels."""

    def whole_patches(self, images: Tensor) -> Tensor:
        """Return normalised images (n, C, H, W) as they are cut into patches."""

    def embed(self, images: Tensor) -> Tensor:
        """Cut normalised images into tokens (n, n_prefix + L, d) with positions."""

    def encode(self, tokens: Tensor) -> Tensor:
        """Pass all or some tokens (n, m, d) through the blocks and the last norm."""


class BackboneFamily(ABC):
    """Everything that is special about one kind of networks.

    `build_backbone` knows no network by name or class. It finds the family of a name
    or of a module, and asks it. To add a family, write one file: subclass this class,
    implement the abstract methods, override the others where the networks need it, and
    register an instance with `register_family`. A family has no state of its own.

    Families are asked in order, the one registered last first. A family for a few
    networks can so take precedence over a general one.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import build_backbone
    >>> from skssl.nn.families import FAMILIES, BackboneFamily, register_family
    >>> class Small(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.body = torch.nn.Conv2d(3, 4, kernel_size=3)
    ...         self.head = torch.nn.Conv2d(4, 10, kernel_size=1)
    ...     def forward(self, images):
    ...         return self.head(self.body(images))
    >>> class SmallNetworks(BackboneFamily):
    ...     def names(self):
    ...         return ["small"]
    ...     def owns(self, network):
    ...         return isinstance(network, Small)
    ...     def make(self, name, image_size, in_channels):
    ...         return Small()
    ...     def remove_head(self, network):
    ...         network.head = torch.nn.Identity()
    ...         return ("head.",)
    >>> family = SmallNetworks()
    >>> register_family(family)
    >>> build_backbone("small", in_channels=1, image_size=(8, 8)).n_features
    4
    >>> FAMILIES.remove(family)
    """

    @abstractmethod
    def names(self) -> Iterable[str]:
        """Return all names by which a network can be made."""

    def has_name(self, name: str) -> bool:
        """Return whether `make` takes a name.

        Override this where `names` is expensive, for example where all names start
        with the same prefix and the list needs an optional package.
        """
        return name in self.names()

    @abstractmethod
    def owns(self, network: nn.Module) -> bool:
        """Return whether a module is one of this family's networks.

        It must be so for all that `make` returns, with and without their head.
        """

    @abstractmethod
    def make(
        self, name: str, image_size: tuple[int, int], in_channels: int
    ) -> nn.Module:
        """Make a randomly initialised network, head included.

        Parameters
        ----------
        name : str
            One of the family's names.
        image_size : (height, width)
            Pixels.
        in_channels : int
            Channels of the images. A family may ignore it: `build_backbone` adapts the
            first convolution.

        Raises
        ------
        ValueError
            If the network cannot take images of this size.
        """

    @abstractmethod
    def remove_head(self, network: nn.Module) -> tuple[str, ...]:
        """Remove the classification head, in place; do nothing if there is none.

        Returns
        -------
        tuple of str
            Prefixes of the state-dict keys that belong to the removed head.
        """

    def pretrained(self, name: str, weights: str) -> LoadedWeights:
        """Read published weights by their name, "imagenet" for the default ones.

        Raises
        ------
        ValueError
            If there are no such weights.
        OSError
            If they cannot be downloaded.
        """
        raise ValueError(
            f"backbone {name!r} has no pretrained weights {weights!r}: give "
            "weights=None, a path that exists, or a FrozenEstimator."
        )

    def normalization(
        self,
        name: str,  # noqa: ARG002
        weights: str = "imagenet",  # noqa: ARG002
    ) -> tuple[Tensor, Tensor] | None:
        """Return the mean and standard deviation (3,) that weights were trained with.

        They are in units of images in [0, 1]. None if there are no such weights.
        """
        return None

    def own_normalization(
        self,
        network: nn.Module,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor] | None:
        """Return mean and standard deviation (c,) of a module's own trained weights.

        They are in units of images in [0, 1]. None if the family does not know them.
        """
        return None

    def pool(self, network: nn.Module, output: Any) -> Tensor:  # noqa: ARG002
        """Return the features (n, d) of what the network without its head returns.

        Raises
        ------
        ValueError
            If there are none in it.
        """
        return average_map(output)

    def tokens(self, network: nn.Module) -> TokenNetwork | None:  # noqa: ARG002
        """Return the tokens of a vision transformer, None for any other network."""
        return None

    def adapt_state(self, network: nn.Module, state: State) -> State:  # noqa: ARG002
        """Return a state dict in the network's layout, for example from an older one.

        Parameters
        ----------
        network : nn.Module
            A network of this family, its head removed; it is not changed.
        state : dict of str to Tensor
            With or without the keys of the head. It is not changed.
        """
        return state

    def rebuild_for(
        self,
        state: State,  # noqa: ARG002
        network: nn.Module,
        name: str,  # noqa: ARG002
        image_size: tuple[int, int],  # noqa: ARG002
    ) -> nn.Module:
        """Return the network, or a new one where weights determine its shape."""
        return network

    def stem_of(self, network: nn.Module) -> str | None:  # noqa: ARG002
        """Return the stem: "imagenet", "small" or "cifar"; None if it has only one."""
        return None

    def change_stem(self, network: nn.Module, stem: str) -> None:
        """Replace the stem of a network in place, if it is another one.

        Raises
        ------
        ValueError
            If the network has only one stem, and "small" or "cifar" is asked for.
        """
        if stem != "imagenet":
            raise ValueError(
                f"stem={stem!r} needs a torchvision ResNet as backbone, got "
                f"{type(network).__name__}; use stem='auto'."
            )

    def default_stem(self, image_size: tuple[int, int]) -> str:  # noqa: ARG002
        """Return the stem of a new network without weights."""
        return "imagenet"

    def feature_map(
        self,
        network: nn.Module,  # noqa: ARG002
        module: str,  # noqa: ARG002
        output: Tensor,
        image_size: tuple[int, int],  # noqa: ARG002
    ) -> Tensor | None:
        """Return the output of a module as a map (n, d, h, w) larger than 1 x 1.

        Parameters
        ----------
        network : nn.Module
        module : str
            Name of the module in the network.
        output : Tensor
        image_size : (height, width)
            Size of the network's input, pixels.

        Returns
        -------
        Tensor or None
            None if the output is no such map.
        """
        return output if output.ndim == 4 and min(output.shape[2:]) > 1 else None

    def sequence_types(self) -> tuple[type[nn.Module], ...]:
        """Return classes whose children are consecutive blocks, see `blocks`."""
        return ()
