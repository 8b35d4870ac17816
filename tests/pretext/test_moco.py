"""MoCo: loss, queue and moving average against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import MoCo, TrainingInfo
from skssl.testing import tiny_cnn

PUBLISHED = {"in_batch_negatives": False, "batch_norm": False}


def make(n_images=6, **parameters):
    settings = {"hidden_size": 7, "projection_size": 5, "queue_size": 8, **parameters}
    settings = PUBLISHED | settings
    info = TrainingInfo(n_images, 1, (16, 16), batch_size=3)
    task = MoCo(**settings).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return task.build(backbone, info).train()


def random_views(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@torch.no_grad()
def query_and_key(module, views):
    """Unit-norm q and k in float64, from a copy."""
    double = deepcopy(module).double()
    q = double.projector(double.backbone(views[0].double()))
    k = double.target_projector(double.target_backbone(views[1].double()))
    return unit(q.numpy()), unit(k.numpy())


def info_nce_by_loops(q, k, queue, temperature, masked):
    """Algorithm 1 of He et al. 2020, term by term in float64."""
    losses = []
    for i in range(len(q)):
        positive = np.exp(q[i] @ k[i] / temperature)
        negatives = sum(
            np.exp(q[i] @ queue[j] / temperature)
            for j in range(len(queue))
            if not masked[i, j]
        )
        losses.append(-np.log(positive / (positive + negatives)))
    return float(np.mean(losses))


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_loss_equals_the_formula(exclude, batch_norm):
    module = make(temperature=0.2, exclude_same_image=exclude, batch_norm=batch_norm)
    first = torch.tensor([0, 1, 2])
    module(random_views(3, 0), first)
    module.after_step(0.1)  # the queue now holds keys of images 0, 1 and 2
    index = torch.tensor([2, 3, 0])
    views = random_views(3, 1)
    q, k = query_and_key(module, views)
    loss = module(views, index)
    held = module.queue.index.numpy()
    masked = (held[None] == index.numpy()[:, None]) & exclude
    assert masked.sum() == (2 if exclude else 0)  # images 2 and 0 are in the queue
    queue = module.queue.features.double().numpy()
    expected = info_nce_by_loops(q, k, queue, 0.2, masked)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("images", [[2, 3, 0], [5, 5, 0]])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_other_keys_of_the_batch_join_the_negatives(exclude, images, batch_norm):
    module = make(
        in_batch_negatives=True, exclude_same_image=exclude, batch_norm=batch_norm
    )
    module(random_views(3, 0), torch.tensor([0, 1, 2]))
    module.after_step(0.1)
    index, views = torch.tensor(images), random_views(3, 1)
    q, k = query_and_key(module, views)
    loss = module(views, index)
    key_image = np.array([*images, *module.queue.index])
    masked = (key_image[None] == index.numpy()[:, None]) & exclude
    masked[:, :3] |= np.eye(3, dtype=bool)  # the positive is no negative
    negatives = np.vstack([k, module.queue.features.double().numpy()])
    expected = info_nce_by_loops(q, k, negatives, 0.2, masked)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_projector_is_that_of_the_version_asked_for():
    kinds = [type(layer).__name__ for layer in make().projector]
    assert kinds == ["Linear", "ReLU", "Linear"]
    projector = make(batch_norm=True).projector
    kinds = [type(layer).__name__ for layer in projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert not projector[-1].affine


def test_version_1_has_a_linear_projector_and_the_same_loss():
    module = make(hidden_size=None, temperature=0.07)
    assert [type(layer).__name__ for layer in module.projector] == ["Linear"]
    assert module.projector[0].weight.shape == (5, module.backbone.n_features)
    views = random_views(3, 1)
    q, k = query_and_key(module, views)
    loss = module(views, torch.arange(3))
    queue = module.queue.features.double().numpy()
    expected = info_nce_by_loops(q, k, queue, 0.07, np.zeros((3, 8), dtype=bool))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_queue_holds_the_latest_keys_first_in_first_out():
    module = make(queue_size=8)
    pushed = []
    for step, n in enumerate((3, 3, 3, 2)):  # 11 keys through 8 places
        index = torch.arange(n) + 3 * step
        views = random_views(n, step)
        _, k = query_and_key(module, views)
        module(views, index)
        module.after_step(0.1)
        pushed += list(zip(index.tolist(), k, strict=True))
    held = dict(zip(module.queue.index.tolist(), module.queue.features, strict=True))
    assert sorted(held) == sorted(i for i, _ in pushed[-8:])
    for i, key in pushed[-8:]:
        np.testing.assert_allclose(held[i].numpy(), key, rtol=1e-4, atol=1e-5)


def test_target_follows_by_the_moving_average():
    module = make(momentum=0.9)
    trained = [*module.backbone.parameters(), *module.projector.parameters()]
    target = [
        *module.target_backbone.parameters(),
        *module.target_projector.parameters(),
    ]
    expected = [weight.detach().double() for weight in trained]  # begins as a copy
    for step, n in enumerate((3, 2, 3)):
        with torch.no_grad():
            for weight in trained:
                weight.add_(step + 1.0)
        module(random_views(n, step), torch.arange(n))
        module.after_step((step + 1) / 10)
        expected = [
            0.9 * old + 0.1 * weight.detach().double()
            for old, weight in zip(expected, trained, strict=True)
        ]
    for ours, theirs in zip(target, expected, strict=True):
        torch.testing.assert_close(ours, theirs.float())


def test_forward_leaves_the_queue_to_after_step():
    module = make()
    before = module.queue.features.clone()
    module(random_views(3, 0), torch.arange(3))
    assert torch.equal(before, module.queue.features)


@pytest.mark.parametrize(
    ("n_images", "batch_size", "queue_size"),
    [(425, 32, 128), (100, 32, 100), (2, 2, 2)],
)
def test_queue_size_follows_the_set_and_the_batch(n_images, batch_size, queue_size):
    task = MoCo().resolve(TrainingInfo(n_images, 1, (16, 16), batch_size))
    assert task.queue_size == queue_size


def test_bad_momentum_is_named():
    with pytest.raises(ValueError, match="'momentum' parameter of MoCo"):
        MoCo(momentum=1.0).resolve(TrainingInfo(8, 1, (16, 16), 4))
