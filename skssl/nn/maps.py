"""The last feature map of a backbone, for methods that restore images from it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skssl.nn._networks import in_eval_mode
from skssl.nn.backbones import Backbone
from skssl.nn.families import family_of

__all__ = ["MapSite", "find_map", "forward_map"]


@dataclass(frozen=True)
class MapSite:
    """The place of a feature map in a backbone.

    Parameters
    ----------
    module : str or None
        Name of the module in ``backbone.network`` whose output is the map; None for
        the features themselves, as a map of 1 x 1.
    n_channels : int
        Channels of the map.
    size : (height, width)
        Size of the map, for images of the size given to `find_map`.
    """

    module: str | None
    n_channels: int
    size: tuple[int, int]


@torch.enable_grad()
def find_map(backbone: Backbone, image_size: tuple[int, int]) -> MapSite:
    """Find the last feature map of a backbone, by passing zeros in eval mode.

    Parameters
    ----------
    backbone : Backbone
        Its modes and batch statistics do not change.
    image_size : (height, width)
        Size of the images, pixels.

    Returns
    -------
    MapSite
        The last output of a module that is a map (n, d, h, w) with h and w above 1;
        for torchvision's vision transformers, the tokens of the patches as a map. The
        features themselves if there is no such map, or if the features depend on
        weights after it (as in VGG), which would not be trained.

    Examples
    --------
    >>> from skssl.nn import build_backbone
    >>> from skssl.nn.maps import find_map
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(64, 64))
    >>> find_map(backbone, (64, 64))
    MapSite(module='layer4', n_channels=512, size=(2, 2))
    """
    images = backbone.mean.new_zeros((2, backbone.n_channels, *image_size))
    last: list[tuple[str, Tensor]] = []

    def record(name: str, output: object) -> None:
        token_map = _as_map(backbone.network, name, output, image_size)
        if token_map is not None and len(token_map) == len(images):
            last[:] = [(name, token_map)]

    handles = [
        module.register_forward_hook(
            lambda _module, _args, output, name=name: record(name, output)
        )
        for name, module in backbone.network.named_modules()
    ]
    try:
        with in_eval_mode(backbone):
            features = backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    weights = [w for w in backbone.parameters() if w.requires_grad]
    if last and _reached(features, weights) <= _reached(last[0][1], weights):
        name, found = last[0]
        return MapSite(name, found.shape[1], (found.shape[2], found.shape[3]))
    return MapSite(None, backbone.n_features, (1, 1))


def forward_map(backbone: Backbone, images: Tensor, site: MapSite) -> Tensor:
    """Return the feature map of images, with its gradient.

    Parameters
    ----------
    backbone : Backbone
        The hook that this registers is removed afterwards.
    images : Tensor of shape (n, C, H, W), float in [0, 1]
        A batch.
    site : MapSite
        From `find_map`.

    Returns
    -------
    Tensor of shape (n, n_channels, h, w)
        The map, in the dtype of the network's output.

    Raises
    ------
    ValueError
        If images of this size have no map in this place.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import build_backbone
    >>> from skssl.nn.maps import find_map, forward_map
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(64, 64))
    >>> site = find_map(backbone, (64, 64))
    >>> forward_map(backbone, torch.rand(3, 1, 64, 64), site).shape
    torch.Size([3, 512, 2, 2])
    """
    if site.module is None:
        return backbone(images)[:, :, None, None]
    caught: list[Tensor] = []
    module = backbone.network.get_submodule(site.module)
    # Removed after this pass, so that the backbone can be copied and pickled.
    handle = module.register_forward_hook(
        lambda _module, _args, output: caught.append(output)
    )
    try:
        backbone(images)
    finally:
        handle.remove()
    height, width = images.shape[2:]
    token_map = _as_map(backbone.network, site.module, caught[-1], (height, width))
    if token_map is None:
        raise ValueError(
            f"images of {tuple(images.shape[2:])} px leave no map in {site.module!r} "
            f"of backbone {backbone.name!r}."
        )
    return token_map


def _as_map(
    network: nn.Module, name: str, output: object, image_size: tuple[int, int]
) -> Tensor | None:
    """Return a module's output as a map (n, d, h, w) above 1 x 1, if it is one."""
    if not isinstance(output, Tensor):
        return None
    return family_of(network).feature_map(network, name, output, image_size)


def _reached(output: Tensor, weights: list[nn.Parameter]) -> set[int]:
    """Return the indices of the weights that an output depends on."""
    if not output.requires_grad:
        return set()
    gradients = torch.autograd.grad(
        output.sum(), weights, allow_unused=True, retain_graph=True
    )
    return {i for i, gradient in enumerate(gradients) if gradient is not None}
