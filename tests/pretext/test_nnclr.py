"""NNCLR: loss, neighbours and queue against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext.nnclr import NNCLR
from skssl.testing import tiny_cnn


def info(n_images=6, batch_size=3, groups=None):
    return TrainingInfo(
        n_images=n_images,
        n_channels=1,
        image_size=(16, 16),
        batch_size=batch_size,
        groups=groups,
    )


def make(groups=None, **parameters):
    sizes = {"hidden_size": 7, "projection_size": 5, "predictor_hidden_size": 6}
    task = NNCLR(**{**sizes, "queue_size": 8, **parameters}).resolve(
        info(groups=groups)
    )
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return task.build(backbone, info(groups=groups)).train()


def random_views(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def heads_in_float64(module, views):
    double = deepcopy(module).double()
    with torch.no_grad():
        z = double.projector(double.backbone(torch.cat(views).double()))
        p = double.predictor(z)
    n = len(views[0])
    z, p = unit(z.numpy()), unit(p.numpy())
    return z[:n], z[n:], p[:n], p[n:]


def neighbors_by_loops(z, index, queue, exclude):
    """For each image the row of the queue that serves, None for its own z."""
    chosen = []
    for i in range(len(z)):
        rows = [
            row
            for row, image in enumerate(queue.index.tolist())
            if image >= 0 and not (exclude and image == index[i])
        ]
        features = queue.features.double().numpy()
        chosen.append(max(rows, key=lambda r: z[i] @ features[r]) if rows else None)
    return chosen


def nnclr_by_loops(module, views, index, exclude, patient=None):
    """The loss of Dwibedi et al. 2021, Algorithm 1, term by term in float64."""
    z1, z2, p1, p2 = heads_in_float64(module, views)
    n, losses = len(z1), []
    for z, p in ((z1, p2), (z2, p1)):
        rows = neighbors_by_loops(z, index, module.queue, exclude)
        for i in range(n):
            neighbor, images = z[i], [index[i]]
            if rows[i] is not None:
                neighbor = module.queue.features[rows[i]].double().numpy()
                images.append(module.queue.index[rows[i]].item())
            patients = [] if patient is None else [patient[image] for image in images]
            terms = {
                k: np.exp(neighbor @ p[k] / module.temperature)
                for k in range(n)
                if k == i
                or not (
                    (exclude and index[k] in images[1:])
                    or (patient and patient[index[k]] in patients)
                )
            }
            losses.append(-np.log(terms[i] / sum(terms.values())))
    return float(np.mean(losses))


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_loss_equals_the_formula(exclude, temperature):
    module = make(exclude_same_image=exclude, temperature=temperature)
    views, index = random_views(3, 0), torch.arange(3)
    module(views, index)
    module.after_step(0.1)  # the queue now holds these very projections
    z1, *_ = heads_in_float64(module, views)
    with torch.no_grad():  # a random direction that is the nearest, but no image's
        module.queue.features[5] = torch.from_numpy(z1[0]).float()
    assert module.queue.index.tolist() == [0, 1, 2, -1, -1, -1, -1, -1]
    rows = neighbors_by_loops(z1, [0, 1, 2], module.queue, exclude)
    assert all((row == i) != exclude for i, row in enumerate(rows))
    expected = nnclr_by_loops(module, views, [0, 1, 2], exclude)
    assert module(views, index).item() == pytest.approx(expected, rel=1e-5)


def test_the_image_of_a_neighbor_is_no_negative():
    module = make()
    views = random_views(3, 0)
    module(views, torch.arange(3))
    module.after_step(0.1)
    # All neighbours are of images of this batch; one other is left as a negative.
    expected = nnclr_by_loops(module, views, [0, 1, 2], exclude=True)
    assert module(views, torch.arange(3)).item() == pytest.approx(expected, rel=1e-5)
    z1, *_ = heads_in_float64(module, views)
    rows = neighbors_by_loops(z1, [0, 1, 2], module.queue, exclude=True)
    assert None not in rows


def test_loss_of_a_batch_with_and_without_neighbors():
    module = make(queue_size=2)
    module(random_views(2, 0), torch.tensor([4, 4]))
    module.after_step(0.1)  # nothing but keys of image 4
    index = [3, 4, 5]
    views = random_views(3, 1)
    z1, *_ = heads_in_float64(module, views)
    rows = neighbors_by_loops(z1, index, module.queue, exclude=True)
    assert [row is None for row in rows] == [False, True, False]
    expected = nnclr_by_loops(module, views, index, exclude=True)
    loss = module(views, torch.tensor(index))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_first_batch_takes_its_own_projections():
    module = make()
    views = random_views(3, 0)
    assert neighbors_by_loops(np.ones((1, 5)), [0], module.queue, True) == [None]
    expected = nnclr_by_loops(module, views, [0, 1, 2], exclude=True)
    loss = module(views, torch.arange(3))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("same_group", ["negative", "ignore", "positive"])
def test_images_of_a_patient_are_no_negatives(same_group):
    patients = torch.tensor([0, 0, 1, 1, 2, 3])
    module = make(groups=patients, same_group=same_group)
    module(random_views(2, 0), torch.tensor([3, 4]))
    module.after_step(0.1)
    # Image 2 is of the patient of a neighbour, image 3.
    index, views = [0, 2, 1, 5], random_views(4, 1)
    known = None if same_group == "negative" else patients.tolist()
    expected = nnclr_by_loops(module, views, index, exclude=True, patient=known)
    loss = module(views, torch.tensor(index))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_images_of_a_patient_may_be_neighbors():
    module = make(groups=torch.tensor([0, 0, 1, 1, 2, 3]), same_group="ignore")
    module(random_views(2, 0), torch.tensor([0, 0]))
    module.after_step(0.1)
    index, views = [1, 5], random_views(2, 1)  # 1 is of the patient of image 0
    z1, *_ = heads_in_float64(module, views)
    assert None not in neighbors_by_loops(z1, index, module.queue, exclude=True)
    expected = nnclr_by_loops(module, views, index, True, [0, 0, 1, 1, 2, 3])
    loss = module(views, torch.tensor(index))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_one_patient_has_a_finite_gradient():
    patients = torch.tensor([0, 0, 0, 1, 1, 1])
    module = make(groups=patients, same_group="ignore")
    loss = module(random_views(3, 1), torch.arange(3))
    loss.backward()
    assert loss.item() == pytest.approx(0.0)  # no negatives are left
    assert all(w.grad.isfinite().all() for w in module.backbone.parameters())


class Constant(torch.nn.Module):
    """Predictions that do not depend on the projections."""

    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter(torch.eye(6, 5))

    def forward(self, z):
        return self.p


@pytest.mark.parametrize("steps_before", [0, 1])
def test_no_gradient_reaches_the_neighbor(steps_before):
    module = make()
    for _ in range(steps_before):
        module(random_views(3, 0), torch.arange(3))
        module.after_step(0.1)
    module.predictor = Constant()
    module(random_views(3, 1), torch.arange(3)).backward()
    assert module.predictor.p.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in module.backbone.parameters())


def test_queue_holds_the_latest_first_views():
    module = make(queue_size=8)
    pushed = []
    for step, n in enumerate((3, 3, 3, 2)):  # 11 projections through 8 places
        index = torch.arange(n) + 3 * step
        views = random_views(n, step)
        z1, *_ = heads_in_float64(module, views)
        before = module.queue.features.clone()
        module(views, index)
        assert torch.equal(before, module.queue.features)  # forward changes nothing
        module.after_step(0.1)
        pushed += list(zip(index.tolist(), z1, strict=True))
    held = dict(zip(module.queue.index.tolist(), module.queue.features, strict=True))
    assert sorted(held) == sorted(i for i, _ in pushed[-8:])
    for i, z in pushed[-8:]:
        np.testing.assert_allclose(held[i].numpy(), z, rtol=1e-4, atol=1e-5)


def test_loss_and_queue_are_float32_inside_autocast():
    module = make()
    views = random_views(3, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module(views, torch.arange(3))
        module.after_step(0.1)
        loss = module(views, torch.arange(3))
    assert loss.dtype == module.queue.features.dtype == torch.float32
    assert torch.isfinite(loss)


def test_default_heads_are_those_of_the_paper():
    task = NNCLR().resolve(info())
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        module = task.build(backbone, info())
    hidden = ["Linear", "BatchNorm1d", "ReLU"]
    kinds = [type(layer).__name__ for layer in module.projector]
    assert kinds == [*hidden, *hidden, "Linear", "BatchNorm1d"]
    assert not module.projector[-1].affine
    kinds = [type(layer).__name__ for layer in module.predictor]
    assert kinds == [*hidden, "Linear"]
    projector, predictor = (
        sum(p.numel() for p in head.parameters())
        for head in (module.projector, module.predictor)
    )
    # a hidden layer has weights, biases, scales and shifts; the projector's output
    # weights only, the predictor's weights and biases
    assert projector == (16 + 3) * 2048 + (2048 + 3) * 2048 + 2048 * 256
    assert predictor == (256 + 3) * 4096 + 4096 * 256 + 256


@pytest.mark.parametrize(
    ("n_images", "batch_size", "queue_size"),
    [(500, 32, 500), (500, 16, 384), (10_000, 64, 1536), (3, 2, 3)],
)
def test_queue_size_follows_the_set_and_the_batch(n_images, batch_size, queue_size):
    assert NNCLR().resolve(info(n_images, batch_size)).queue_size == queue_size
    assert NNCLR(queue_size=7).resolve(info(n_images, batch_size)).queue_size == 7


def test_build_asks_for_resolve():
    backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
    with pytest.raises(ValueError, match="queue_size is open"):
        NNCLR().build(backbone, info())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0}, "'temperature' parameter of NNCLR"),
        ({"queue_size": 0}, "'queue_size' parameter of NNCLR"),
        ({"exclude_same_image": "no"}, "'exclude_same_image' parameter of NNCLR"),
        ({"predictor_hidden_size": 0}, "'predictor_hidden_size' parameter of NNCLR"),
        ({"same_group": "ignore"}, "same_group='ignore' of NNCLR needs"),
        ({"same_group": "neutral"}, "'same_group' parameter of NNCLR"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        NNCLR(**parameters).resolve(info())


def test_two_images_have_no_neighbour_that_is_no_negative():
    with pytest.raises(ValueError, match="NNCLR needs 3 images at least, got 2"):
        NNCLR().resolve(info(n_images=2, batch_size=2))
    NNCLR(exclude_same_image=False).resolve(info(n_images=2, batch_size=2))
