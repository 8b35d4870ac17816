"""Tiles of images, for the two methods that shuffle them."""

import torch
from torch import Tensor

__all__ = ["GRID", "N_TILES", "TILE_FRACTION", "choose_tile_size", "shuffle_tiles"]

GRID = 3
N_TILES = GRID * GRID
TILE_FRACTION = 0.85  # of a third of the image: 64 px of 75 px
# On smaller tiles maps have a single pixel, and torch's CPU convolutions in bfloat16
# give wrong gradients.
_SMALLEST_PX = 32


def choose_tile_size(
    tile_size: int | None,
    image_size: tuple[int, int],
    tile_fraction: float = TILE_FRACTION,
) -> int:
    """Return the side of tiles in pixels; if it is None, choose one.

    The chosen side is that of the region which is cut out, but at least 32 px, and at
    most the image's short side.

    Examples
    --------
    >>> choose_tile_size(None, (224, 224)), choose_tile_size(None, (64, 64))
    (63, 32)
    """
    if tile_size is not None:
        return tile_size
    side = min(image_size)
    return min(side, max(_SMALLEST_PX, round(tile_fraction * side / GRID)))


def shuffle_tiles(tiles: Tensor, order: Tensor) -> Tensor:
    """Put tile ``order[i, j]`` of image i at position j: (n, 9, …) by (n, 9)."""
    image = torch.arange(len(tiles), device=tiles.device)[:, None]  # (n, 1)
    return tiles[image, order]
