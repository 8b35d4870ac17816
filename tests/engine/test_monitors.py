"""The monitors against values computed by hand, or by loops in numpy."""

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.engine import alignment, feature_rank, feature_spread, uniformity
from skssl.engine.monitors import eval_outputs
from skssl.nn import build_backbone
from skssl.testing import tiny_cnn


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_spread():
    assert feature_spread(torch.ones(5, 3)).item() == 0
    # unit rows (1, 0) and (0, 1): each column has standard deviation 1/2
    orthogonal = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert feature_spread(orthogonal).item() == pytest.approx(0.5 * 2**0.5)
    assert feature_spread(normal(4000, 64)).item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("singular_values", "rank"),
    [
        ([1, 1, 1, 1], 4),
        ([5, 0, 0, 0], 1),
        # p = 1/2, 1/4, 1/4: the entropy is 1.5 log 2
        ([2, 1, 1, 0], 2**1.5),
    ],
)
def test_rank_is_the_exponent_of_the_entropy(singular_values, rank):
    u = torch.linalg.qr(normal(6, 4, 1)).Q
    v = torch.linalg.qr(normal(4, 4, 2)).Q
    features = u @ torch.diag(torch.tensor(singular_values, dtype=torch.float32)) @ v
    assert feature_rank(features).item() == pytest.approx(rank, rel=1e-4)


def test_rank_of_nothing_is_zero():
    assert feature_rank(torch.zeros(4, 3)).item() == 0


def test_alignment_and_uniformity_by_loops():
    h, v = normal(7, 5, 0), normal(7, 5, 1)
    unit_h, unit_v = (
        x.double().numpy() / np.linalg.norm(x.double().numpy(), axis=1, keepdims=True)
        for x in (h, v)
    )
    expected = np.mean(
        [np.sum((a - b) ** 2) for a, b in zip(unit_h, unit_v, strict=True)]
    )
    assert alignment(h, v).item() == pytest.approx(expected, rel=1e-5)
    pairs = [
        np.exp(-2 * np.sum((unit_h[i] - unit_h[j]) ** 2))
        for i in range(7)
        for j in range(i)
    ]
    assert uniformity(h).item() == pytest.approx(np.log(np.mean(pairs)), rel=1e-5)


def test_features_are_those_of_eval_mode_and_the_mode_comes_back():
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16)).train()
    images = torch.randint(0, 256, (70, 1, 16, 16), dtype=torch.uint8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    h = eval_outputs(backbone, images, (16, 16), torch.device("cpu"))
    assert backbone.training
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        expected = backbone.eval()(images.float() / 255)
    torch.testing.assert_close(h, expected)
