"""Partners: another image of the same patient, drawn anew for each epoch."""

import numpy as np
import torch

from skssl.data import DeviceLoader, ImageStore
from skssl.data.loader import draw_partners

GROUPS = torch.tensor([2, 0, 1, 2, 0, 2, 3])  # patients 1 and 3 have one image


def test_partners_are_other_images_of_the_group():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_partners(GROUPS, generator) for _ in range(400)])
    images = torch.arange(len(GROUPS))
    assert torch.equal(GROUPS[drawn], GROUPS.expand_as(drawn))
    alone = torch.tensor([2, 6])
    assert (drawn[:, alone] == alone).all()
    others = torch.tensor([0, 1, 3, 4, 5])
    assert (drawn[:, others] != images[others]).all()
    # Image 0 has two possible partners, 3 and 5, with equal probability.
    fraction = (drawn[:, 0] == 3).float().mean().item()
    assert 0.4 < fraction < 0.6


def test_batches_have_partners():
    images = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1)
    loader = DeviceLoader(
        ImageStore(images, np.arange(7)),
        3,
        torch.Generator().manual_seed(0),
        torch.device("cpu"),
        partner_groups=GROUPS,
    )
    for batch in loader:
        assert torch.equal(batch.images.flatten().long(), batch.index)
        partner = batch.partners.flatten().long()
        assert torch.equal(GROUPS[partner], GROUPS[batch.index])


def test_partners_do_not_change_the_order():
    store = ImageStore(torch.zeros(7, 1, 1, 1, dtype=torch.uint8), np.arange(7))

    def orders(groups):
        loader = DeviceLoader(
            store,
            3,
            torch.Generator().manual_seed(0),
            torch.device("cpu"),
            partner_groups=groups,
        )
        batches = list(loader)
        return torch.cat([b.index for b in batches]), batches[0].partners

    plain, partners = orders(None)
    assert partners is None
    assert torch.equal(plain, orders(GROUPS)[0])
