import pytest
import torch
from torch import nn

from skssl.nn import mlp


def describe(head):
    return [
        (type(layer).__name__, layer.in_features, layer.out_features)
        if isinstance(layer, nn.Linear)
        else type(layer).__name__
        for layer in head
    ]


def test_head_of_simclr_as_gazda_prints_it():
    head = mlp(2048, 2048, 128, bias_out=False)
    expected = [("Linear", 2048, 2048), "BatchNorm1d", "ReLU", ("Linear", 2048, 128)]
    assert describe(head) == expected
    assert head[0].bias is not None
    assert head[3].bias is None
    n_parameters = sum(parameter.numel() for parameter in head.parameters())
    assert n_parameters == 2048 * 2048 + 2048 + 2 * 2048 + 2048 * 128


def test_head_of_moco_v2():
    head = mlp(512, 2048, 128, batch_norm=False)
    assert describe(head) == [("Linear", 512, 2048), "ReLU", ("Linear", 2048, 128)]
    n_parameters = sum(parameter.numel() for parameter in head.parameters())
    assert n_parameters == 512 * 2048 + 2048 + 2048 * 128 + 128


def test_output_can_be_normalised():
    head = mlp(6, 5, 4, batch_norm_out=True).train()
    z = head(torch.randn(64, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    assert head[-1].weight is None


@pytest.mark.parametrize(("n_layers", "n_linear"), [(1, 1), (2, 2), (3, 3)])
def test_number_of_layers_and_output_shape(n_layers, n_linear):
    head = mlp(6, 5, 4, n_layers=n_layers)
    assert sum(isinstance(layer, nn.Linear) for layer in head) == n_linear
    assert head(torch.zeros(3, 6)).shape == (3, 4)


def test_no_layer_is_an_error():
    with pytest.raises(ValueError, match="n_layers must be at least 1, got 0"):
        mlp(6, 5, 4, n_layers=0)
