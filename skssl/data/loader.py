"""Shuffled batches of a store, indexed on the device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from skssl.data.store import ImageStore


@dataclass(frozen=True)
class Batch:
    """The input of a training step.

    Parameters
    ----------
    images : Tensor of shape (b, C, H, W), uint8
    index : Tensor of shape (b,), int64
        The position of each image in the store.
    partners : Tensor of shape (b, C, H, W), uint8, or None
        For each image, another image of the same patient.
    """

    images: torch.Tensor
    index: torch.Tensor
    partners: torch.Tensor | None = None


class DeviceLoader:
    """Iterate over a store in shuffled batches of nearly equal size.

    An epoch of n images has ceil(n / batch_size) batches whose sizes differ by at most
    one. No image is dropped, and no small last batch affects batch normalisation or the
    number of negatives. A batch has at least two images. If n is odd and ``batch_size``
    is 2, one batch therefore has three.

    Parameters
    ----------
    store : ImageStore
    batch_size : int
        Maximal size of a batch, at least 2; see above for the exception.
    generator : torch.Generator
        Draws the order of each epoch, on the CPU.
    device : torch.device
        Device of the batches.
    partner_groups : Tensor of shape (n,), int64, optional
        The patient of each image. If given, batches have partners, drawn in each epoch
        from the other images of the patient. An image that is the only one of its
        patient is its own partner.

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
        # sync: indices move to the device of the store once per epoch.
        stored_on = self.store.device
        order = torch.randperm(len(self.store), generator=self.generator).to(stored_on)
        partners = None
        if self.partner_groups is not None:
            partners = draw_partners(self.partner_groups, self.generator).to(stored_on)
        for index in torch.tensor_split(order, len(self)):
            yield Batch(
                self._take(index),
                index.to(self.device, non_blocking=True),
                None if partners is None else self._take(partners[index]),
            )

    def _take(self, index: torch.Tensor) -> torch.Tensor:
        """Return images of the store on the device."""
        taken = self.store.take(index)
        return taken.to(self.device, non_blocking=True)


def draw_partners(groups: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw another image of the same group for each image, or itself if there is none.

    Parameters
    ----------
    groups : Tensor of shape (n,), int64
        Consecutive numbers from 0.
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
    start = size.cumsum(0) - size  # first position of each group in order
    position = torch.empty_like(order)
    position[order] = torch.arange(n)
    others = size[groups] - 1
    # Step 1 to `others` positions ahead, wrapping around within the group.
    step = 1 + (torch.rand(n, generator=generator) * others).long()
    step = torch.minimum(step, others)  # rand() may round up to 1
    first = start[groups]
    return order[first + (position - first + step) % size[groups]]
