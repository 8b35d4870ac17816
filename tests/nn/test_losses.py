import math

import numpy as np
import pytest
import torch

from skssl._random import make_generator
from skssl.nn import info_nce, mean_cosine, nt_xent


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=make_generator(seed))


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def nt_xent_by_loops(z1, z2, temperature):
    z = np.concatenate([z1, z2]).astype(np.float64)
    n = len(z1)
    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        denominator = sum(
            math.exp(cosine(z[i], z[k]) / temperature) for k in range(2 * n) if k != i
        )
        losses.append(
            -math.log(math.exp(cosine(z[i], z[j]) / temperature) / denominator)
        )
    return sum(losses) / len(losses)


def info_nce_by_loops(q, k, negatives, temperature, mask):
    q, k, negatives = (np.asarray(x, np.float64) for x in (q, k, negatives))
    losses = []
    for i in range(len(q)):
        positive = math.exp(cosine(q[i], k[i]) / temperature)
        rest = sum(
            math.exp(cosine(q[i], negatives[j]) / temperature)
            for j in range(len(negatives))
            if not mask[i][j]
        )
        losses.append(-math.log(positive / (positive + rest)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize(("n", "d"), [(2, 3), (5, 16), (17, 8)])
def test_nt_xent_is_equation_1(n, d, temperature):
    z1, z2 = draw(n, d, seed=1) * 3, draw(n, d, seed=2)
    expected = nt_xent_by_loops(z1.numpy(), z2.numpy(), temperature)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n", "n_negatives"), [(1, 1), (4, 9), (16, 40)])
def test_info_nce_is_equation_1(n, n_negatives, masked):
    q, k = draw(n, 6, seed=1) * 2, draw(n, 6, seed=2)
    negatives = torch.nn.functional.normalize(draw(n_negatives, 6, seed=3), dim=1)
    mask = draw(n, n_negatives, seed=4) > (0 if masked else math.inf)
    expected = info_nce_by_loops(q, k, negatives, 0.2, mask.tolist())
    result = info_nce(q, k, negatives, 0.2, mask if masked else None)
    assert result.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (17, 8)])
def test_mean_cosine_is_that_of_the_rows(n, d):
    a, b = draw(n, d, seed=1) * 3, draw(n, d, seed=2)
    rows = zip(a.double().numpy(), b.double().numpy(), strict=True)
    expected = sum(cosine(x, y) for x, y in rows) / n
    assert mean_cosine(a, b).item() == pytest.approx(expected, rel=1e-5)


def test_mean_cosine_is_the_squared_distance_of_unit_vectors():
    a, b = draw(5, 4, seed=1), draw(5, 4, seed=2)
    unit_a, unit_b = a / a.norm(dim=1)[:, None], b / b.norm(dim=1)[:, None]
    distance = ((unit_a - unit_b) ** 2).sum(1).mean()  # eq. 2 of Grill et al. 2020
    torch.testing.assert_close(2 - 2 * mean_cosine(a, b), distance)


def test_mean_cosine_has_the_gradient_of_central_differences_for_both():
    for side in (0, 1):
        pair = [draw(3, 4), draw(3, 4, seed=1)]
        pair[side].requires_grad_()
        mean_cosine(*pair).backward()
        steps = [np.zeros((3, 4)), np.zeros((3, 4))]
        steps[side][1, 2] = 1e-5
        values = []
        for sign in (1, -1):
            a, b = (
                z.detach().double().numpy() + sign * step
                for z, step in zip(pair, steps, strict=True)
            )
            values.append(sum(cosine(x, y) for x, y in zip(a, b, strict=True)) / 3)
        numeric = (values[0] - values[1]) / 2e-5
        assert pair[side].grad[1, 2].item() == pytest.approx(numeric, rel=1e-3)


@pytest.mark.parametrize("n", [2, 10])
def test_equal_vectors_leave_chance(n):
    z = torch.ones(n, 4)
    assert nt_xent(z, z, 0.1).item() == pytest.approx(math.log(2 * n - 1), rel=1e-6)
    negatives = torch.full((7, 4), 0.5)
    assert info_nce(z, z, negatives, 0.1).item() == pytest.approx(math.log(8), rel=1e-6)


def test_by_hand_values_of_orthogonal_pairs():
    z = torch.eye(2)  # an anchor sees its pair at 1 and two others at 0
    assert nt_xent(z, z, 1.0).item() == pytest.approx(math.log(1 + 2 / math.e))
    q, negatives = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    expected = math.log(1 + math.exp(-2) + math.exp(-4))
    assert info_nce(q, q, negatives, 0.5).item() == pytest.approx(expected)


def test_without_any_negative_left_there_is_nothing_to_learn():
    q = draw(3, 4).requires_grad_()
    loss = info_nce(q, draw(3, 4, seed=1), draw(5, 4), 0.2, torch.ones(3, 5).bool())
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(q.grad, torch.zeros(3, 4))


def test_gradients_are_those_of_central_differences():
    z1, z2 = draw(3, 4).requires_grad_(), draw(3, 4, seed=1)
    nt_xent(z1, z2, 0.5).backward()
    q, k = draw(3, 4).requires_grad_(), draw(3, 4, seed=1)
    negatives, mask = torch.eye(4), torch.eye(3, 4).bool()
    info_nce(q, k, negatives, 0.5, mask).backward()
    step = np.zeros((3, 4))
    step[1, 2] = 1e-5
    for analytic, loss in [
        (z1.grad, lambda z: nt_xent_by_loops(z, z2.numpy(), 0.5)),
        (q.grad, lambda z: info_nce_by_loops(z, k, negatives, 0.5, mask.tolist())),
    ]:
        at = draw(3, 4).numpy().astype(np.float64)
        numeric = (loss(at + step) - loss(at - step)) / 2e-5
        assert analytic[1, 2].item() == pytest.approx(numeric, rel=1e-3)


def test_autocast_does_not_lower_the_precision():
    z1, z2, negatives = draw(8, 16), draw(8, 16, seed=1), draw(9, 16, seed=2)

    def losses():
        contrast = nt_xent(z1, z2, 0.1), info_nce(z1, z2, negatives, 0.1)
        return *contrast, mean_cosine(z1, z2)

    expected = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = losses()
        assert (z1 @ z2.T).dtype == torch.bfloat16
    assert result == expected
    assert nt_xent(z1.bfloat16(), z2.bfloat16(), 0.1).dtype == torch.float32
    assert mean_cosine(z1.bfloat16(), z2.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda z: nt_xent(z[:1], z[:1], 0.1), "at least 2 images in z1, got 1"),
        (lambda z: nt_xent(z, z[:2], 0.1), "z1 and z2 must have the same shape"),
        (lambda z: mean_cosine(z, z[:2]), "a and b must have the same shape"),
        (lambda z: nt_xent(z, z, 0.0), "temperature must be positive, got 0.0"),
        (lambda z: info_nce(z, z[:2], z, 0.1), "q and k must have the same shape"),
        (lambda z: info_nce(z, z, z[:, :2], 0.1), r"negatives must have shape \(K, 4"),
        (lambda z: info_nce(z, z, z, -1.0), "temperature must be positive"),
        (
            lambda z: info_nce(z, z, z, 0.1, torch.zeros(3, 2).bool()),
            r"negative_mask must have shape \(3, 3\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call(draw(3, 4))
