"""Shuffled batches of a store, indexed on the device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from skssl.data.store import ImageStore


@dataclass(frozen=True)
class Batch:
    """What a training step gets.

    Parameters
    ----------
    images : Tensor of shape (b, C, H, W), uint8
    index : Tensor of shape (b,), int64
        The number of each image in the store.
    partners : Tensor of shape (b, C, H, W), uint8, or None
        Another image of each image's patient.
    """

    images: torch.Tensor
    index: torch.Tensor
    partners: torch.Tensor | None = None


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
        Upper bound of the size of a batch, 2 or more, but for the case above.
    generator : torch.Generator
        On the CPU; draws the order of each epoch.
    device : torch.device
        Where the batches are wanted.
    partner_groups : Tensor of shape (n,), int64, optional
        The patient of each image: batches then have partners, drawn anew each time
        from the patient's other images. Where there is none, it is the image itself.

    Examples
    --------
    >>> import numpy as np
    >>> store = ImageStore(torch.zeros(10, 1, 4, 4, dtype=torch.uint8), np.arange(10))
    >>> loader = DeviceLoader(store, 4, torch.Generator(), torch.device("cpu"))
    >>> [len(batch.index) for batch in loader]
    [4, 3, 3]
    """

    def __init__(
        self,
        store: ImageStore,
        batch_size: int,
        generator: torch.Generator,
        device: torch.device,
        partner_groups: torch.Tensor | None = None,
    ):
        self.store = store
        self.batch_size = batch_size
        self.generator = generator
        self.device = device
        self.partner_groups = partner_groups

    def __len__(self) -> int:
        n = len(self.store)
        return max(1, min(math.ceil(n / self.batch_size), n // 2))

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches on the device."""
        # Moved to the store's device once an epoch, for which the host waits.
        home = self.store.images.device
        order = torch.randperm(len(self.store), generator=self.generator).to(home)
        partner_of = None
        if self.partner_groups is not None:
            partner_of = draw_partners(self.partner_groups, self.generator).to(home)
        for index in torch.tensor_split(order, len(self)):
            yield Batch(
                self._take(index),
                index.to(self.device, non_blocking=True),
                None if partner_of is None else self._take(partner_of[index]),
            )

    def _take(self, index: torch.Tensor) -> torch.Tensor:
        """Return images of the store, on the device."""
        taken = self.store.images.index_select(0, index)
        return taken.to(self.device, non_blocking=True)


def draw_partners(groups: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw for each image another one of its group; itself where it is alone.

    Parameters
    ----------
    groups : Tensor of shape (n,), int64
        Numbers from 0 without gaps.
    generator : torch.Generator

    Returns
    -------
    Tensor of shape (n,), int64

    Examples
    --------
    >>> draw_partners(torch.tensor([1, 0, 1]), torch.Generator())
    tensor([2, 1, 0])
    """
    n = len(groups)
    order = groups.argsort(stable=True)  # images by group
    size = groups.bincount()
    start = size.cumsum(0) - size  # the group's first place in order
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    others = size[groups] - 1
    # A step of 1 to `others` places, around the end of the group.
    step = 1 + (torch.rand(n, generator=generator) * others).long()
    step = torch.minimum(step, others)  # rand() may round up to 1
    first = start[groups]
    return order[first + (place - first + step) % size[groups]]
