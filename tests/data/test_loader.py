"""An epoch has each image once, in batches whose sizes differ by at most one."""

import numpy as np
import pytest
import torch

from skssl.data import DeviceLoader, ImageStore


def loader(n, batch_size, seed=0):
    images = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1)
    store = ImageStore(images, np.arange(n))
    generator = torch.Generator().manual_seed(seed)
    return DeviceLoader(store, batch_size, generator, torch.device("cpu"))


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [
        (10, 4, [4, 3, 3]),
        (8, 4, [4, 4]),
        (9, 8, [5, 4]),
        (5, 64, [5]),
        (3, 2, [3]),  # no batch of one image
        (7, 2, [3, 2, 2]),
        (2, 2, [2]),
    ],
)
def test_batch_sizes(n, batch_size, sizes):
    batches = loader(n, batch_size)
    assert [len(batch.index) for batch in batches] == sizes
    assert len(batches) == len(sizes)


def test_epoch_has_each_image_once_with_its_index():
    batches = loader(101, 16)
    orders = []
    for _ in range(2):
        epoch = list(batches)
        images = torch.cat([batch.images for batch in epoch])
        index = torch.cat([batch.index for batch in epoch])
        assert torch.equal(images[:, 0, 0, 0].long(), index)
        assert torch.equal(index.sort().values, torch.arange(101))
        orders.append(index)
    assert not torch.equal(*orders)


def test_generator_determines_the_order():
    first, again, other = (
        torch.cat([batch.index for batch in loader(50, 16, seed)]) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
