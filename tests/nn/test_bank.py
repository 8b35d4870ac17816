import numpy as np
import pytest
import torch

from skssl._random import make_generator
from skssl.nn.bank import MemoryBank


@pytest.fixture
def bank():
    return MemoryBank(n_images=7, n_features=3)


def unit(row):
    return row / np.sqrt((row**2).sum())


def test_starts_with_random_unit_directions_of_no_image(bank):
    torch.testing.assert_close(bank.features.norm(dim=1), torch.ones(7))
    assert torch.linalg.matrix_rank(bank.features) == 3
    assert not bank.seen.any()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 1.0])
def test_rows_are_moving_averages_by_hand(bank, momentum):
    start = bank.features.clone()
    by_hand = {}
    generator = make_generator(1)
    for images in ([0, 4, 2], [4], [5, 0], [2, 4, 0, 5]):
        features = 3 * torch.randn(len(images), 3, generator=generator)
        bank.update(features, torch.tensor(images), momentum)
        for image, feature in zip(images, features.double().numpy(), strict=True):
            new = unit(feature)
            old = by_hand.get(image, new)  # the first feature is stored as it is
            by_hand[image] = unit(momentum * old + (1 - momentum) * new)
    assert bank.seen.nonzero()[:, 0].tolist() == sorted(by_hand) == [0, 2, 4, 5]
    for image in range(7):
        expected = by_hand.get(image, start[image].numpy())
        np.testing.assert_allclose(bank.features[image].numpy(), expected, rtol=1e-5)


def test_recall_gives_the_row_or_where_there_is_none_the_features(bank):
    bank.update(torch.eye(3)[:2], torch.tensor([6, 1]), momentum=0.5)
    given = torch.tensor([[0.0, 3.0, 4.0]]).repeat(3, 1).requires_grad_()
    m = bank.recall(torch.tensor([1, 3, 6]), given)
    expected = [[0.0, 1.0, 0.0], [0.0, 0.6, 0.8], [1.0, 0.0, 0.0]]
    torch.testing.assert_close(m, torch.tensor(expected))
    assert not m.requires_grad


def test_recall_changes_nothing(bank):
    before = bank.features.clone()
    bank.recall(torch.arange(7), torch.ones(7, 3))
    assert torch.equal(bank.features, before)
    assert not bank.seen.any()


def test_state_dict_carries_everything(bank):
    bank.update(torch.eye(3), torch.tensor([4, 5, 6]), momentum=0.5)
    other = MemoryBank(n_images=7, n_features=3)
    other.load_state_dict(bank.state_dict())
    assert bank.state_dict().keys() == {"features", "seen"}
    assert torch.equal(other.features, bank.features)
    assert other.seen.tolist() == [False] * 4 + [True] * 3


def test_update_takes_half_precision_and_records_no_gradient(bank):
    features = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    bank.update(features, torch.tensor([0, 1]), momentum=0.5)
    assert bank.features.dtype == torch.float32
    assert not bank.features.requires_grad
    torch.testing.assert_close(bank.features[:2], torch.full((2, 3), 3**-0.5))


@pytest.mark.parametrize(
    ("features", "index", "match"),
    [
        (torch.ones(2, 4), torch.arange(2), r"features must have shape \(n, 3\)"),
        (torch.ones(3), torch.arange(3), r"features must have shape \(n, 3\)"),
        (torch.ones(2, 3), torch.arange(3), r"index must have shape \(2,\)"),
    ],
)
def test_wrong_shapes_are_named(bank, features, index, match):
    with pytest.raises(ValueError, match=match):
        bank.update(features, index, momentum=0.5)
    with pytest.raises(ValueError, match=match):
        bank.recall(index, features)


def test_a_momentum_out_of_range_is_named(bank):
    with pytest.raises(ValueError, match="momentum must be in"):
        bank.update(torch.ones(1, 3), torch.tensor([0]), momentum=1.1)


def test_an_empty_bank_is_an_error():
    with pytest.raises(ValueError, match="n_images=0"):
        MemoryBank(n_images=0, n_features=3)
