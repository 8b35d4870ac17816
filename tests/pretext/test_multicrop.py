"""Multi-crop: sizes and areas of the views, passes, and what is refused."""

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.augment import Augmentation
from skssl.engine.optimizers import make_optimizer
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext._multicrop import cross_view_entropy, encode_views, local_shape
from skssl.pretext.dino import DINO
from skssl.pretext.swav import SwAV

BOTH = pytest.mark.parametrize("method", [DINO, SwAV])
SMALL_HEAD = {"hidden_size": 7, "projection_size": 5, "n_prototypes": 6}


def info(image_size=(64, 64), **changes):
    settings = {"n_images": 6, "n_channels": 1, "batch_size": 3, **changes}
    return TrainingInfo(image_size=image_size, **settings)


def ramps(n, height, width):
    """Images whose first channel rises to the right, and the second downwards."""
    x = torch.linspace(0, 255, width).round().expand(height, width)
    y = torch.linspace(0, 255, height).round()[:, None].expand(height, width)
    image = torch.stack([x, y, torch.zeros_like(x)]).to(torch.uint8)
    return image.expand(n, -1, -1, -1).contiguous()


@pytest.mark.parametrize(
    ("local_size", "image_size", "expected"),
    [
        (None, (224, 224), (96, 96)),  # the papers'
        (None, (112, 112), (48, 48)),
        (None, (64, 64), (32, 32)),  # 3/7 would be 27
        (None, (32, 32), (32, 32)),
        (None, (28, 28), (28, 28)),  # has no 32
        (None, (112, 224), (48, 96)),
        (None, (224, 112), (96, 48)),
        (40, (80, 100), (40, 50)),
        (40, (20, 20), (20, 20)),
    ],
)
def test_size_of_local_views(local_size, image_size, expected):
    assert local_shape(local_size, image_size) == expected


@BOTH
def test_task_returns_the_smallest_size_that_the_backbone_gets(method):
    assert method().resolve(info()).input_size((64, 64)) == (32, 32)
    assert method().input_size((112, 224)) == (48, 96)
    assert method(n_local_views=0).input_size((64, 64)) == (64, 64)


@BOTH
def test_two_large_views_come_before_the_small_ones(method):
    task = method(n_local_views=3, local_size=32).resolve(info((48, 96)))
    images = torch.zeros(2, 1, 55, 110, dtype=torch.uint8)
    views = task.views(images, make_generator(0), size=(48, 96))
    shapes = [tuple(view.shape[-2:]) for view in views]
    assert shapes == [(48, 96)] * 2 + [(32, 64)] * 3


def test_local_views_are_crops_of_the_asked_area_even_where_others_are_whole():
    mirrored = Augmentation(p_horizontal_flip=1.0)
    task = SwAV(augmentation=mirrored, local_crop_scale=(0.2, 0.3), local_size=32)
    views = task.resolve(info(n_channels=3)).views(
        ramps(50, 64, 64), make_generator(0), size=(64, 64)
    )
    whole = ramps(50, 64, 64).flip(3) / 255
    assert all(torch.equal(view, whole) for view in views[:2])
    corners = []
    for view in views[2:]:
        left, right = view[:, 0, 16, 0], view[:, 0, 16, -1]
        assert (left > right).all()  # mirrored as the large views are
        height = view[:, 1, -1, 16] - view[:, 1, 0, 16]
        # From the centres of the outer pixels to the sides of the crop.
        share = (left - right) * height * (32 / 31) ** 2 * (63 / 64) ** 2
        assert share.min() > 0.19
        assert share.max() < 0.31
        assert share.max() - share.min() > 0.07  # drawn for each image
        corners.append(left)
    assert not torch.equal(corners[0], corners[1])  # and for each view


def test_neighbours_of_one_size_share_a_pass():
    passes = []

    def network(batch):
        passes.append(tuple(batch.shape))
        return batch.mean((1, 2, 3))[:, None]

    sizes = (6, 6, 4, 4, 4)
    views = tuple(
        torch.full((2, 1, size, size), float(i)) for i, size in enumerate(sizes)
    )
    h = encode_views(network, views)
    assert passes == [(4, 1, 6, 6), (6, 1, 4, 4)]
    assert h[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_cross_view_entropy_equals_its_sum():
    rng = np.random.default_rng(0)
    targets = rng.dirichlet(np.ones(4), size=(2, 3))
    logits = rng.normal(size=(5, 3, 4))
    terms = []
    for g in range(2):
        for v in range(5):
            for i in range(3):
                p = np.exp(logits[v, i] / 0.5)
                if v != g:
                    terms.append(-(targets[g, i] * np.log(p / p.sum())).sum())
    assert len(terms) == 2 * 4 * 3
    loss = cross_view_entropy(
        torch.from_numpy(targets).float(), torch.from_numpy(logits).float(), 0.5
    )
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


@BOTH
def test_network_of_one_size_needs_n_local_views_0(method):
    with isolated_rng(0):
        crnet = build_backbone("crnet", in_channels=1, image_size=(48, 48))
        with pytest.raises(ValueError, match=r"'crnet' cannot take.*n_local_views=0"):
            method(**SMALL_HEAD).resolve(info((48, 48))).build(crnet, info((48, 48)))
        for works in ({"n_local_views": 0}, {"local_size": 48}):
            task = method(**SMALL_HEAD, **works).resolve(info((48, 48)))
            images = torch.zeros(2, 1, 48, 48, dtype=torch.uint8)
            views = task.views(images, make_generator(0), size=(48, 48))
            module = task.build(crnet, info((48, 48)))
            assert module(views, torch.arange(2)).isfinite()


@BOTH
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"local_size": 65}, "local_size=65 of .* short side of the views, 64 px"),
        ({"local_crop_scale": (0.0, 0.3)}, "^local_crop_scale must be a pair"),
        ({"local_crop_scale": 0.3}, "'local_crop_scale' parameter of"),
        ({"n_local_views": -1}, "'n_local_views' parameter of"),
        ({"n_prototypes": 1}, "'n_prototypes' parameter of"),
        ({"freeze_prototypes": 1.5}, "'freeze_prototypes' parameter of"),
        ({"temperature": 0.0}, "'temperature' parameter of"),
    ],
)
def test_bad_parameters_are_named(method, parameters, message):
    with pytest.raises(ValueError, match=message):
        method(**parameters).resolve(info())


@BOTH
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_prototypes_are_frozen_at_first(method, optimizer):
    task = method(**SMALL_HEAD, n_local_views=0, freeze_prototypes=0.5)
    small = info((16, 16))
    with isolated_rng(0):
        net = torch.nn.Conv2d(1, 4, 3)
        backbone = build_backbone(net, in_channels=1, image_size=(16, 16))
        module = task.resolve(small).build(backbone, small)
        views = tuple(torch.rand(3, 1, 16, 16) for _ in range(2))
    weight = module.prototypes if method is SwAV else module.head.prototypes.weight
    optimizer = make_optimizer(optimizer, module, lr=0.01, weight_decay=0.1)
    start = torch.nn.functional.normalize(weight.detach().clone(), dim=1)
    moves = []
    for step in range(4):
        optimizer.zero_grad()
        module(views, torch.arange(3)).backward()
        optimizer.step()
        module.after_step((step + 1) / 4)
        now = torch.nn.functional.normalize(weight.detach(), dim=1)
        moves.append((now - start).abs().max().item())
    assert max(moves[:2]) < 1e-6  # the steps that begin before half of the training
    assert min(moves[2:]) > 1e-3


@BOTH
def test_a_restored_module_knows_what_is_frozen(method):
    task = method(**SMALL_HEAD, n_local_views=0, freeze_prototypes=0.5)
    small = info((16, 16))
    with isolated_rng(0):
        net = torch.nn.Conv2d(1, 4, 3)
        backbone = build_backbone(net, in_channels=1, image_size=(16, 16))
        module, restored = (task.resolve(small).build(backbone, small) for _ in "12")
        views = tuple(torch.rand(3, 1, 16, 16) for _ in range(2))
    for progress, is_frozen in ((0.25, True), (0.75, False)):
        module(views, torch.arange(3))
        module.after_step(progress)
        restored.load_state_dict(module.state_dict())
        weight = (
            restored.prototypes if method is SwAV else restored.head.prototypes.weight
        )
        weight.grad = None
        restored(views, torch.arange(3)).backward()
        assert (weight.grad is None) is is_frozen
