"""SwAV: codes, loss and queues against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.swav import SwAV, _sinkhorn
from skssl.testing import tiny_cnn


def make(n_local_views=2, **parameters):
    settings = {"hidden_size": 7, "projection_size": 5, "n_prototypes": 4}
    settings |= {"queue_size": 5, "epsilon": 0.05, **parameters}
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=3)
    task = SwAV(n_local_views=n_local_views, local_size=8, **settings).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return task.build(backbone, info).train()


def random_views(n, seed, n_local_views=2):
    generator = torch.Generator().manual_seed(seed)
    sizes = [16] * 2 + [8] * n_local_views
    return tuple(torch.rand(n, 1, px, px, generator=generator) for px in sizes)


@torch.no_grad()
def projections(module, views):
    """Unit-norm z of all views, (V, n, d) in float64."""
    double = deepcopy(module).double()
    h = [double.backbone(torch.cat(views[:2]).double())]
    if len(views) > 2:
        h.append(double.backbone(torch.cat(views[2:]).double()))
    z = double.projector(torch.cat(h)).numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z.reshape(len(views), len(views[0]), -1)


def sinkhorn_by_loops(scores, epsilon, n_iterations):
    """Appendix A.1 of Caron et al. 2020, in float64 and without logarithms."""
    q = np.exp(scores / epsilon).T  # prototypes in rows, as in the paper
    n_prototypes, n = q.shape
    q /= q.sum()
    for _ in range(n_iterations):
        for k in range(n_prototypes):
            q[k] /= q[k].sum() * n_prototypes
        for i in range(n):
            q[:, i] /= q[:, i].sum() * n
    return (q * n).T


def loss_by_loops(z, prototypes, queues, temperature):
    """Eqs. 2 and 6 of Caron et al. 2020: targets from the large views only."""
    n = z.shape[1]
    losses = []
    for g in range(2):
        rows = np.concatenate([z[g], queues[g]]) @ prototypes.T
        codes = sinkhorn_by_loops(rows, 0.05, 3)[:n]
        for v in range(len(z)):
            if v == g:
                continue
            for i in range(n):
                p = np.exp(prototypes @ z[v, i] / temperature)
                losses.append(-(codes[i] * np.log(p / p.sum())).sum())
    return np.mean(losses)


def held(module):
    """Rows of both queues that are filled."""
    return [
        queue.features[queue.index >= 0].double().numpy() for queue in module.queues
    ]


@pytest.mark.parametrize(("m", "n_prototypes"), [(2, 5), (7, 3), (12, 4)])
@pytest.mark.parametrize("n_iterations", [1, 3])
def test_sinkhorn_equals_the_algorithm(m, n_prototypes, n_iterations):
    scores = np.random.default_rng(m).uniform(-1, 1, (m, n_prototypes))
    codes = _sinkhorn(
        torch.from_numpy(scores).float(),
        torch.ones(m, dtype=torch.bool),
        epsilon=0.05,
        n_iterations=n_iterations,
    )
    expected = sinkhorn_by_loops(scores, 0.05, n_iterations)
    np.testing.assert_allclose(codes.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_sinkhorn_ends_with_equal_clusters():
    scores = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    is_filled = torch.arange(12) < 8
    codes = _sinkhorn(scores, is_filled, epsilon=0.5, n_iterations=200)
    torch.testing.assert_close(codes.sum(1), torch.ones(12))
    torch.testing.assert_close(codes[:8].sum(0), torch.full((4,), 2.0))


def test_sinkhorn_survives_exponentials_beyond_float32():
    scores = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    is_filled = torch.ones(2, dtype=torch.bool)
    codes = _sinkhorn(scores, is_filled, epsilon=0.005, n_iterations=3)  # e^200
    torch.testing.assert_close(codes, torch.eye(2))


@pytest.mark.parametrize("index", [-1, 3])
def test_places_that_are_not_filled_do_not_count(index):
    module, views = make(queue_size=2), random_views(3, 0)
    with torch.no_grad():
        for queue in module.queues:
            queue.index.fill_(index)
    first = module(views, torch.arange(3))
    with torch.no_grad():
        for queue in module.queues:
            queue.features.copy_(queue.features.flip(1))
    second = module(views, torch.arange(3))
    assert torch.equal(first, second) == (index == -1)


@pytest.mark.parametrize("n_local_views", [0, 2])
@pytest.mark.parametrize("queue_size", [0, 5])
@pytest.mark.parametrize("n", [2, 3])
def test_loss_equals_the_formula(n, queue_size, n_local_views):
    module = make(n_local_views, queue_size=queue_size)
    for k, size in enumerate((3, n)):  # the queue is partly, then wholly filled
        views = random_views(size, k, n_local_views)
        queues = held(module) if queue_size else [np.zeros((0, 5))] * 2
        assert len(queues[0]) == (3 * k if queue_size else 0)
        expected = loss_by_loops(
            projections(module, views),
            module.prototypes.detach().double().numpy(),
            queues,
            0.1,
        )
        loss = module(views, torch.arange(size))
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        module.after_step(0.1 * (k + 1))


def test_each_queue_holds_the_latest_projections_of_its_view():
    module = make(queue_size=5)
    pushed = [[], []]
    for k, n in enumerate((3, 2, 3, 3)):  # 11 projections through 5 places
        views, index = random_views(n, k), 3 * k + torch.arange(n)
        z = projections(module, views)
        module(views, index)
        module.after_step(0.1)
        for g in range(2):
            pushed[g] += list(zip(index.tolist(), z[g], strict=True))
    for g, queue in enumerate(module.queues):
        rows = dict(zip(queue.index.tolist(), queue.features.numpy(), strict=True))
        assert sorted(rows) == sorted(i for i, _ in pushed[g][-5:])
        for i, z in pushed[g][-5:]:
            np.testing.assert_allclose(rows[i], z, rtol=1e-4, atol=1e-5)


def test_prototypes_have_unit_norm_from_the_start_and_after_each_step():
    module = make()
    ones = torch.ones(4)
    torch.testing.assert_close(module.prototypes.norm(dim=1), ones)
    with torch.no_grad():
        module.prototypes.mul_(torch.tensor([0.5, 1, 2, 3])[:, None])
    directions = torch.nn.functional.normalize(module.prototypes.detach(), dim=1)
    module(random_views(3, 0), torch.arange(3))
    module.after_step(0.5)
    torch.testing.assert_close(module.prototypes.norm(dim=1), ones)
    torch.testing.assert_close(module.prototypes.detach(), directions)


def test_gradient_reaches_backbone_projector_and_prototypes():
    module = make(freeze_prototypes=0.0)
    module(random_views(3, 0), torch.arange(3)).backward()
    undone = {"projector.0.bias", "projector.3.bias"}  # by normalisations after them
    for name, weight in module.named_parameters():
        if name not in undone:
            assert weight.grad.abs().sum() > 0, name


def test_codes_pass_no_gradient():
    """With large views alone, the gradient is that of fixed codes."""
    module, views = make(0, freeze_prototypes=0.0, queue_size=0), random_views(3, 0, 0)
    module(views, torch.arange(3)).backward()
    z = torch.from_numpy(projections(module, views))
    prototypes = module.prototypes.detach().double().requires_grad_()
    scores = z @ prototypes.T  # (2, n, K)
    loss = 0.0
    for g, v in ((0, 1), (1, 0)):
        codes = sinkhorn_by_loops(scores[g].detach().numpy(), 0.05, 3)
        log_p = (scores[v] / 0.1).log_softmax(1)
        loss = loss - (torch.from_numpy(codes) * log_p).sum(1).mean() / 2
    loss.backward()
    torch.testing.assert_close(
        module.prototypes.grad, prototypes.grad.float(), rtol=1e-4, atol=1e-6
    )


def test_order_of_the_batch_does_not_matter():
    module, views = make(), random_views(5, 0)
    module(views, torch.arange(5))
    module.after_step(0.1)
    order = torch.tensor([3, 0, 4, 1, 2])
    loss = module(views, torch.arange(5))
    permuted = module(tuple(view[order] for view in views), order)
    assert permuted.item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("n_images", "batch_size", "queue_size"),
    [(425, 32, 256), (100, 32, 100), (2, 2, 2)],
)
def test_queue_size_follows_the_set_and_the_batch(n_images, batch_size, queue_size):
    info = TrainingInfo(
        n_images=n_images, n_channels=1, image_size=(16, 16), batch_size=batch_size
    )
    assert SwAV().resolve(info).queue_size == queue_size


@pytest.mark.parametrize("normalize_output", [True, False])
def test_projector_has_the_size_of_the_paper(normalize_output):
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(32, 32), batch_size=3)
    with isolated_rng(0):
        backbone = build_backbone("resnet18", in_channels=1, image_size=(32, 32))
        task = SwAV(normalize_output=normalize_output)
        module = task.resolve(info).build(backbone, info)
    expected = (512 + 1) * 2048 + 2 * 2048 + (2048 + 1) * 128
    assert sum(p.numel() for p in module.projector.parameters()) == expected
    assert module.prototypes.shape == (64, 128)
    kinds = [type(layer).__name__ for layer in module.projector]
    last = ["BatchNorm1d"] * normalize_output
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear", *last]


def test_bad_epsilon_is_named():
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=3)
    with pytest.raises(ValueError, match="'epsilon' parameter of SwAV"):
        SwAV(epsilon=0).resolve(info)
