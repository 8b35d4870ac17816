"""The documented rules for what is not given."""

import numpy as np
import pytest
import torch

from skssl._pretrain.defaults import (
    default_batch_size,
    default_max_epochs,
    default_warmup_epochs,
)
from skssl._rows import draw_rows
from skssl.data import choose_image_size, choose_store_size

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("n_images", "px", "device", "expected"),
    [
        (5, 32, CPU, 5),
        (100, 32, CPU, 16),
        (543, 112, CPU, 32),
        (1543, 112, CPU, 32),
        (10_000, 32, CPU, 256),
        (10_000, 112, CPU, 32),
        (10_000, 224, CPU, 8),
        (10_000, 1000, CPU, 8),
        (10_000, 224, CUDA, 256),
        (1_000_000, 224, CUDA, 256),
    ],
)
def test_batch_size(n_images, px, device, expected):
    assert default_batch_size(n_images, (px, px), device) == expected


@pytest.mark.parametrize(
    ("n_images", "batch_size", "expected"),
    [(543, 32, 59), (10_000, 256, 25), (100_000, 256, 10), (20, 16, 200)],
)
def test_max_epochs(n_images, batch_size, expected):
    assert default_max_epochs(n_images, batch_size) == expected


@pytest.mark.parametrize(
    ("epochs", "expected"), [(0, 0), (5, 0), (20, 1), (111, 6), (1000, 10)]
)
def test_warmup_epochs(epochs, expected):
    assert default_warmup_epochs(epochs) == expected


@pytest.mark.parametrize(
    ("image_size", "native", "expected"),
    [
        (None, (96, 80), (96, 80)),
        (None, (512, 512), (224, 224)),
        (None, None, (224, 224)),
        (None, (1, 64), (1, 64)),
        (None, (1, 4096), (1, 224)),
        (112, (96, 80), (112, 112)),
        ((64, 48), None, (64, 48)),
    ],
)
def test_image_size(image_size, native, expected):
    assert choose_image_size(image_size, native) == expected


@pytest.mark.parametrize(
    ("image_size", "native", "expected"),
    [
        ((224, 224), None, (256, 256)),
        ((112, 112), (500, 400), (128, 128)),
        ((112, 112), (112, 112), (112, 112)),
        ((112, 112), (28, 28), (28, 28)),
        ((1, 63), (1, 63), (1, 63)),
        ((1, 224), (1, 4096), (1, 256)),
    ],
)
def test_store_size(image_size, native, expected):
    assert choose_store_size(image_size, native) == expected


def test_rows_of_whole_patients_come_near_the_share(rng):
    groups = rng.integers(0, 20, 100)
    for fraction in (0.1, 0.3, 0.7):
        rows = draw_rows(100, fraction, groups, seed=0)
        assert abs(len(rows) - fraction * 100) <= np.bincount(groups).max() / 2
        kept = set(groups[rows])
        assert set(rows) == set(range(100)) & {
            row for row in range(100) if groups[row] in kept
        }
