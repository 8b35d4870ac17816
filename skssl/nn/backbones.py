"""The one form that every backbone takes, and how it is made."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import nn
from torchvision import models

from skssl.nn._networks import (
    adapt_channels,
    change_stem,
    in_eval_mode,
    make_network,
    remove_head,
    stem_of,
)
from skssl.nn.vits import SMALL_VITS, with_patches_of
from skssl.nn.weights import LoadedWeights, fill, load_weights

__all__ = ["Backbone", "build_backbone"]

_STEMS = ("auto", "imagenet", "small", "cifar")
# For images whose statistics are not known yet.
_DEFAULT_MEAN, _DEFAULT_STD = 0.5, 0.25


class Backbone(nn.Module):
    """A network from images in [0, 1] to features, with its own normalisation.

    Make one with :func:`build_backbone`, which finds the number of features.

    Parameters
    ----------
    network : nn.Module
        Maps normalised images (n, C, H, W) to (n, d), or to maps (n, d, h, w), which
        are averaged over h and w.
    n_channels : int
        Channels C of the images.
    n_features : int
        Width d of the features.
    name : str
        What the backbone was asked for by, or the class of its network.

    Attributes
    ----------
    mean, std : Tensor of shape (1, C, 1, 1)
        Buffers: the images are normalised as ``(images - mean) / std``. They are 0.5
        and 0.25 until :meth:`set_normalization`.
    stem : str or None
        "imagenet", "small" or "cifar" for a ResNet, None for other networks.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import Backbone
    >>> network = torch.nn.Conv2d(1, 4, kernel_size=3)
    >>> backbone = Backbone(network, n_channels=1, n_features=4, name="one layer")
    >>> backbone(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 4])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        n_channels: int,
        n_features: int,
        name: str,
        weights_origin: str | None = "given",
    ) -> None:
        super().__init__()
        self.network = network
        self.n_channels = n_channels
        self.n_features = n_features
        self.name = name
        self.weights_origin = weights_origin
        shape = (1, n_channels, 1, 1)
        self.register_buffer("mean", torch.full(shape, _DEFAULT_MEAN))
        self.register_buffer("std", torch.full(shape, _DEFAULT_STD))

    @property
    def is_trained(self) -> bool:
        """Whether the weights have been trained."""
        return self.weights_origin is not None

    @property
    def stem(self) -> str | None:
        """The stem of a ResNet, None for every other network."""
        return stem_of(self.network)

    @torch.no_grad()
    def set_normalization(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and standard deviation of each channel.

        Parameters
        ----------
        mean, std : sequence of C floats
            In units of the images, that is of [0, 1]; ``std`` is positive.

        Raises
        ------
        ValueError
            If a length is not C, a number is not finite or ``std`` is not positive.
        """
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.as_tensor(values, dtype=torch.float32)
            if numbers.shape != (self.n_channels,) or not numbers.isfinite().all():
                raise ValueError(
                    f"{name} must hold {self.n_channels} finite numbers, one a "
                    f"channel, got {values!r}."
                )
            if name == "std" and not (numbers > 0).all():
                raise ValueError(f"std must be positive, got {values!r}.")
        shape = self.mean.shape
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32).reshape(shape))
        self.std.copy_(torch.as_tensor(std, dtype=torch.float32).reshape(shape))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, C, H, W), float in [0, 1], to features (n, n_features)."""
        return _pool(self.network(self.normalize(images)))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the network sees of images (n, C, H, W), float in [0, 1]."""
        return (images.to(self.mean.dtype) - self.mean) / self.std


def build_backbone(
    backbone: str | nn.Module | Callable[[], nn.Module],
    *,
    in_channels: int,
    image_size: tuple[int, int],
    weights: object = None,
    stem: str = "auto",
) -> Backbone:
    """Make a backbone for images of one size and channel count.

    Parameters
    ----------
    backbone : str, nn.Module, Backbone or callable
        The name of a torchvision classification model, "crnet", "vit_tiny" or
        "vit_small" (vision transformers whose patches follow ``image_size``); a module,
        which is copied and never changed; or a callable without arguments that makes a
        module. The head of a network by name is removed; any other module is taken
        whole and must give features (n, d) or maps (n, d, h, w).
    in_channels : int
        Channels of the images, at least 1.
    image_size : (int, int)
        Height and width of the images in pixels.
    weights : str, Path or FrozenEstimator, optional
        "imagenet" (torchvision's default weights), the name of torchvision weights, a
        state dict in a ``.pth``, ``.pt`` or ``.safetensors`` file, or a fitted skssl
        estimator in scikit-learn's ``FrozenEstimator``. None keeps a module's own
        weights, and draws those of a network asked for by name.
    stem : {"auto", "imagenet", "small", "cifar"}, default="auto"
        First layers of a ResNet: "imagenet", a 7x7 convolution of stride 2 and a
        max-pool; "small", 3x3 of stride 1 and a max-pool; "cifar", 3x3 of stride 1
        without pooling. "auto" takes "small" for a ResNet asked for by name without
        weights where both sides of the images are below 64 px, the stem of the fitted
        backbone for a ``FrozenEstimator``, and else leaves the network as it is.

    Returns
    -------
    Backbone
        A new backbone that shares nothing with the arguments.

    Raises
    ------
    ValueError
        If a parameter is wrong, the weights do not fit, or the images are too small
        for the network. :func:`skssl.nn.weights.load_weights` lists what else wrong
        ``weights`` raise.
    TypeError
        If ``backbone`` or ``weights`` is of another type.

    Notes
    -----
    Where the channel count differs, the first convolution (in the order of
    ``named_modules``) is adapted. Loaded weights, and those of a module, are summed
    over the channels and shared out equally, so that a gray image gives what its RGB
    replica gave. Random filters are taken as drawn, repeated beyond three channels.

    The normalisation is that of the weights: of a ``Backbone``, a fitted estimator, or
    a file saved from a ``Backbone``; torchvision's for its own weights and for RGB
    files without statistics, of a network asked for by name. For another channel count
    it is the average over channels. Without any it is 0.5 and 0.25.

    Random weights come from torch's global generator, which is not seeded here: call
    this inside ``skssl._random.isolated_rng``.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import build_backbone
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(32, 32))
    >>> backbone.n_features, backbone.stem
    (512, 'small')
    >>> backbone(torch.rand(2, 1, 32, 32)).shape
    torch.Size([2, 512])
    """
    height, width = image_size
    if min(in_channels, height, width) < 1:
        raise ValueError(
            "in_channels and image_size must be at least 1, got "
            f"in_channels={in_channels} and image_size={image_size}."
        )
    if stem not in _STEMS:
        raise ValueError(f"stem must be one of {list(_STEMS)}, got {stem!r}.")
    named = isinstance(backbone, str)
    network, name = _make_or_copy(backbone, (height, width), in_channels)
    head_prefixes = remove_head(network)
    loaded = None
    if weights is not None:
        loaded = load_weights(weights, name=name, network=network, named=named)
    if named and loaded is not None and name in SMALL_VITS:
        # Chained stages may differ in image size; their patches must not.
        network = with_patches_of(loaded.state, network, name, (height, width))
        remove_head(network)
    if stem != "auto":
        change_stem(network, stem)
    elif loaded is not None and loaded.stem is not None:
        change_stem(network, loaded.stem)
    elif named and loaded is None and isinstance(network, models.ResNet):
        change_stem(network, "small" if max(height, width) < 64 else "imagenet")
    if loaded is not None:
        fill(network, loaded, head_prefixes)
    learned = loaded is not None or not named
    adapt_channels(network, in_channels, keep_response=learned)
    built = Backbone(
        network,
        n_channels=in_channels,
        n_features=_count_features(network, name, in_channels, (height, width)),
        name=name,
        weights_origin=_origin(backbone, weights),
    )
    _inherit_normalization(built, backbone, loaded)
    return built


def _origin(backbone: object, weights: object) -> str | None:
    if weights is not None:
        fitted = getattr(getattr(weights, "estimator", None), "backbone_", None)
        return getattr(fitted, "weights_origin", str(weights))
    return backbone.weights_origin if isinstance(backbone, Backbone) else None


def _make_or_copy(
    backbone: object, image_size: tuple[int, int], in_channels: int
) -> tuple[nn.Module, str]:
    """Return a network of our own, and its name."""
    if isinstance(backbone, str):
        return make_network(backbone, image_size, in_channels), backbone
    if isinstance(backbone, Backbone):
        return deepcopy(backbone.network).float(), backbone.name
    is_factory = callable(backbone) and not isinstance(backbone, nn.Module)
    made = backbone() if is_factory else backbone  # type: ignore[operator]
    if not isinstance(made, nn.Module):
        raise TypeError(
            "backbone must be a name, an nn.Module, or a callable that returns an "
            f"nn.Module, got {made!r}."
        )
    # A callable may return the same module each time, so its module is copied too.
    # Training is in float32, whatever the module was stored in.
    return deepcopy(made).float(), type(made).__name__


def _inherit_normalization(
    built: Backbone, backbone: object, loaded: LoadedWeights | None
) -> None:
    """Take the normalisation of the weights or of the given backbone, if any."""
    if loaded is not None and loaded.mean is not None and loaded.std is not None:
        mean, std = loaded.mean, loaded.std
    elif isinstance(backbone, Backbone):
        mean, std = backbone.mean.flatten(), backbone.std.flatten()
    else:
        return
    if len(mean) != built.n_channels:
        mean = mean.mean().repeat(built.n_channels)
        std = std.mean().repeat(built.n_channels)
    built.set_normalization(mean.tolist(), std.tolist())


def _pool(h: torch.Tensor) -> torch.Tensor:
    """Average maps (n, d, h, w) to features (n, d); features pass through."""
    return h.mean((2, 3)) if h.ndim == 4 else h


@torch.no_grad()
def _count_features(
    network: nn.Module, name: str, in_channels: int, image_size: tuple[int, int]
) -> int:
    """Run one image of zeros through; batch statistics and modes stay as they were."""
    like = next(network.parameters(), torch.zeros(()))
    images = torch.zeros(
        1, in_channels, *image_size, device=like.device, dtype=like.dtype
    )
    problem = f"backbone {name!r} cannot take images of image_size={image_size}"
    try:
        with in_eval_mode(network):
            features = network(images)
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{problem} with {in_channels} channel(s), which may be too small for it: "
            f"{error}"
        ) from error
    if not isinstance(features, torch.Tensor) or features.ndim not in (2, 4):
        got = getattr(features, "shape", type(features).__name__)
        raise ValueError(
            f"backbone {name!r} must give features (n, d) or maps (n, d, h, w), got "
            f"{got}."
        )
    if features.numel() == 0:
        raise ValueError(f"{problem}: nothing is left of them after its pooling.")
    return features.shape[1]
