"""A small network learns what these pretexts ask, and knows it of new patients."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from skssl import SelfSupervisedPretrainer
from skssl._random import make_generator
from skssl.augment import Augmentation
from skssl.datasets import make_scan_phantoms
from skssl.pretext.context_restoration import ContextRestoration
from skssl.pretext.flip import Flip
from skssl.pretext.jigsaw import Jigsaw
from skssl.pretext.rotation import Rotation

pytestmark = pytest.mark.slow

PX = 48


def small_cnn():
    """97,000 weights, so that a test takes half a minute."""
    layers, n_in = [], 3
    for n_out in (32, 64, 128):
        layers += [
            nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
        ]
        n_in = n_out
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def scans():
    """140 images to train on, and 112 of other patients, as they are."""
    train, test = (
        make_scan_phantoms(n_patients, image_size=64, random_state=seed).data
        for seed, n_patients in enumerate((40, 30))
    )
    unseen = torch.from_numpy(test)[:, None]  # (m, 1, 64, 64)
    unseen = functional.interpolate(unseen, (PX, PX), mode="bilinear", antialias=True)
    return train, unseen


@torch.no_grad()
def learn(task, scans, max_epochs):
    """Return the trained module, and what the task makes of the unseen images."""
    train, unseen = scans
    ssl = SelfSupervisedPretrainer(
        task,
        backbone=small_cnn,
        image_size=PX,
        max_epochs=max_epochs,
        keep_module=True,
        precision="float32",
        random_state=0,
    ).fit(train)
    asked = ssl.pretext_.set_params(augmentation=Augmentation())
    unseen = unseen.to(ssl.device_)
    views = asked.views(unseen, make_generator(0, ssl.device_), size=(PX, PX))
    return ssl.pretext_module_.eval(), views


def accuracy(module, views):
    if hasattr(module, "classify"):  # jigsaw
        tiles, label = views
        logits = module.classify(tiles)
    else:
        logits = module.head(module.backbone(torch.cat(views)))
        label = torch.arange(len(views), device=logits.device)
        label = label.repeat_interleave(len(views[0]))
    return (logits.argmax(1) == label).float().mean().item()


@torch.no_grad()
@pytest.mark.parametrize(
    ("task", "max_epochs", "at_least"),
    [(Rotation(), 40, 0.7), (Flip(), 40, 0.8), (Jigsaw(n_permutations=10), 15, 0.5)],
)
def test_labels_are_told_of_new_patients(task, max_epochs, at_least, scans):
    module, views = learn(task, scans, max_epochs)
    assert accuracy(module, views) > at_least


@torch.no_grad()
@pytest.mark.parametrize(
    ("task", "chance"),
    [(Rotation(), 1 / 4), (Flip(), 1 / 2), (Jigsaw(n_permutations=10), 1 / 10)],
)
def test_noise_reveals_no_label(task, chance):
    """Making the views must leave no traces in them that reveal the label."""
    noise = np.random.default_rng(0).integers(0, 256, (440, PX, PX), dtype=np.uint8)
    module, views = learn(task, (noise[:140], torch.from_numpy(noise[140:, None])), 15)
    assert accuracy(module, views) == pytest.approx(chance, abs=0.1)


@torch.no_grad()
def test_images_are_restored(scans):
    module, (corrupted, original) = learn(ContextRestoration(), scans, 60)
    error = functional.mse_loss(module.restore(corrupted), original)
    assert error < 0.6 * functional.mse_loss(corrupted, original)
    mean_image = original.mean(0, keepdim=True).expand_as(original)
    assert error < 0.9 * functional.mse_loss(mean_image, original)
