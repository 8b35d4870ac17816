"""What PIRL shows: turned images, tiles."""

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.pirl_jigsaw import PIRLJigsaw
from skssl.pretext.pirl_rotation import PIRLRotation

BOTH = pytest.mark.parametrize("method", [PIRLRotation, PIRLJigsaw])
PX = 16


def info_of(image_size=(PX, PX), groups=None):
    settings = {"n_channels": 1, "batch_size": 3, "groups": groups}
    return TrainingInfo(n_images=7, image_size=image_size, **settings)


def test_turned_view_is_one_of_four_turns_of_the_image():
    generator = make_generator(0)
    images = torch.randint(0, 256, (80, 1, PX, PX), generator=generator).byte()
    task = PIRLRotation(augmentation="identity").resolve(info_of())
    view, turned = task.views(images, generator, size=(PX, PX))
    plain = images.float() / 255
    torch.testing.assert_close(view, plain)
    found = [
        [k for k in range(4) if torch.allclose(t, p.rot90(k, (1, 2)), atol=1e-6)]
        for p, t in zip(plain, turned, strict=True)
    ]
    assert {len(turns) for turns in found} == {1}
    counts = np.bincount([turns[0] for turns in found], minlength=4)
    assert counts.min() >= 8  # of 80, 20 each are expected


def test_tiles_are_those_of_the_image_each_in_an_order_of_its_own():
    cells = torch.arange(9, dtype=torch.uint8).view(3, 3)
    image = cells.repeat_interleave(16, 0).repeat_interleave(16, 1)  # (48, 48)
    images = image.expand(40, 1, 48, 48).contiguous()
    info = info_of(image_size=(48, 48))
    task = PIRLJigsaw(augmentation="identity").resolve(info)
    _, tiles = task.views(images, make_generator(0), size=(48, 48))
    assert tiles.shape == (40, 9, 1, 32, 32)
    shown = (tiles.flatten(2).median(dim=2).values * 255).round().long()  # (40, 9)
    assert torch.equal(shown.sort(dim=1).values, torch.arange(9).expand(40, 9))
    assert len(shown.unique(dim=0)) == 40
    for place in range(9):  # a tile may come to any place
        assert len(shown[:, place].unique()) >= 7


@BOTH
def test_the_transformed_view_is_of_the_partner(method):
    images = torch.zeros(3, 1, 48, 48, dtype=torch.uint8)
    info = info_of(image_size=(48, 48), groups=torch.arange(7) // 3)
    task = method(augmentation="identity", same_group="positive").resolve(info)
    view, transformed = task.views(
        images, make_generator(0), size=(48, 48), partners=images + 255
    )
    assert view.max() == 0
    torch.testing.assert_close(transformed, torch.ones_like(transformed))


@pytest.mark.parametrize(
    ("image_size", "tile_size"),
    [((224, 224), 63), ((300, 200), 57), ((64, 64), 32), ((24, 40), 24)],
)
def test_tile_size_follows_the_image_size(image_size, tile_size):
    task = PIRLJigsaw().resolve(info_of(image_size=image_size))
    assert task.tile_size == tile_size
    assert task.input_size(image_size) == (tile_size, tile_size)
    kept = PIRLJigsaw(tile_size=40).resolve(info_of(image_size=image_size))
    assert kept.tile_size == 40
    assert kept.input_size((224, 36)) == (40, 36)  # the smallest that is passed


def test_jigsaw_refuses_a_backbone_of_one_size():
    info = info_of(image_size=(96, 96))
    with isolated_rng(0):
        backbone = build_backbone("crnet", in_channels=1, image_size=(96, 96))
        with pytest.raises(ValueError, match=r"pirl_jigsaw.*'crnet' cannot take"):
            PIRLJigsaw().resolve(info).build(backbone, info)


def test_rotation_needs_square_images():
    with pytest.raises(ValueError, match=r"image_size must be square, got 32 x 48"):
        PIRLRotation().resolve(info_of(image_size=(32, 48)))
