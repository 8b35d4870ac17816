"""PIRL: loss, bank, and heads against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext._pirl import noise_contrastive
from skssl.pretext.pirl_jigsaw import PIRLJigsaw
from skssl.pretext.pirl_rotation import PIRLRotation
from skssl.testing import (
    check_gradients,
    check_loss_of_any_batch,
    check_state_dict_round_trip,
    tiny_cnn,
)

BOTH = pytest.mark.parametrize("method", [PIRLRotation, PIRLJigsaw])
PX, TILE_PX = 16, 8


def info_of(image_size=(PX, PX), groups=None):
    settings = {"n_channels": 1, "batch_size": 3, "groups": groups}
    return TrainingInfo(n_images=7, image_size=image_size, **settings)


def make(method, groups=None, **parameters):
    settings = {"projection_size": 5, "normalize_output": False, **parameters}
    if method is PIRLJigsaw:
        settings["tile_size"] = TILE_PX
    info = info_of(groups=groups)
    task = method(**settings).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(PX, PX))
        return task.build(backbone, info).train()


def random_views(method, n, seed):
    generator = make_generator(seed)
    shape = (n, 9, 1, TILE_PX, TILE_PX) if method is PIRLJigsaw else (n, 1, PX, PX)
    return (
        torch.rand(n, 1, PX, PX, generator=generator),
        torch.rand(shape, generator=generator),
    )


def linear(layers, h):
    """Each row of h through a linear layer and, if there is one, a normalisation."""
    layer, *normalization = layers
    z = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    if normalization:
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + normalization[0].eps)
    return z


@torch.no_grad()
def project_by_hand(module, views):
    """f and g of each image in float64; the backbone is the only layer not by hand."""
    double = deepcopy(module).double()
    whole = double.backbone(views[0].double()).numpy()
    f = linear(double.projector, whole)
    if views[1].ndim == 4:
        turned = double.backbone(views[1].double()).numpy()
        return f, linear(double.rotated_projector, turned)
    tiles = torch.cat([tiles.double() for tiles in views[1]])  # image by image
    parts = linear(double.tile_projector, double.backbone(tiles).numpy())
    nine = np.stack(
        [np.concatenate(of_one) for of_one in np.split(parts, len(views[1]))]
    )
    return f, linear(double.tiles_projector, nine)


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def nce_by_loops(m, b, negatives, temperature):
    """L_NCE of one image, Misra & van der Maaten 2020, term by term in float64."""
    positive = np.exp(cosine(m, b) / temperature)
    others = [np.exp(cosine(negative, b) / temperature) for negative in negatives]
    total = positive + sum(others)
    loss = -np.log(positive / total)
    for j in range(len(others)):
        rest = positive + sum(others[k] for k in range(len(others)) if k != j)
        loss -= np.log(rest / total)  # 1 - h
    return loss


@BOTH
@pytest.mark.parametrize("same_group", ["negative", "ignore", "positive"])
@pytest.mark.parametrize("normalize_output", [True, False])
def test_loss_equals_the_formula(method, same_group, normalize_output):
    patient = [0, 0, 1, 1, 1, 2, 2]
    module = make(
        method,
        torch.tensor(patient),
        same_group=same_group,
        normalize_output=normalize_output,
        temperature=0.1,
        transform_weight=0.3,
    )
    module(random_views(method, 3, 0), torch.tensor([0, 2, 5]))
    module.after_step(0.1)  # the bank now knows images 0, 2 and 5
    index = [2, 3, 0]
    views = random_views(method, 3, 1)
    f, g = project_by_hand(module, views)
    bank = module.bank.features.double().numpy()
    expected = []
    for i, image in enumerate(index):
        m = bank[image] if image in {0, 2, 5} else f[i]
        negatives = [
            bank[j]
            for j in range(7)
            if j != image and (same_group == "negative" or patient[j] != patient[image])
        ]
        of_g = nce_by_loops(m, g[i], negatives, 0.1)
        of_f = nce_by_loops(m, f[i], negatives, 0.1)
        expected.append(0.3 * of_g + 0.7 * of_f)
    loss = module(views, torch.tensor(index))
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(
    "cosines",  # of b to the positive and to three negatives
    [
        pytest.param((1.0, -1.0, -0.9, -0.8), id="solved"),
        pytest.param((-1.0, 1.0, -1.0, -0.9), id="a negative equals b"),
        pytest.param((-1.0, 1.0, 1.0, 1.0), id="all negatives equal b"),
        pytest.param((0.3, 0.3, 0.3, 0.3), id="all alike"),
    ],
)
def test_loss_and_gradient_keep_their_digits_at_extremes(cosines):
    m, *bank = (np.array([c, np.sqrt(1 - c * c)]) for c in cosines)
    b = np.array([2.0, 0.0])

    def expected(b):
        return nce_by_loops(m, b, bank, 0.07)

    single = torch.tensor(b[None], dtype=torch.float32, requires_grad=True)
    m32, bank32 = (torch.tensor(np.stack(x), dtype=torch.float32) for x in ([m], bank))
    masked = torch.zeros(1, 3, dtype=torch.bool)
    loss = noise_contrastive(m32, single, bank32, masked, 0.07)
    # float32 has rounded the vectors themselves, which shifts a logit by 1e-6.
    assert loss.item() == pytest.approx(expected(b), rel=1e-5, abs=1e-6)
    loss.backward()
    step = 1e-5 * np.eye(2)
    slope = [(expected(b + s) - expected(b - s)) / 2e-5 for s in step]
    np.testing.assert_allclose(single.grad[0].numpy(), slope, rtol=1e-4, atol=1e-5)


def test_without_negatives_loss_and_gradient_are_zero():
    b = torch.randn(2, 4, generator=make_generator(0), requires_grad=True)
    masked = torch.ones(2, 3, dtype=torch.bool)
    bank = torch.eye(4)[:3]
    loss = noise_contrastive(torch.ones(2, 4), b, bank, masked, 0.07)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(b.grad, torch.zeros(2, 4))


@BOTH
def test_bank_holds_the_moving_averages(method):
    module = make(method, bank_momentum=0.8)
    start = module.bank.features.clone().numpy()
    by_hand = {}
    for step, images in enumerate(([0, 4, 2], [4, 1], [2, 4, 0, 6])):
        views = random_views(method, len(images), step)
        f, _ = project_by_hand(module, views)
        module(views, torch.tensor(images)).backward()
        module.after_step(0.1)
        with torch.no_grad():  # as an optimizer would: later features differ
            for weight in module.parameters():
                weight.sub_(0.1 * weight.grad)
        module.zero_grad()
        for image, feature in zip(images, f, strict=True):
            new = feature / np.linalg.norm(feature)
            mixed = 0.8 * by_hand.get(image, new) + 0.2 * new
            by_hand[image] = mixed / np.linalg.norm(mixed)
    for image in range(7):
        row = module.bank.features[image].numpy()
        expected = by_hand.get(image, start[image])
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)


@BOTH
def test_gradient_reaches_every_weight(method):
    module = make(method)
    module(random_views(method, 3, 0), torch.arange(3)).backward()
    for name, weight in module.named_parameters():
        assert weight.grad.abs().sum() > 0, name


@BOTH
def test_autocast_keeps_loss_and_bank_in_float32(method):
    module = make(method)
    with torch.autocast("cpu", torch.bfloat16):
        loss = module(random_views(method, 3, 0), torch.arange(3))
    module.after_step(0.1)
    assert loss.dtype == module.bank.features.dtype == torch.float32
    norms = module.bank.features.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(7))


@pytest.mark.parametrize(
    ("method", "n_heads"),
    [
        # 16 features to 128, once for whole images and once for turned ones
        (PIRLRotation, 2 * (16 * 128 + 128)),
        # ... and once for tiles, and nine of these projections to 128
        (PIRLJigsaw, 2 * (16 * 128 + 128) + 9 * 128 * 128 + 128),
    ],
)
def test_heads_are_those_of_the_paper(method, n_heads):
    module = make(method, projection_size=method().projection_size)
    n_backbone = sum(p.numel() for p in module.backbone.parameters())
    assert sum(p.numel() for p in module.parameters()) - n_backbone == n_heads


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        (PIRLRotation, "temperature", 0.0),
        (PIRLRotation, "transform_weight", 1.1),
        (PIRLJigsaw, "bank_momentum", 1.0),
        (PIRLJigsaw, "projection_size", 0),
        (PIRLJigsaw, "tile_size", 0),
        (PIRLJigsaw, "same_group", "friend"),
    ],
)
def test_bad_parameters_are_named(method, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of {method.__name__}"):
        method(**{name: value}).resolve(info_of())


@BOTH
@pytest.mark.parametrize("same_group", ["ignore", "positive"])
@pytest.mark.parametrize(
    "check",
    [check_loss_of_any_batch, check_gradients, check_state_dict_round_trip],
)
def test_battery_with_patients(method, same_group, check):
    check(method(same_group=same_group))
