"""Tiles of images, and permutations of them that differ as much as possible.

Noroozi & Favaro 2016.
"""

from functools import lru_cache
from math import factorial

import numpy as np
import torch

from skssl.augment.geometry import affine_matrices, warp_affine

__all__ = ["cut_tiles", "maximal_hamming_permutations"]

_MAX_TILES = 9  # all 9! = 362,880 permutations are compared


def cut_tiles(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    grid: int = 3,
    tile_size: int,
    tile_fraction: float = 0.85,
) -> torch.Tensor:
    """Cut one square tile out of each cell of a grid, at a random position in the cell.

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    grid : int, default=3
        The image is divided into grid x grid cells of equal size.
    tile_size : int
        Height and width to which the tiles are resampled, pixels.
    tile_fraction : float, default=0.85
        Side of the region that is cut out, as a fraction of the cell's side, in (0, 1].
        Below 1, neighbouring tiles have a gap of random width between them, so that
        edges do not continue from one to the other.

    Returns
    -------
    torch.Tensor of shape (n, grid * grid, C, tile_size, tile_size), float32
        The tiles of each image, row by row.

    Raises
    ------
    ValueError
        If ``grid`` or ``tile_size`` is below 1, or ``tile_fraction`` out of range.

    References
    ----------
    .. [1] M. Noroozi, P. Favaro. "Unsupervised Learning of Visual Representations by
       Solving Jigsaw Puzzles", ECCV 2016. :doi:`10.1007/978-3-319-46466-4_5`

    Examples
    --------
    >>> import torch
    >>> from skssl.augment import cut_tiles
    >>> images, generator = torch.rand(2, 1, 60, 60), torch.Generator().manual_seed(0)
    >>> cut_tiles(images, generator, tile_size=17).shape
    torch.Size([2, 9, 1, 17, 17])
    """
    if grid < 1 or tile_size < 1 or not 0 < tile_fraction <= 1:
        raise ValueError(
            "grid and tile_size must be at least 1 and tile_fraction in (0, 1], got "
            f"grid={grid}, tile_size={tile_size}, tile_fraction={tile_fraction}."
        )
    n_images, n_channels, height, width = images.shape
    n_tiles = grid * grid
    shape = (n_images, n_tiles, 2)
    shift = torch.rand(shape, generator=generator, device=images.device) - 0.5
    cell = torch.arange(n_tiles, device=images.device)
    cell_xy = torch.stack([cell % grid, cell // grid], dim=1)  # (n_tiles, 2)
    centre = (cell_xy + 0.5 + shift * (1 - tile_fraction)) / grid  # (n, n_tiles, 2)
    side = torch.full_like(centre, tile_fraction / grid)
    boxes = torch.cat([centre, side], dim=2).flatten(0, 1)  # (n * n_tiles, 4)
    tiles = warp_affine(
        images.repeat_interleave(n_tiles, dim=0),
        affine_matrices(boxes, (height, width)),
        (tile_size, tile_size),
        padding_mode="border",
    )
    return tiles.view(n_images, n_tiles, n_channels, tile_size, tile_size)


def maximal_hamming_permutations(
    n_permutations: int, n_tiles: int = 9, *, seed: int = 0
) -> torch.Tensor:
    """Choose permutations that differ from each other in many positions.

    Parameters
    ----------
    n_permutations : int
        Number of permutations, at most n_tiles!.
    n_tiles : int, default=9
        Number of elements that are permuted, 1 to 9.
    seed : int, default=0
        Seed of the first permutation, which is drawn at random.

    Returns
    -------
    torch.Tensor of shape (n_permutations, n_tiles), int64
        Different permutations of 0, …, n_tiles - 1, on the CPU. With the same seed, a
        larger number starts with the same permutations.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    Algorithm 1 of the paper: the next permutation is the one whose Hamming distances to
    those already chosen have the largest sum. Ties are resolved by the largest smallest
    distance (**our choice**, since the paper leaves it open), then by lexicographic
    order.

    References
    ----------
    .. [1] M. Noroozi, P. Favaro. "Unsupervised Learning of Visual Representations by
       Solving Jigsaw Puzzles", ECCV 2016. :doi:`10.1007/978-3-319-46466-4_5`

    Examples
    --------
    >>> from skssl.augment import maximal_hamming_permutations
    >>> maximal_hamming_permutations(3, 3)
    tensor([[2, 1, 0],
            [0, 2, 1],
            [1, 0, 2]])
    """
    if not 1 <= n_tiles <= _MAX_TILES:
        raise ValueError(f"n_tiles must be in [1, {_MAX_TILES}], got {n_tiles}.")
    if not 1 <= n_permutations <= factorial(n_tiles):
        raise ValueError(
            f"n_permutations of {n_tiles} tiles must be in [1, {factorial(n_tiles)}], "
            f"got {n_permutations}."
        )
    # A copy, so that no caller can change what the cache holds.
    return torch.from_numpy(_choose(n_permutations, n_tiles, seed).copy())


@lru_cache(maxsize=8)
def _choose(n_permutations: int, n_tiles: int, seed: int) -> np.ndarray:
    every = _all_permutations(n_tiles)  # (n_tiles, n_tiles!)
    n_every = every.shape[1]
    total = np.zeros(n_every, dtype=np.int32)
    smallest = np.full(n_every, n_tiles, dtype=np.int32)
    chosen = [int(np.random.default_rng(seed).integers(n_every))]
    while len(chosen) < n_permutations:
        distance = (every != every[:, chosen[-1], None]).sum(axis=0, dtype=np.int8)
        total += distance
        np.minimum(smallest, distance, out=smallest)
        # A chosen permutation has distance 0 to itself, and is never chosen again.
        score = np.where(smallest > 0, total * (n_tiles + 1) + smallest, -1)
        chosen.append(int(score.argmax()))
    return every[:, chosen].T.astype(np.int64)


def _all_permutations(n_tiles: int) -> np.ndarray:
    """Return every permutation as a column, in lexicographic order, (n, n!) int8."""
    every = np.zeros((1, 1), dtype=np.int8)
    for n in range(2, n_tiles + 1):
        first = np.arange(n, dtype=np.int8)[:, None, None]  # (n, 1, 1)
        rest = every + (every >= first)  # (n, n - 1, (n - 1)!), without the first
        first = np.broadcast_to(first, (n, 1, every.shape[1]))
        joined = np.concatenate([first, rest], axis=1, dtype=np.int8)
        every = joined.transpose(1, 0, 2).reshape(n, -1)
    return every
