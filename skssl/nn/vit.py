"""A vision transformer for images of any size, based on torchvision's.

Dosovitskiy et al. 2021.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

__all__ = ["TokenEncoder", "VisionTransformer", "resize_positions"]


class TokenEncoder(nn.Module):
    """torchvision's encoder, for tokens to which positions are already added."""

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
        Size of the images that the position embeddings are built for, pixels. It is
        rounded up to a multiple of the patch size.
    patch_size : int
        Side of the square patches, pixels.
    num_layers, num_heads, hidden_dim, mlp_dim : int
        Blocks, attention heads, width of the tokens, and width inside the MLPs.
    num_classes : int, default=1000
        Outputs of the classification head.
    pool : {"token", "mean"}, default="token"
        Input of the head: the class token, as in [1]_, or the mean of the patch
        tokens after the last normalisation [2]_.

    Attributes
    ----------
    grid_size : (int, int)
        Rows and columns of patches that the position embeddings were built for.

    Raises
    ------
    ValueError
        If ``pool`` is unknown.

    Notes
    -----
    The weights have torchvision's names, shapes and initialisation. For images of the
    size that the network was built for, the features equal torchvision's. Images of
    another size are enlarged to whole patches if needed, and the position embeddings
    are interpolated to their grid: bicubic, with corner patches at the corners, as
    torchvision interpolates them when it loads weights.

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
    n_prefix = 1  # the class token

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
        self.encoder = TokenEncoder(self.encoder)
        if height != width:  # torchvision supports squares only
            self.image_size = (height * patch_size, width * patch_size)
            self.seq_length = 1 + height * width
            positions = torch.empty(1, self.seq_length, hidden_dim).normal_(std=0.02)
            self.encoder.pos_embedding = nn.Parameter(positions)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W) to logits, or to features if the head is removed."""
        tokens = self.encode(self.embed(images))  # (n, 1 + L, d)
        pooled = tokens[:, 0] if self.pool == "token" else tokens[:, 1:].mean(1)
        return self.heads(pooled)

    def grid_of(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of patches of images of a size in pixels."""
        return math.ceil(height / self.patch_size), math.ceil(width / self.patch_size)

    def whole_patches(self, images: Tensor) -> Tensor:
        """Enlarge images (n, C, H, W) bilinearly to whole patches, if needed."""
        grid = self.grid_of(*images.shape[-2:])
        size = (grid[0] * self.patch_size, grid[1] * self.patch_size)
        if images.shape[-2:] == size:
            return images
        return functional.interpolate(images, size=size, mode="bilinear")

    def embed(self, images: Tensor) -> Tensor:
        """Cut images into tokens, and add their position embeddings.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W)
            Normalised images, float.

        Returns
        -------
        Tensor of shape (n, 1 + L, d)
            The class token, then those of the L patches, row by row.
        """
        maps = self.conv_proj(self.whole_patches(images))  # (n, d, height, width)
        patches = maps.flatten(2).transpose(1, 2)  # (n, L, d)
        token = self.class_token.expand(len(patches), -1, -1)
        positions = resize_positions(
            self.encoder.pos_embedding, self.grid_size, self.grid_of(*images.shape[-2:])
        )
        return torch.cat([token, patches], dim=1) + positions

    def encode(self, tokens: Tensor) -> Tensor:
        """Pass all or some tokens (n, m, d) through the blocks and the last norm."""
        return self.encoder(tokens)


def resize_positions(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int]
) -> Tensor:
    """Interpolate embeddings (1, 1 + L, d) between grids of patches, bicubic.

    The first embedding, that of the class token, does not change.
    """
    if old == new:
        return positions
    # As two matrix products: their gradient is bitwise reproducible.
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
