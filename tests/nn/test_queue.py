from collections import deque

import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.nn import FeatureQueue


@pytest.fixture
def queue():
    with isolated_rng(0):
        return FeatureQueue(n_features=3, size=7)


def test_starts_with_random_unit_directions_of_no_image(queue):
    torch.testing.assert_close(queue.features.norm(dim=1), torch.ones(7))
    assert torch.linalg.matrix_rank(queue.features) == 3
    assert queue.index.tolist() == [-1] * 7


@pytest.mark.parametrize(
    "batch_sizes",
    [[1] * 9, [2] * 6, [3, 5, 4], [7, 7], [8], [5, 17, 2], [4, 0, 5], [14, 1]],
)
def test_holds_what_a_deque_holds(queue, batch_sizes):
    by_hand = deque([None] * 7, maxlen=7)
    generator = make_generator(1)
    n_seen = 0
    for batch_size in batch_sizes:
        keys = torch.randn(batch_size, 3, generator=generator)
        index = torch.arange(n_seen, n_seen + batch_size)
        queue.push(keys, index)
        n_seen += batch_size
        for number, key in zip(index.tolist(), keys, strict=True):
            by_hand.append((number, key / key.norm()))
        held = {
            number: queue.features[row]
            for row, number in enumerate(queue.index.tolist())
            if number >= 0
        }
        expected = dict(entry for entry in by_hand if entry is not None)
        assert held.keys() == expected.keys()
        for number, key in expected.items():
            torch.testing.assert_close(held[number], key)


def test_the_next_key_replaces_the_oldest(queue):
    queue.push(torch.ones(12, 3), torch.arange(12))
    for number in range(12, 20):
        oldest = queue.index[queue.pointer].item()
        assert oldest == number - 7
        queue.push(torch.ones(1, 3), torch.tensor([number]))


def test_state_dict_carries_everything(queue):
    queue.push(torch.eye(3), torch.tensor([4, 5, 6]))
    other = FeatureQueue(n_features=3, size=7)
    other.load_state_dict(queue.state_dict())
    assert queue.state_dict().keys() == {"features", "index", "pointer"}
    assert torch.equal(other.features, queue.features)
    assert other.index.tolist() == [4, 5, 6, -1, -1, -1, -1]
    assert other.pointer == 3


def test_push_takes_half_precision_and_records_no_gradient(queue):
    keys = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    queue.push(keys, torch.tensor([0, 1]))
    assert not queue.features.requires_grad
    torch.testing.assert_close(queue.features[:2], torch.full((2, 3), 3**-0.5))


@pytest.mark.parametrize(
    ("keys", "index", "match"),
    [
        (torch.ones(2, 4), torch.arange(2), r"keys must have shape \(b, 3\)"),
        (torch.ones(3), torch.arange(3), r"keys must have shape \(b, 3\)"),
        (torch.ones(2, 3), torch.arange(3), r"index must have shape \(2,\)"),
    ],
)
def test_wrong_shapes_are_named(queue, keys, index, match):
    with pytest.raises(ValueError, match=match):
        queue.push(keys, index)


def test_an_empty_queue_is_an_error():
    with pytest.raises(ValueError, match="size=0"):
        FeatureQueue(n_features=3, size=0)
