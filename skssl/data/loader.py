"""Shuffled batches of a store, indexed on the device."""

import math
from collections.abc import Iterator

import torch

from skssl.data.store import ImageStore


class DeviceLoader:
    """Iterate over a store in shuffled batches of nearly equal size.

    An epoch of n images has ceil(n / batch_size) batches whose sizes differ by at
    most one: nothing is dropped, and no short last batch upsets BatchNorm or the
    number of negatives. A batch has at least two images: where that needs it (an odd
    n in pairs), one batch is larger by one.

    Parameters
    ----------
    store : ImageStore
    batch_size : int
        Upper bound of the size of a batch, 2 or more.
    generator : torch.Generator
        On the CPU; draws the order of each epoch.
    device : torch.device
        Where the batches are wanted.

    Examples
    --------
    >>> import numpy as np
    >>> store = ImageStore(torch.zeros(10, 1, 4, 4, dtype=torch.uint8), np.arange(10))
    >>> loader = DeviceLoader(store, 4, torch.Generator(), torch.device("cpu"))
    >>> [len(images) for images, index in loader]
    [4, 3, 3]
    """

    def __init__(
        self,
        store: ImageStore,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device,
    ):
        self.store = store
        self.batch_size = batch_size
        self.generator = generator
        self.device = device

    def __len__(self) -> int:
        n = len(self.store)
        return max(1, min(math.ceil(n / self.batch_size), n // 2))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (images uint8 (b, C, H, W), index int64 (b,)), both on the device."""
        order = torch.randperm(len(self.store), generator=self.generator)
        images = self.store.images
        for part in torch.tensor_split(order, len(self)):
            index = part.to(images.device)
            batch = images.index_select(0, index)
            yield (
                batch.to(self.device, non_blocking=True),
                part.to(self.device, non_blocking=True),
            )
