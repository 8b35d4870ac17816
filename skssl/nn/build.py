"""Build a backbone from a name, a module, a callable or another backbone."""

from collections.abc import Callable
from copy import deepcopy

from torch import nn

from skssl.nn._networks import adapt_channels
from skssl.nn.backbones import Backbone
from skssl.nn.families import BackboneFamily, family_of, find_family
from skssl.nn.sizes import features_at
from skssl.nn.weights import LoadedWeights, fill, load_weights

__all__ = ["build_backbone"]

_STEMS = ("auto", "imagenet", "small", "cifar")


def build_backbone(
    backbone: str | nn.Module | Callable[[], nn.Module],
    *,
    in_channels: int,
    image_size: tuple[int, int],
    weights: object = None,
    stem: str = "auto",
) -> Backbone:
    """Build a backbone for images of one size and channel count.

    Parameters
    ----------
    backbone : str, nn.Module, Backbone or callable
        The name of a torchvision classification model, "crnet", "vit_tiny" or
        "vit_small" (vision transformers whose patch size follows ``image_size``); a
        module, which is copied and never changed; or a callable without arguments that
        returns a module. The head of a network built by name is removed, and that of a
        module of torchvision; any other module is taken whole and must give features
        (n, d) or maps (n, d, h, w).
    in_channels : int
        Channels of the images, at least 1.
    image_size : (int, int)
        Height and width of the images in pixels.
    weights : str, Path or FrozenEstimator, optional
        "imagenet" (torchvision's default weights), the name of torchvision weights, a
        state dict in a ``.pth``, ``.pt`` or ``.safetensors`` file, or a fitted skssl
        estimator in scikit-learn's ``FrozenEstimator``. None keeps the weights of a
        module, and draws random ones for a network built by name.
    stem : {"auto", "imagenet", "small", "cifar"}, default="auto"
        First layers of a ResNet: "imagenet", a 7x7 convolution of stride 2 and a
        max-pool; "small", 3x3 of stride 1 and a max-pool; "cifar", 3x3 of stride 1
        without pooling. "auto" is "small" for a ResNet built by name without weights
        if both sides of the images are below 64 px, and the stem of the fitted
        backbone for a ``FrozenEstimator``; otherwise it does not change the network.

    Returns
    -------
    Backbone
        A new backbone that shares no memory with the arguments.

    Raises
    ------
    ValueError
        If a parameter is wrong, the weights do not fit, or the images are too small
        for the network. :func:`skssl.nn.weights.load_weights` lists further errors of
        wrong ``weights``.
    TypeError
        If ``backbone`` or ``weights`` is of another type.

    Notes
    -----
    If the channel count differs, the first convolution (in the order of
    ``named_modules``) is adapted. Loaded weights, and those of a module, are summed
    over the channels and divided equally among the new ones, so that a grayscale image
    gives the features of its RGB replica. Random filters are used as drawn, and
    repeated beyond three channels.

    The normalisation is that of the weights: of a ``Backbone``, a fitted estimator, or
    a file saved from a ``Backbone``; for a network built by name, torchvision's for its
    own weights and for RGB files without statistics. For another channel count it is
    the average over channels. If none is known it is 0.5 and 0.25.

    The result records where its weights come from, in ``weights_origin``. A given
    ``Backbone`` without ``weights`` hands its record on. Weights of other modules, and
    those of an estimator whose backbone is random, count as random.

    Random weights come from torch's global generator, which is not seeded here: call
    this inside ``skssl._random.isolated_rng``.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import build_backbone
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(32, 32))
    >>> backbone.n_features, backbone.stem, backbone.is_trained
    (512, 'small', False)
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
    family, network, name = _make_or_copy(backbone, (height, width), in_channels)
    head_prefixes = family.remove_head(network)
    loaded = None
    if weights is not None:
        loaded = load_weights(weights, name=name, network=network, named=named)
    if named and loaded is not None:
        network = family.rebuild_for(loaded.state, network, name, (height, width))
        family.remove_head(network)
    if stem != "auto":
        family.change_stem(network, stem)
    elif loaded is not None and loaded.stem is not None:
        family.change_stem(network, loaded.stem)
    elif named and loaded is None:
        family.change_stem(network, family.default_stem((height, width)))
    if loaded is not None:
        fill(network, loaded, head_prefixes)
    drawn = named and loaded is None
    adapt_channels(network, in_channels, keep_response=not drawn)
    built = Backbone(
        network,
        n_channels=in_channels,
        n_features=_count_features(network, name, in_channels, (height, width)),
        name=name,
        weights_origin=_weights_origin(backbone, loaded),
    )
    _inherit_normalization(built, backbone, loaded)
    return built


def _make_or_copy(
    backbone: object, image_size: tuple[int, int], in_channels: int
) -> tuple[BackboneFamily, nn.Module, str]:
    """Return a new network with its family and name."""
    if isinstance(backbone, str):
        family = find_family(backbone)
        return family, family.make(backbone, image_size, in_channels), backbone
    if isinstance(backbone, Backbone):
        network, name = backbone.network, backbone.name
    else:
        is_factory = callable(backbone) and not isinstance(backbone, nn.Module)
        made = backbone() if is_factory else backbone  # type: ignore[operator]
        if not isinstance(made, nn.Module):
            raise TypeError(
                "backbone must be a name, an nn.Module, or a callable that returns an "
                f"nn.Module, got {made!r}."
            )
        network, name = made, type(made).__name__
    # A callable may return the same module each time, so its module is copied too.
    # Training is in float32, whatever the module was stored in.
    return family_of(network), deepcopy(network).float(), name


def _weights_origin(backbone: object, loaded: LoadedWeights | None) -> str | None:
    """Return where the weights of the built backbone come from, None if random."""
    if loaded is not None:
        return loaded.origin
    return backbone.weights_origin if isinstance(backbone, Backbone) else None


def _inherit_normalization(
    built: Backbone, backbone: object, loaded: LoadedWeights | None
) -> None:
    """Use the normalization of the weights or of the given backbone, if any."""
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


def _count_features(
    network: nn.Module, name: str, n_channels: int, image_size: tuple[int, int]
) -> int:
    try:
        return features_at(network, n_channels, image_size)
    except ValueError as error:
        raise ValueError(
            f"backbone {name!r} cannot take images of image_size={image_size} with "
            f"{n_channels} channel(s): {error}."
        ) from error
