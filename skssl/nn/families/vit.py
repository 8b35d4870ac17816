"""The family of vision transformers: those of torchvision, and two small ones.

Dosovitskiy et al. 2021; small ones of Touvron et al. 2021.
"""

import math
from typing import Any

from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import Encoder

from skssl.nn.families._family import TokenNetwork
from skssl.nn.families._modules import State
from skssl.nn.families._registry import register_family
from skssl.nn.families.torchvision import TorchvisionFamily
from skssl.nn.vit import TokenEncoder, VisionTransformer, resize_positions

__all__ = ["SMALL_VITS", "VIT_NAMES", "make_vit"]

#: Networks that torchvision does not have.
SMALL_VITS = ("vit_tiny", "vit_small")
_SHAPE = ("num_layers", "num_heads", "hidden_dim", "mlp_dim")
# Patch size in pixels, None if it follows the image size; shape.
_NAMED: dict[str, tuple[int | None, tuple[int, int, int, int]]] = {
    "vit_tiny": (None, (12, 3, 192, 768)),
    "vit_small": (None, (12, 6, 384, 1536)),
    "vit_b_16": (16, (12, 12, 768, 3072)),
    "vit_b_32": (32, (12, 12, 768, 3072)),
    "vit_l_16": (16, (24, 16, 1024, 4096)),
    "vit_l_32": (32, (24, 16, 1024, 4096)),
    "vit_h_14": (14, (32, 16, 1280, 5120)),
}
VIT_NAMES = tuple(_NAMED)
_FEWEST_PATCHES, _MOST_PATCHES = 16, 196


def make_vit(
    name: str, image_size: tuple[int, int], patch_size: int | None = None
) -> VisionTransformer:
    """Build one of `VIT_NAMES`, randomly initialised, with a head of 1000 classes.

    Parameters
    ----------
    name : str
        "vit_tiny" and "vit_small" have the shapes of DeiT-Ti and DeiT-S [1]_, mean
        pooling, and a patch size that follows the image size: the smallest that divides
        height and width and gives at most 196 patches. The others are torchvision's.
    image_size : (height, width)
        Pixels.
    patch_size : int, optional
        Side of the patches in pixels. By default it follows from the name.

    Raises
    ------
    ValueError
        If the patch size follows the image size, and images of this size cannot be cut
        into 16 to 196 square patches.

    References
    ----------
    .. [1] H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jégou.
       "Training data-efficient image transformers & distillation through attention",
       ICML 2021. :doi:`10.48550/arXiv.2012.12877`

    Examples
    --------
    >>> from skssl.nn.families.vit import make_vit
    >>> network = make_vit("vit_tiny", (96, 64))
    >>> network.patch_size, network.grid_size
    (8, (12, 8))
    """
    usual, shape = _NAMED[name]
    if patch_size is None:
        patch_size = _patch_for(name, image_size) if usual is None else usual
    return VisionTransformer(
        image_size=image_size,
        patch_size=patch_size,
        pool="mean" if usual is None else "token",
        **dict(zip(_SHAPE, shape, strict=True)),
    )


def _patch_for(name: str, image_size: tuple[int, int]) -> int:
    """Return the smallest patch side that cuts an image into 16 to 196 patches.

    Patches of one pixel, which hold no texture, are tried last.
    """
    height, width = image_size
    good: dict[tuple[int, int], int] = {}  # size: difference in pixels
    for patch_px in (*range(2, min(height, width) + 1), 1):
        rows, columns = round(height / patch_px), round(width / patch_px)
        if _FEWEST_PATCHES <= rows * columns <= _MOST_PATCHES:
            size = (rows * patch_px, columns * patch_px)
            good[size] = abs(size[0] - height) + abs(size[1] - width)
            if size == (height, width):
                return patch_px
    nearest = " or ".join(str(size) for size in sorted(good, key=good.__getitem__)[:2])
    raise ValueError(
        f"image_size={(height, width)} cannot be cut into {_FEWEST_PATCHES} to "
        f"{_MOST_PATCHES} square patches, as backbone {name!r} requires"
        + (f"; image_size={nearest} can." if nearest else ".")
    )


class VisionTransformers(TorchvisionFamily):
    """Vision transformers, made by name or by the user."""

    def names(self) -> frozenset[str]:
        return frozenset(VIT_NAMES)

    def owns(self, network: nn.Module) -> bool:
        return isinstance(network, models.VisionTransformer)

    def make(
        self,
        name: str,
        image_size: tuple[int, int],
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        return make_vit(name, image_size)

    def rebuild_for(
        self,
        state: State,
        network: nn.Module,
        name: str,
        image_size: tuple[int, int],
    ) -> nn.Module:
        """Return a small network whose patches have the size of the state dict's.

        Consecutive stages may differ in image size, but their patches must not.
        """
        kernel = state.get("conv_proj.weight")  # (d, c, patch, patch)
        if name not in SMALL_VITS or kernel is None:
            return network
        if kernel.shape[-1] == network.patch_size:
            return network
        return make_vit(name, image_size, patch_size=kernel.shape[-1])

    def adapt_state(self, network: nn.Module, state: State) -> State:
        """Interpolate the position embeddings to the network's grid of patches."""
        key = "encoder.pos_embedding"
        if key not in state:
            return state
        return {**state, key: _fit_positions(state[key], _built_grid(network))}

    def feature_map(
        self,
        network: nn.Module,
        module: str,
        output: Tensor,
        image_size: tuple[int, int],
    ) -> Tensor | None:
        """Return the tokens of the patches after the encoder as a map."""
        if module != "encoder":
            return super().feature_map(network, module, output, image_size)
        patches = output[:, 1:]  # (n, h * w, d), without the class token
        grid = (
            network.grid_of(*image_size)
            if isinstance(network, VisionTransformer)
            else _built_grid(network)  # torchvision's takes no other size
        )
        return patches.transpose(1, 2).unflatten(2, grid)

    def tokens(self, network: Any) -> TokenNetwork | None:
        """Return skssl's network itself; torchvision's takes one image size only."""
        return network if isinstance(network, VisionTransformer) else None

    def sequence_types(self) -> tuple[type[nn.Module], ...]:
        return (Encoder, TokenEncoder)


def _built_grid(network: Any) -> tuple[int, int]:
    """Return the rows and columns of patches that a network was built for."""
    if isinstance(network, VisionTransformer):
        return network.grid_size
    side = network.image_size // network.patch_size
    return side, side


def _fit_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Interpolate position embeddings (1, 1 + L, d) to a grid of patches.

    With as many patches as the grid has, they are assumed to have the same grid, and
    otherwise a square one. They are returned unchanged where they fit or cannot fit.
    """
    n_patches = positions.shape[1] - 1 if positions.ndim == 3 else 0
    old_side = math.isqrt(max(0, n_patches))
    if n_patches < 1 or n_patches == grid[0] * grid[1] or old_side**2 != n_patches:
        return positions
    return resize_positions(positions.float(), (old_side, old_side), grid)


register_family(VisionTransformers())
