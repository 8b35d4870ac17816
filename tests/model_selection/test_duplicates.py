"""The hash and the rule for neighbours, against values by hand."""

import math

import numpy as np
import pytest

from skssl.model_selection._audit.duplicates import (
    equal_sets,
    near_pairs,
    nearest_pairs,
    perceptual_hash,
)


def everything(a, b):
    return np.ones(len(a), bool)


def hash_by_hand(image):
    """Zauner's hash as the sums of its definition, without any transform."""
    n = 32
    values = []
    for u in range(1, 9):
        for v in range(1, 9):
            total = 0.0
            for y in range(n):
                for x in range(n):
                    wave_y = math.cos(math.pi * (2 * y + 1) * u / (2 * n))
                    wave_x = math.cos(math.pi * (2 * x + 1) * v / (2 * n))
                    total += image[y, x] * wave_y * wave_x
            values.append(total)
    middle = sorted(values)[31:33]
    return [value > sum(middle) / 2 for value in values]


def test_features_of_two_columns_give_no_alarm(rng):
    """Their distances are below what products of float32 tell apart."""
    alarms = 0
    for _ in range(10):
        (a, _, _), _ = nearest_pairs(
            rng.normal(size=(300, 2)),
            np.arange(300),
            lambda a, b: np.full(len(a), True),
        )
        alarms += len(a) > 0
    assert alarms <= 2


def test_the_hash_is_that_of_its_definition(rng):
    image = rng.integers(0, 256, (32, 32)).astype(float)
    (bits,) = perceptual_hash(image[None])
    assert bits.tolist() == hash_by_hand(image)


def test_a_single_wave_sets_a_single_bit():
    """cos(2 y) cos(3 x) is frequency (2, 3): row 1, column 2 of the 8 × 8 block."""
    wave = np.cos(math.pi * (2 * np.arange(32) + 1)[:, None] * [2 / 64, 3 / 64])
    image = 100 + 50 * np.outer(wave[:, 0], wave[:, 1])
    (bits,) = perceptual_hash(image[None])
    assert np.flatnonzero(bits).tolist() == [1 * 8 + 2]
    (negative,) = perceptual_hash(200 - image[None])
    assert np.flatnonzero(negative).tolist() == []


def test_brightness_and_contrast_do_not_change_the_hash(rng):
    image = rng.random((32, 32))
    bits = perceptual_hash(np.stack([image, 0.3 * image + 20, -image]))
    np.testing.assert_array_equal(bits[0], bits[1])
    assert np.sum(bits[0] != bits[2]) == 64


def test_near_pairs_are_correlated_by_values_or_by_ranks(rng):
    image = rng.normal(size=(32, 32))
    shown = np.stack(
        [
            image,
            2 * image + 1,  # r = 1
            np.exp(image / 2),  # the same ranks
            image + rng.normal(scale=0.2, size=(32, 32)),  # r = 0.98, as of ranks
            rng.normal(size=(32, 32)),
        ]
    ).astype(np.float32)
    a, b, similarity = near_pairs(shown, everything)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(similarity, 1, atol=1e-6)
    a, b, _ = near_pairs(shown, lambda a, b: b != 2)
    assert (a.tolist(), b.tolist()) == ([0], [1])


def test_pairs_across_blocks_are_found(rng):
    shown = rng.normal(size=(1300, 32, 32)).astype(np.float32)
    shown[1299] = shown[3]
    shown[700] = shown[600]
    a, b, _ = near_pairs(shown, everything)
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(3, 1299), (600, 700)]


def test_without_images_there_are_no_pairs():
    a, b, similarity = near_pairs(np.zeros((0, 32, 32), np.float32), everything)
    assert len(a) == len(b) == len(similarity) == 0


def test_equal_sets_keep_the_order():
    digests = np.array([b"b", b"a", b"c", b"a", b"b", b"b"])
    assert [rows.tolist() for rows in equal_sets(digests)] == [[0, 4, 5], [1, 3]]


def test_the_ratio_of_neighbours_by_hand(rng):
    """Seven patients of two images: the sixth nearest is the farthest of all others."""
    patients = np.repeat(np.arange(7), 2)
    h = rng.normal(size=(14, 4))
    centred = h - h.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    ratios = []
    for i in range(14):
        to_others = [
            min(np.linalg.norm(unit[i] - unit[j]) for j in (2 * k, 2 * k + 1))
            for k in range(7)
            if k != patients[i]
        ]
        ratios.append(min(to_others) / max(to_others))
    # The least of five uniform numbers is below 1 - 0.5^(1/5) = 0.1294 in one of two.
    dimension = math.log(1 - 0.5**0.2) / math.log(np.median(ratios))
    _, ratio = nearest_pairs(h, patients, everything)
    assert ratio == pytest.approx((0.05 / (14 * 5)) ** (1 / dimension), rel=1e-4)


@pytest.mark.parametrize(("n_dimensions", "n"), [(3, 300), (10, 300), (100, 100)])
def test_few_sets_without_copies_have_neighbours(rng, n_dimensions, n):
    """One of twenty should; 6 of 40 or more have a chance of 0.014 then."""
    n_alarms = 0
    for _ in range(40):
        h = rng.normal(size=(n, n_dimensions))
        (a, _, _), _ = nearest_pairs(h, np.arange(n), everything)
        n_alarms += len(a) > 0
    assert n_alarms < 6


def test_slices_of_a_patient_are_no_neighbours(rng):
    h = rng.normal(size=(40, 6))
    h[1], h[3] = h[0], h[2]
    patients = np.arange(40)
    patients[1:] -= 1
    (a, b, _), _ = nearest_pairs(h, patients, everything)
    assert (a.tolist(), b.tolist()) == ([2], [3])
