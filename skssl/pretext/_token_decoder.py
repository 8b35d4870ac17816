"""The decoder of MAE: from the tokens of some patches to the pixels of all.

He, Chen, Xie, Li, Dollár & Girshick 2022.
"""

import torch
from torch import Tensor, nn

__all__ = ["HEAD_WIDTH", "TokenDecoder", "sin_cos_positions"]

HEAD_WIDTH = 32  # as in the paper: 16 heads for a width of 512


def sin_cos_positions(grid: tuple[int, int], width: int, n_prefix: int = 1) -> Tensor:
    """Return fixed position embeddings, zero for the tokens before the patches.

    Parameters
    ----------
    grid : (rows, columns)
        Number of patches in each direction; L is their product.
    width : int
        Width of the tokens, a multiple of 4.
    n_prefix : int, default=1
        Number of tokens before the patches.

    Returns
    -------
    Tensor of shape (1, n_prefix + L, width), float32
        The first half of the width encodes the row, the second the column, each by
        sines and cosines at width / 4 frequencies between 1 and 1/10,000 per patch.
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4) / (width // 4))
    waves = []
    for coordinate in torch.meshgrid(*map(torch.arange, grid), indexing="ij"):
        angles = coordinate.flatten()[:, None] * frequencies  # (L, width / 4)
        waves += [angles.sin(), angles.cos()]
    return nn.functional.pad(torch.cat(waves, dim=1), (0, 0, n_prefix, 0))[None]


class TokenDecoder(nn.Module):
    """A small transformer that predicts all patches from the visible ones.

    Parameters
    ----------
    n_in : int
        Width d of the encoder's tokens.
    width, depth : int
        Width of the decoder's tokens, a multiple of 32, and number of its blocks.
    n_out : int
        Number p of values in a patch: pixels times channels.
    grid : (rows, columns)
        Number of patches in each direction; L is their product.
    n_prefix : int, default=1
        Tokens before those of the patches: class token and registers.
    """

    positions: Tensor

    def __init__(
        self,
        n_in: int,
        width: int,
        depth: int,
        n_out: int,
        grid: tuple[int, int],
        *,
        n_prefix: int = 1,
    ) -> None:
        super().__init__()
        self.n_prefix = n_prefix
        self.embed = nn.Linear(n_in, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.register_buffer(
            "positions", sin_cos_positions(grid, width, n_prefix), persistent=False
        )
        self.blocks = nn.Sequential(*(_make_block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, n_out)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, visible: Tensor, rank: Tensor) -> Tensor:
        """Predict the values of all patches.

        Parameters
        ----------
        visible : Tensor of shape (n, n_prefix + n_visible, d)
            Tokens before the patches, and those of the visible patches, in the order
            of their rank.
        rank : Tensor of shape (n, L), int64
            Rank of each patch of the image; those of n_visible and above are masked.

        Returns
        -------
        Tensor of shape (n, L, n_out)
        """
        n_visible = visible.shape[1] - self.n_prefix
        prefix, visible = self.embed(visible).split(
            [self.n_prefix, n_visible], dim=1
        )  # (n, n_prefix, width), (n, n_visible, width)
        n, n_masked = len(rank), rank.shape[1] - n_visible
        masked = self.mask_token.to(visible.dtype).expand(n, n_masked, -1)
        by_rank = torch.cat([visible, masked], dim=1)  # (n, L, width)
        patches = by_rank.take_along_dim(rank[:, :, None], dim=1)  # in image order
        tokens = torch.cat([prefix, patches], dim=1)  # (n, n_prefix + L, width)
        tokens = self.norm(self.blocks(tokens + self.positions))
        return self.pixels(tokens[:, self.n_prefix :])  # (n, L, n_out)


def _make_block(width: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        width,
        width // HEAD_WIDTH,
        dim_feedforward=4 * width,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
