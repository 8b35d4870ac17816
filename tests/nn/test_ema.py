import pytest
import torch
from torch import nn

from skssl._random import isolated_rng
from skssl.nn import EMACopy


@pytest.fixture
def source():
    with isolated_rng(0):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_update_is_the_weighted_mean_of_each_parameter(source):
    target = EMACopy(source)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(1.0)
    old = [parameter.clone() for parameter in target.parameters()]
    target.update(source, momentum=0.9)
    for before, after, new in zip(
        old, target.parameters(), source.parameters(), strict=True
    ):
        torch.testing.assert_close(after, 0.9 * before + 0.1 * new.detach())


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_the_ends_of_momentum_copy_and_keep(source, momentum):
    target = EMACopy(source)
    kept = target.module[0].weight.clone()
    with torch.no_grad():
        source[0].weight.add_(1.0)
    target.update(source, momentum)
    expected = kept if momentum == 1 else source[0].weight.detach()
    torch.testing.assert_close(target.module[0].weight.detach(), expected)


def test_buffers_are_copied(source):
    target = EMACopy(source)
    source(torch.arange(12.0).reshape(4, 3))
    assert not torch.equal(target.module[1].running_mean, source[1].running_mean)
    target.update(source, momentum=0.999)
    assert torch.equal(target.module[1].running_mean, source[1].running_mean)
    assert target.module[1].num_batches_tracked == 1


def test_nothing_in_the_copy_gets_a_gradient_and_the_source_still_does(source):
    target = EMACopy(source)
    x = torch.ones(2, 3, requires_grad=True)
    assert not target(x).requires_grad
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in source.parameters())


def test_the_copy_shares_nothing_and_follows_the_mode_of_its_parent(source):
    target = EMACopy(source)
    assert not {p.data_ptr() for p in source.parameters()} & {
        p.data_ptr() for p in target.parameters()
    }
    parent = nn.ModuleList([target])
    assert parent.eval()[0].module[1].training is False
    assert parent.train()[0].module[1].training is True


def test_a_source_without_parameters_is_allowed():
    copy = EMACopy(nn.Flatten())
    copy.update(nn.Flatten(), momentum=0.9)
    assert copy(torch.zeros(2, 3, 4)).shape == (2, 12)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_momentum_out_of_range(source, momentum):
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\]"):
        EMACopy(source).update(source, momentum)
