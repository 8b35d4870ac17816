"""Tiles where their cells are, and permutations that differ as the paper asks."""

from itertools import permutations

import pytest
import torch

from skssl._random import make_generator
from skssl.augment import cut_tiles, maximal_hamming_permutations


def coordinate_ramps(n, height, width):
    """Channel 0 holds the x, channel 1 the y of each pixel's centre, in [0, 1]."""
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    ramps = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return ramps.expand(n, 2, height, width).contiguous()


@pytest.mark.parametrize(("grid", "height", "width"), [(3, 12, 12), (2, 8, 12)])
def test_whole_cells_are_the_image_cut_up(grid, height, width):
    images = torch.rand(2, 3, height, width, generator=make_generator(0))
    cell_h, cell_w = height // grid, width // grid
    tiles = cut_tiles(
        images, make_generator(1), grid=grid, tile_size=cell_h, tile_fraction=1
    )
    assert tiles.shape == (2, grid * grid, 3, cell_h, cell_h)
    if cell_h != cell_w:  # squeezed to squares: only rows can be compared
        return
    for place in range(grid * grid):
        top, left = place // grid * cell_h, place % grid * cell_w
        expected = images[:, :, top : top + cell_h, left : left + cell_w]
        torch.testing.assert_close(tiles[:, place], expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("fraction", [0.5, 0.85, 1.0])
def test_each_tile_is_a_box_inside_its_cell(fraction):
    n, tile_size = 50, 12
    images = coordinate_ramps(n, 180, 120)
    tiles = cut_tiles(
        images, make_generator(0), tile_size=tile_size, tile_fraction=fraction
    )
    side = fraction / 3
    # Between the centres of the first and the last pixel of a tile.
    span = side * (1 - 1 / tile_size)
    x, y = tiles[:, :, 0], tiles[:, :, 1]
    width, height = x[..., 0, -1] - x[..., 0, 0], y[..., -1, 0] - y[..., 0, 0]
    torch.testing.assert_close(width, torch.full((n, 9), span), atol=2e-5, rtol=0)
    torch.testing.assert_close(height, torch.full((n, 9), span), atol=2e-5, rtol=0)
    room = (1 / 3 - side) / 2
    for place in range(9):
        for axis, cell in ((0, place % 3), (1, place // 3)):
            centre = tiles[:, place, axis].mean((1, 2))  # (n,)
            shift = centre - (cell + 0.5) / 3
            assert shift.abs().max() <= room + 2e-5
            if room:  # 50 uniform draws reach 0.8 of the room on either side
                assert shift.min() < -0.8 * room
                assert shift.max() > 0.8 * room


def test_places_are_drawn_for_each_image_tile_and_axis():
    tiles = cut_tiles(coordinate_ramps(4, 60, 60), make_generator(0), tile_size=10)
    cell = torch.arange(9)
    x = tiles[:, :, 0].mean((2, 3)) - (cell % 3 + 0.5) / 3
    y = tiles[:, :, 1].mean((2, 3)) - (cell // 3 + 0.5) / 3
    shifts = torch.stack([x, y]).flatten()
    assert len(shifts.mul(1e4).round().unique()) > 0.9 * len(shifts)


def test_tiles_depend_on_the_generator_only():
    images = torch.rand(2, 1, 30, 30, generator=make_generator(0))
    first, same, other = (
        cut_tiles(images, make_generator(seed), tile_size=8) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "wrong", [{"grid": 0}, {"tile_size": 0}, {"tile_fraction": 0}, {"tile_fraction": 2}]
)
def test_bad_tiles_are_refused(wrong):
    parameters = {"tile_size": 8, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        cut_tiles(torch.rand(1, 1, 9, 9), make_generator(0), **parameters)


def distances(chosen):
    """Hamming distance of each pair, with loops."""
    return [
        sum(a != b for a, b in zip(first, second, strict=True))
        for i, first in enumerate(chosen)
        for second in chosen[:i]
    ]


@pytest.mark.parametrize("seed", range(6))
def test_three_of_three_tiles_are_the_cyclic_turns(seed):
    # By hand: from any order of three, only its two cyclic shifts differ everywhere.
    chosen = maximal_hamming_permutations(3, 3, seed=seed).tolist()
    a, b, c = chosen[0]
    assert sorted(chosen[1:]) == sorted([[b, c, a], [c, a, b]])


def test_all_permutations_are_chosen_once():
    chosen = maximal_hamming_permutations(24, 4).tolist()
    assert sorted(map(tuple, chosen)) == sorted(permutations(range(4)))


def test_each_choice_is_the_greedy_one():
    every = list(permutations(range(4)))
    chosen = [tuple(row) for row in maximal_hamming_permutations(12, 4).tolist()]
    for k in range(1, 12):
        score = {}
        for candidate in every:
            if candidate not in chosen[:k]:
                to_chosen = [
                    sum(a != b for a, b in zip(candidate, other, strict=True))
                    for other in chosen[:k]
                ]
                score[candidate] = (sum(to_chosen), min(to_chosen))
        best = max(score.values())
        assert chosen[k] == next(c for c in every if score.get(c) == best)


def test_a_hundred_of_nine_reach_the_largest_possible_mean():
    chosen = maximal_hamming_permutations(100).tolist()
    assert sorted(chosen[40]) == list(range(9))
    assert min(distances(chosen[:9])) == 9  # a Latin square
    # By hand: 100 orders put some tile 12 times and eight tiles 11 times on each
    # place at best, so 66 + 8 * 55 = 506 of the 4,950 pairs agree there.
    assert sum(distances(chosen)) == 9 * (4950 - 506)


def test_more_permutations_begin_with_the_same():
    few, many = (maximal_hamming_permutations(n) for n in (10, 30))
    assert few.dtype == torch.int64
    assert torch.equal(few, many[:10])
    few.zero_()
    assert torch.equal(maximal_hamming_permutations(10), many[:10])


def test_the_seed_draws_the_first():
    firsts = [
        maximal_hamming_permutations(1, 9, seed=seed)[0].tolist() for seed in range(8)
    ]
    assert len(set(map(tuple, firsts))) == 8
    assert sorted(firsts[0]) == list(range(9))


@pytest.mark.parametrize(("n", "n_tiles"), [(0, 3), (7, 3), (2, 0), (2, 10)])
def test_impossible_numbers_are_refused(n, n_tiles):
    with pytest.raises(ValueError, match=r"n_(permutations|tiles)"):
        maximal_hamming_permutations(n, n_tiles)
