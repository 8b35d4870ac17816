"""Flip: exact mirror images, and the loss of classifying them."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.augment import Augmentation
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext
from skssl.pretext.flip import Flip
from skssl.testing import tiny_cnn


def info(n_channels=1, image_size=(16, 20)):
    return TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=image_size, batch_size=4
    )


def images(n_channels, n=3):
    shape = (n, n_channels, 20, 24)
    return torch.randint(256, shape, generator=make_generator(0), dtype=torch.uint8)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_mirroring_back_gives_the_same_view_bit_for_bit(n_channels):
    task = Flip().resolve(info(n_channels))
    views = task.views(images(n_channels), make_generator(1), size=(16, 20))
    assert len(views) == 2
    assert torch.equal(views[1].flip(3), views[0])
    assert not torch.equal(views[1], views[0])


def test_left_and_right_change_places():
    task = Flip(augmentation="identity").resolve(info(image_size=(2, 2)))
    square = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)[None, None]
    plain, mirrored = task.views(square, make_generator(0), size=(2, 2))
    assert (plain[0, 0] * 255).round().tolist() == [[1, 2], [3, 4]]
    assert (mirrored[0, 0] * 255).round().tolist() == [[2, 1], [4, 3]]


def test_loss_is_the_binary_cross_entropy_of_the_paper():
    task = Flip().resolve(info())
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 20))
        module = task.build(backbone, info()).train()
    views = task.views(images(1), make_generator(1), size=(16, 20))
    double = deepcopy(module).double()
    loss = module(views, torch.arange(3))
    with torch.no_grad():  # both are one batch for BatchNorm
        h = double.backbone(torch.cat(views).double()).numpy()
    weight, bias = (p.detach().numpy() for p in double.head.parameters())
    losses = []
    for flipped in (0, 1):
        for i in range(3):
            # One sigmoid output: the difference of the two logits.
            logit = (weight[1] - weight[0]) @ h[3 * flipped + i] + bias[1] - bias[0]
            p = 1 / (1 + np.exp(-logit))
            losses.append(-(flipped * np.log(p) + (1 - flipped) * np.log(1 - p)))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_auto_does_not_flip(n_channels):
    active = Flip().resolve(info(n_channels)).augmentation.active()
    assert not active & {"horizontal_flip", "vertical_flip"}
    assert "crop" in active


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_what_undoes_the_task_is_refused(axis):
    wrong = Augmentation(**{f"p_{axis}_flip": 0.5})
    with pytest.raises(ValueError, match=f"{axis}_flip would undo what Flip asks"):
        Flip(augmentation=wrong).resolve(info())


def test_it_is_found_by_its_name():
    assert repr(get_pretext("flip")) == "Flip()"
