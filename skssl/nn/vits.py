"""Vision transformers by name.

Dosovitskiy et al. 2021; small ones of Touvron et al. 2021.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from skssl.nn.vit import VisionTransformer

__all__ = ["SMALL_VITS", "VIT_NAMES", "make_vit", "with_patches_of"]

#: Those that torchvision does not have.
SMALL_VITS = ("vit_tiny", "vit_small")
_SHAPE = ("num_layers", "num_heads", "hidden_dim", "mlp_dim")
# Patch in pixels, or None where it follows the image size; shape.
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
        pooling, and patches that follow the image size: the smallest square that fits
        height and width and makes at most 196 patches. The others are torchvision's.
    image_size : (height, width)
        Pixels.
    patch_size : int, optional
        Side of the patches in pixels, in place of the one that follows from the name.

    Raises
    ------
    ValueError
        If images of this size cannot be cut into 16 to 196 square patches, for the
        two networks whose patches follow it.

    References
    ----------
    .. [1] H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jégou.
       "Training data-efficient image transformers & distillation through attention",
       ICML 2021. :doi:`10.48550/arXiv.2012.12877`

    Examples
    --------
    >>> from skssl.nn.vits import make_vit
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

    Patches of one pixel, in which there is nothing to see, are the last resort.
    """
    height, width = image_size
    good: dict[tuple[int, int], int] = {}  # size: its distance in pixels
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
        f"{_MOST_PATCHES} square patches, as backbone {name!r} needs it"
        + (f"; image_size={nearest} can." if nearest else ".")
    )


def with_patches_of(
    state: Mapping[str, Tensor],
    network: nn.Module,
    name: str,
    image_size: tuple[int, int],
) -> nn.Module:
    """Return a network whose patches have the size of a state dict's.

    Parameters
    ----------
    state : dict of str to Tensor
        Weights of a vision transformer.
    network : VisionTransformer
        Returned as it is where its patches have that size.
    name : str
        One of `SMALL_VITS`.
    image_size : (height, width)
        Pixels.
    """
    kernel = state.get("conv_proj.weight")  # (d, c, patch, patch)
    if kernel is None or kernel.shape[-1] == network.patch_size:
        return network
    return make_vit(name, image_size, patch_size=kernel.shape[-1])
