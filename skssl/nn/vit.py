"""Vision transformers for images of any size, after torchvision's.

Dosovitskiy et al. 2021; small ones of Touvron et al. 2021.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

__all__ = ["SMALL_VITS", "VIT_NAMES", "VisionTransformer", "fit_positions", "make_vit"]

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


class _Encoder(nn.Module):
    """The parts of torchvision's encoder, for tokens that have their positions."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.pos_embedding: nn.Parameter = encoder.pos_embedding
        self.dropout = encoder.dropout
        self.layers = encoder.layers
        self.ln = encoder.ln

    def forward(self, tokens: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(tokens)))


class VisionTransformer(models.VisionTransformer):
    """torchvision's vision transformer, for images of any size and aspect ratio.

    Parameters
    ----------
    image_size : int or (height, width)
        Size of the images that it is built for, pixels. Not a multiple of the patch,
        it counts as the next one.
    patch_size : int
        Side of the square patches, pixels.
    num_layers, num_heads, hidden_dim, mlp_dim : int
        Blocks, attention heads, width of the tokens, and width inside the MLPs.
    num_classes : int, default=1000
        Outputs of the classification head.
    pool : {"token", "mean"}, default="token"
        What goes to the head: the class token, as in [1]_, or the mean of the patch
        tokens after the last normalisation [2]_.

    Attributes
    ----------
    grid_size : (int, int)
        Patches in height and width that the position embeddings were built for.

    Raises
    ------
    ValueError
        If ``pool`` is unknown.

    Notes
    -----
    Names, shapes and initialisation of the weights are torchvision's, and so are the
    features for images of the size it was built for. Images of another size are
    enlarged to whole patches where needed, and the position embeddings are resized
    to their grid: bicubic, corner patches kept at the corners, as torchvision does it
    for weights.

    References
    ----------
    .. [1] A. Dosovitskiy et al. "An Image is Worth 16x16 Words: Transformers for
       Image Recognition at Scale", ICLR 2021. :doi:`10.48550/arXiv.2010.11929`
    .. [2] L. Beyer, X. Zhai, A. Kolesnikov. "Better plain ViT baselines for
       ImageNet-1k", 2022. :doi:`10.48550/arXiv.2205.01580`

    Examples
    --------
    >>> import torch
    >>> from skssl.nn.vit import VisionTransformer
    >>> network = VisionTransformer(
    ...     image_size=24, patch_size=6, num_layers=1, num_heads=2, hidden_dim=24,
    ...     mlp_dim=48, num_classes=2, pool="mean",
    ... )
    >>> network(torch.zeros(3, 3, 24, 24)).shape
    torch.Size([3, 2])
    >>> network.embed(torch.zeros(3, 3, 12, 20)).shape  # 2 × 4 patches, class token
    torch.Size([3, 9, 24])
    """

    encoder: Any

    def __init__(
        self,
        *,
        image_size: int | tuple[int, int],
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        num_classes: int = 1000,
        pool: str = "token",
    ) -> None:
        if pool not in ("token", "mean"):
            raise ValueError(f"pool must be 'token' or 'mean', got {pool!r}.")
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        height, width = (math.ceil(px / patch_size) for px in size)
        super().__init__(
            image_size=height * patch_size,
            patch_size=patch_size,
            num_layers=num_layers,
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            mlp_dim=mlp_dim,
            num_classes=num_classes,
        )
        self.pool = pool
        self.grid_size = (height, width)
        self.encoder = _Encoder(self.encoder)
        if height != width:  # torchvision knows squares only
            self.image_size = (height * patch_size, width * patch_size)
            self.seq_length = 1 + height * width
            positions = torch.empty(1, self.seq_length, hidden_dim).normal_(std=0.02)
            self.encoder.pos_embedding = nn.Parameter(positions)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W) to logits, or to features where the head is off."""
        tokens = self.encode(self.embed(images))  # (n, 1 + L, d)
        pooled = tokens[:, 0] if self.pool == "token" else tokens[:, 1:].mean(1)
        return self.heads(pooled)

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """Return how many patches images of a size in pixels have in each direction."""
        return math.ceil(height / self.patch_size), math.ceil(width / self.patch_size)

    def whole_patches(self, images: Tensor) -> Tensor:
        """Enlarge images (n, C, H, W), bilinear, to whole patches where needed."""
        grid = self.grid_of(*images.shape[-2:])
        size = (grid[0] * self.patch_size, grid[1] * self.patch_size)
        if images.shape[-2:] == size:
            return images
        return functional.interpolate(images, size=size, mode="bilinear")

    def embed(self, images: Tensor) -> Tensor:
        """Cut images into tokens that know their positions.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W)
            Normalised images.

        Returns
        -------
        Tensor of shape (n, 1 + L, d)
            The class token, then the L patches, row by row.
        """
        maps = self.conv_proj(self.whole_patches(images))  # (n, d, height, width)
        patches = maps.flatten(2).transpose(1, 2)  # (n, L, d)
        token = self.class_token.expand(len(patches), -1, -1)
        positions = _resize_positions(
            self.encoder.pos_embedding, self.grid_size, self.grid_of(*images.shape[-2:])
        )
        return torch.cat([token, patches], dim=1) + positions

    def encode(self, tokens: Tensor) -> Tensor:
        """Pass tokens (n, m, d), all or some, through the blocks and the last norm."""
        return self.encoder(tokens)


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
    >>> from skssl.nn.vit import make_vit
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


def _resize_positions(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int]
) -> Tensor:
    """Interpolate (1, 1 + L, d) embeddings from a grid of patches to another, bicubic.

    The embedding of the class token, the first, stays.
    """
    if old == new:
        return positions
    # As two matrix products, whose gradient is the same to the bit at each run.
    with torch.autocast(positions.device.type, enabled=False):
        rows = _bicubic(old[0], new[0], positions)
        columns = _bicubic(old[1], new[1], positions)
        grid = positions[0, 1:].unflatten(0, old)  # (old[0], old[1], d)
        resized = torch.einsum("hi,wj,ijd->hwd", rows, columns, grid)
        return torch.cat([positions[:, :1], resized.flatten(0, 1)[None]], dim=1)


def _bicubic(n_old: int, n_new: int, like: Tensor) -> Tensor:
    """Return the (n_new, n_old) matrix of bicubic interpolation along one side."""
    unit = torch.eye(n_old, device=like.device, dtype=like.dtype)[None, ..., None]
    matrix = functional.interpolate(
        unit, size=(n_new, 1), mode="bicubic", align_corners=True
    )  # (1, n_old, n_new, 1)
    return matrix[0, :, :, 0].T


def fit_positions(network: Any, positions: Tensor) -> Tensor:
    """Interpolate the position embeddings of a file to a vision transformer's grid.

    Parameters
    ----------
    network : torchvision.models.VisionTransformer
        What they are for.
    positions : Tensor of shape (1, 1 + L, d)
        Of as many patches as the network has, which are then taken to lie in the same
        grid, or of a square.

    Returns
    -------
    Tensor
        Unchanged where they fit, or cannot be fitted.
    """
    if isinstance(network, VisionTransformer):
        new = network.grid_size
    else:
        side = network.image_size // network.patch_size
        new = (side, side)
    length = positions.shape[1] - 1 if positions.ndim == 3 else 0
    old_side = math.isqrt(max(0, length))
    if length < 1 or length == new[0] * new[1] or old_side**2 != length:
        return positions
    return _resize_positions(positions.float(), (old_side, old_side), new)
