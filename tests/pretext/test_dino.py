"""DINO: loss, centre, temperatures and teacher against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.dino import DINO
from skssl.testing import tiny_cnn


def make(n_local_views=2, **parameters):
    settings = {"hidden_size": 7, "projection_size": 5, "n_prototypes": 6}
    settings |= {"teacher_temperature": 0.04, **parameters}
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=3)
    task = DINO(n_local_views=n_local_views, local_size=8, **settings).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        module = task.build(backbone, info).train()
        for layer in module.head.mlp:  # the small head is not to be near zero
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight)
                torch.nn.init.normal_(layer.bias, std=0.1)
        for target in module.target_head.parameters():
            torch.nn.init.normal_(target)  # a teacher unlike its student
    return module


def random_views(n, seed, n_local_views=2):
    generator = torch.Generator().manual_seed(seed)
    sizes = [16] * 2 + [8] * n_local_views
    return tuple(torch.rand(n, 1, px, px, generator=generator) for px in sizes)


def step(module, views, progress):
    loss = module(views, torch.arange(len(views[0])))
    module.after_step(progress)
    return loss.item()


def unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def softmax(logits):
    p = np.exp(logits - logits.max())
    return p / p.sum()


@torch.no_grad()
def logits_by_hand(backbone, head, views):
    """Outputs g(x) of some views, (V, n, K) in float64."""
    backbone, head = deepcopy(backbone).double(), deepcopy(head).double()
    n_global = 2
    h = [backbone(torch.cat(views[:n_global]).double())]
    if len(views) > n_global:
        h.append(backbone(torch.cat(views[n_global:]).double()))
    z = unit(head.mlp(torch.cat(h)).numpy())
    prototypes = unit(head.prototypes.weight.numpy())
    return (z @ prototypes.T).reshape(len(views), len(views[0]), -1)


def teacher_logits(module, views):
    return logits_by_hand(
        module.target_backbone.module, module.target_head.module, views[:2]
    )


def loss_by_loops(teacher, student, center, teacher_temperature, temperature):
    """Algorithm 1 of Caron et al. 2021, with multi-crop, term by term."""
    losses = []
    for g in range(2):
        for v in range(len(student)):
            if v == g:
                continue
            for t, s in zip(teacher[g], student[v], strict=True):
                p_t = softmax((t - center) / teacher_temperature)
                p_s = softmax(s / temperature)
                losses.append(-sum(p_t * np.log(p_s)))
    return np.mean(losses)


@pytest.mark.parametrize("n_local_views", [0, 2])
@pytest.mark.parametrize(("n", "batch_norm"), [(2, True), (3, True), (3, False)])
def test_loss_equals_the_formula(n, batch_norm, n_local_views):
    module = make(n_local_views, batch_norm=batch_norm)
    module.center.copy_(torch.linspace(-0.2, 0.3, 6))
    views = random_views(n, 1, n_local_views)
    expected = loss_by_loops(
        teacher_logits(module, views),
        logits_by_hand(module.backbone, module.head, views),
        module.center.double().numpy(),
        0.04,
        0.1,
    )
    assert step(module, views, 0.2) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.04), (0.1, 0.05), (0.3, 0.07), (1.0, 0.07)]
)
def test_teacher_temperature_rises_to_its_final_value(progress, expected):
    module = make(final_teacher_temperature=0.07, warmup_teacher=0.3)
    module.progress.fill_(progress)
    assert module.teacher_temperature().item() == pytest.approx(expected)
    views = random_views(3, 0)
    by_hand = loss_by_loops(
        teacher_logits(module, views),
        logits_by_hand(module.backbone, module.head, views),
        np.zeros(6),
        expected,
        0.1,
    )
    assert step(module, views, 1.0) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(("warmup", "expected"), [(0.0, 0.07), (0.3, 0.04)])
def test_teacher_without_warmup_has_its_final_temperature(warmup, expected):
    module = make(final_teacher_temperature=0.07, warmup_teacher=warmup)
    assert module.teacher_temperature().item() == pytest.approx(expected)
    assert make().teacher_temperature().item() == pytest.approx(0.04)


def test_temperature_is_part_of_the_state():
    module, other = (make(final_teacher_temperature=0.07) for _ in range(2))
    step(module, random_views(3, 0), 0.2)
    other.load_state_dict(module.state_dict())
    assert other.teacher_temperature() == module.teacher_temperature()


def test_centre_is_the_moving_average_of_the_teachers_outputs():
    module = make(center_momentum=0.8)
    center = np.zeros(6)
    for k, n in enumerate((3, 2, 3)):
        views = random_views(n, k)
        mean = teacher_logits(module, views).mean((0, 1))
        center = 0.8 * center + 0.2 * mean
        before = module.center.clone()
        module(views, torch.arange(n))
        assert torch.equal(before, module.center)  # forward leaves it
        module.after_step((k + 1) / 10)
    np.testing.assert_allclose(module.center.numpy(), center, rtol=1e-4, atol=1e-6)


def test_teacher_follows_by_a_momentum_that_rises_to_one():
    module = make(momentum=0.9)
    student = [*module.backbone.parameters(), *module.head.parameters()]
    followers = [*module.target_backbone.parameters(), *module.target_head.parameters()]
    teacher = [p.clone() for p in followers]
    with torch.no_grad():
        for weight in student:
            weight.add_(1.0)
    for progress, momentum in ((0.5, 0.95), (2 / 3, 0.975), (1.0, 1.0)):
        step(module, random_views(3, 0), progress)
        teacher = [
            momentum * t + (1 - momentum) * s
            for t, s in zip(teacher, student, strict=True)
        ]
        for new, old in zip(followers, teacher, strict=True):
            torch.testing.assert_close(new, old)


def test_gradient_reaches_the_student_alone():
    module = make(freeze_prototypes=0.0, batch_norm=False)
    module(random_views(3, 0), torch.arange(3)).backward()
    for name, weight in module.named_parameters():
        if name.startswith("target_"):
            assert weight.grad is None, name
        else:
            assert weight.grad.abs().sum() > 0, name


def test_order_of_the_batch_does_not_matter():
    module, views = make(), random_views(5, 0)
    order = torch.tensor([3, 0, 4, 1, 2])
    loss = module(views, torch.arange(5))
    permuted = module(tuple(view[order] for view in views), order)
    assert permuted.item() == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize(("batch_norm", "scales"), [(False, 0), (True, 4 * 2048)])
def test_head_has_the_size_of_the_paper(batch_norm, scales):
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(32, 32), batch_size=3)
    with isolated_rng(0):
        backbone = build_backbone("resnet18", in_channels=1, image_size=(32, 32))
        module = DINO(batch_norm=batch_norm).resolve(info).build(backbone, info)
    hidden = (512 + 1) * 2048 + (2048 + 1) * 2048
    expected = hidden + (2048 + 1) * 256 + 256 * 1024 + scales
    assert sum(p.numel() for p in module.head.parameters()) == expected


def test_bad_momentum_is_named():
    info = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=3)
    with pytest.raises(ValueError, match="'momentum' parameter of DINO"):
        DINO(momentum=1.1).resolve(info)
