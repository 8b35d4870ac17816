"""Build a backbone from a name, a module, a callable or another backbone."""

from collections.abc import Callable
from copy import deepcopy

from torch import Tensor, nn

from skssl.nn._networks import (
    adapt_channels,
    first_convolution,
    has_parallel_stems,
)
from skssl.nn.backbones import Backbone
from skssl.nn.families import BackboneFamily, family_of, find_family
from skssl.nn.sizes import features_at
from skssl.nn.weights import Head, LoadedWeights, fill, load_weights

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
        "vit_small" (vision transformers whose patch size follows ``image_size``), or
        "timm/NAME" for a network of timm; a module, which is copied and never changed;
        or a callable without arguments that returns a module or a `Backbone`. The head
        of a network built by name is removed, and that of a module of torchvision,
        timm, transformers, MONAI or torchxrayvision; any other module is taken whole
        and must give features (n, d) or maps (n, d, h, w).
    in_channels : int
        Channels of the images, at least 1.
    image_size : (int, int)
        Height and width of the images in pixels.
    weights : str, Path, WeightsFile or FrozenEstimator, optional
        "pretrained" (the default weights of torchvision or timm), "imagenet"
        (torchvision's default), the name of torchvision weights, a state dict in a
        ``.pth``, ``.pt`` or ``.safetensors`` file, a `WeightsFile`, a fitted skssl
        estimator in scikit-learn's ``FrozenEstimator``, or "own" for a module whose
        weights are trained. None draws random weights for a network built by name, and
        keeps those of a module, which count as random unless it is a `Backbone`.
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
    The normalisation is that of the weights: of a ``Backbone``, a fitted estimator, or
    a file saved from a ``Backbone``; of a module with "own" weights, that of its
    library; for a network built by name, that of its published weights, also for RGB
    files without statistics. If none is known it is 0.5 and 0.25.

    If the channel count differs, trained weights give a grayscale image the features
    of its RGB replica. Where all channels have the same normalisation, the filters of
    the first convolution (in the order of ``named_modules``) are summed over the
    channels and divided equally among the new ones. Otherwise the gray image is
    repeated after it was normalised for each channel, since the border of zeros around
    it has another gray value in each. Images of two, four or more channels get the
    summed filters and the average normalisation. Random filters are used as drawn, and
    repeated beyond three channels.

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
    family, network, given, name = _make_or_copy(backbone, (height, width), in_channels)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    head = Head(family.remove_head(network), shapes)
    loaded = None
    if isinstance(weights, str) and weights == "own":
        loaded = _own_weights(family, network, given, name, named=named)
    elif weights is not None:
        loaded = load_weights(
            weights, name=name, network=network, named=named, head=head
        )
    if named and loaded is not None:
        network = family.rebuild_for(loaded.state, network, name, (height, width))
        family.remove_head(network)
    _choose_stem(family, network, stem, loaded, named=named, image_size=(height, width))
    if loaded is not None and weights != "own":
        fill(network, loaded, head.prefixes)
    mean, std = _normalization(given, loaded)
    expand_to = _expansion(network, in_channels, image_size, mean, std)
    if expand_to is None:
        drawn = named and loaded is None
        adapt_channels(network, in_channels, keep_response=not drawn)
    built = Backbone(
        network,
        n_channels=in_channels,
        n_features=0,
        name=name,
        weights_origin=_weights_origin(given, loaded),
        expand_to=expand_to,
    )
    if mean is not None and std is not None:
        n_needed = built.mean.shape[1]
        if len(mean) != n_needed:
            mean, std = (each.mean().repeat(n_needed) for each in (mean, std))
        built.set_normalization(mean.tolist(), std.tolist())
    built.n_features = _count_features(built, image_size)
    return built


def _choose_stem(
    family: BackboneFamily,
    network: nn.Module,
    stem: str,
    loaded: LoadedWeights | None,
    *,
    named: bool,
    image_size: tuple[int, int],
) -> None:
    """Give a ResNet the stem that was asked for, of its weights, or its default."""
    if stem != "auto":
        family.change_stem(network, stem)
    elif loaded is not None and loaded.stem is not None:
        family.change_stem(network, loaded.stem)
    elif named and loaded is None:
        family.change_stem(network, family.default_stem(image_size))


def _make_or_copy(
    backbone: object, image_size: tuple[int, int], in_channels: int
) -> tuple[BackboneFamily, nn.Module, Backbone | None, str]:
    """Return family and network, the `Backbone` that was given if any, and the name."""
    if isinstance(backbone, str):
        family = find_family(backbone)
        return family, family.make(backbone, image_size, in_channels), None, backbone
    is_factory = callable(backbone) and not isinstance(backbone, nn.Module)
    made = backbone() if is_factory else backbone  # type: ignore[operator]
    if not isinstance(made, nn.Module):
        raise TypeError(
            "backbone must be a name, an nn.Module, or a callable that returns an "
            f"nn.Module, got {made!r}."
        )
    given = made if isinstance(made, Backbone) else None
    network, name = made, type(made).__name__
    if given is not None:
        network, name = given.network, given.name
    # A callable may return the same module each time, so its module is copied too.
    # Training is in float32, whatever the module was stored in.
    return family_of(network), deepcopy(network).float(), given, name


def _own_weights(
    family: BackboneFamily,
    network: nn.Module,
    given: Backbone | None,
    name: str,
    *,
    named: bool,
) -> LoadedWeights:
    """Return the record of a module whose own weights are trained.

    Raises
    ------
    ValueError
        If the backbone is a name, or its normalisation is not known.
    """
    if named:
        raise ValueError(
            f"weights='own' needs a module with trained weights as backbone, got the "
            f"name {name!r}: use weights='pretrained' or a file."
        )
    known = family.own_normalization(network)
    if given is not None:
        known = given.mean.flatten(), given.std.flatten()
    if known is None:
        raise ValueError(
            f"weights='own': it is not known how images were normalised for the "
            f"weights of {name!r}. Give a skssl.nn.Backbone of it, and call its "
            "set_normalization(mean, std)."
        )
    origin = given.weights_origin if given is not None else None
    return LoadedWeights({}, name, origin or "own", *known)


def _weights_origin(given: Backbone | None, loaded: LoadedWeights | None) -> str | None:
    """Return where the weights of the built backbone come from, None if random."""
    if loaded is not None:
        return loaded.origin
    return None if given is None else given.weights_origin


def _normalization(
    given: Backbone | None, loaded: LoadedWeights | None
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return mean and standard deviation of the weights, or of the given backbone."""
    if loaded is not None and loaded.mean is not None and loaded.std is not None:
        return loaded.mean, loaded.std
    if given is not None:
        return given.mean.flatten(), given.std.flatten()
    return None, None


def _expansion(
    network: nn.Module,
    in_channels: int,
    image_size: tuple[int, int],
    mean: Tensor | None,
    std: Tensor | None,
) -> int | None:
    """Return how often gray images are repeated inside the backbone, None if not.

    They are where each channel has another normalisation, and where several layers
    would have to be adapted.
    """
    found = first_convolution(network)
    if in_channels != 1 or found is None or found[1].in_channels == 1:
        return None
    n_inputs = found[1].in_channels
    if mean is not None and std is not None and len(mean) == n_inputs:
        statistics = {*zip(mean.tolist(), std.tolist(), strict=True)}
        if len(statistics) > 1:
            return n_inputs
    return n_inputs if has_parallel_stems(network, image_size) else None


def _count_features(built: Backbone, image_size: tuple[int, int]) -> int:
    try:
        return features_at(built, built.n_channels, image_size)
    except ValueError as error:
        raise ValueError(
            f"backbone {built.name!r} cannot take images of image_size={image_size} "
            f"with {built.n_channels} channel(s): {error}."
        ) from error
