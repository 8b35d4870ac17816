"""Rotation: exact quarter turns, and the loss of classifying them."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.augment import Augmentation
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext
from skssl.pretext.rotation import Rotation
from skssl.testing import tiny_cnn


def info(n_channels=1, image_size=(16, 16)):
    return TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=image_size, batch_size=4
    )


def images(n_channels, n=3):
    shape = (n, n_channels, 20, 20)
    return torch.randint(256, shape, generator=make_generator(0), dtype=torch.uint8)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_turning_back_gives_the_same_view_bit_for_bit(n_channels):
    task = Rotation().resolve(info(n_channels))
    views = task.views(images(n_channels), make_generator(1), size=(16, 16))
    assert len(views) == 4
    for k, view in enumerate(views):
        assert torch.equal(torch.rot90(view, -k, dims=(2, 3)), views[0])
        assert k == 0 or not torch.equal(view, views[0])


def test_the_first_quarter_turn_is_counter_clockwise():
    task = Rotation(augmentation="identity").resolve(info(image_size=(2, 2)))
    square = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)[None, None]
    _, turned, *_ = task.views(square, make_generator(0), size=(2, 2))
    assert (turned[0, 0] * 255).round().tolist() == [[2, 4], [1, 3]]


def test_loss_equals_the_formula():
    task = Rotation().resolve(info())
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        module = task.build(backbone, info()).train()
    views = task.views(images(1), make_generator(1), size=(16, 16))
    double = deepcopy(module).double()
    loss = module(views, torch.arange(3))
    with torch.no_grad():  # all turns are one batch for BatchNorm
        h = double.backbone(torch.cat(views).double()).numpy()
    weight, bias = (p.detach().numpy() for p in double.head.parameters())
    losses = []
    for y in range(4):
        for i in range(3):
            logits = weight @ h[3 * y + i] + bias
            losses.append(-np.log(np.exp(logits[y]) / np.exp(logits).sum()))
    assert len(losses) == 12
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_head_is_one_linear_layer():
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        head = Rotation().resolve(info()).build(backbone, info()).head
    assert sum(p.numel() for p in head.parameters()) == 16 * 4 + 4


def test_oblong_images_are_refused():
    with pytest.raises(ValueError, match=r"image_size must be square .* \(16, 20\)"):
        Rotation().resolve(info(image_size=(16, 20)))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_auto_neither_turns_nor_mirrors_top_bottom(n_channels):
    active = Rotation().resolve(info(n_channels)).augmentation.active()
    assert not active & {"rotation", "vertical_flip"}
    assert "horizontal_flip" in active


@pytest.mark.parametrize(
    "wrong", [Augmentation(rotation_deg=10), Augmentation(p_vertical_flip=0.5)]
)
def test_what_undoes_the_task_is_refused(wrong):
    with pytest.raises(ValueError, match="would undo what Rotation asks"):
        Rotation(augmentation=wrong).resolve(info())


def test_it_is_found_by_its_name():
    assert repr(get_pretext("rotation")) == "Rotation()"
