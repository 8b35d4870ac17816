"""SimCLR: the module's loss is NT-Xent of the projected features."""

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng
from skssl.nn import build_backbone
from skssl.pretext import SimCLR, TrainingInfo
from skssl.testing import tiny_cnn

INFO = TrainingInfo(n_images=6, n_channels=1, image_size=(16, 16), batch_size=6)


@pytest.fixture
def module_and_views():
    task = SimCLR(temperature=0.3, hidden_size=7, projection_size=5).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        module = task.build(backbone, INFO)
        views = torch.rand(6, 1, 16, 16), torch.rand(6, 1, 16, 16)
    return module, views


def nt_xent_by_loops(z: np.ndarray, n: int, temperature: float) -> float:
    """Equation 1 of Chen et al., term by term in float64."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        others = [np.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i]
        losses.append(-np.log(np.exp(z[i] @ z[j] / temperature) / sum(others)))
    return float(np.mean(losses))


def test_loss_equals_the_formula(module_and_views):
    module, views = module_and_views
    loss = module.train()(views, torch.arange(6))
    # The same layers by hand, in float64: both views are one batch for BatchNorm.
    backbone, projector = module.backbone.double(), module.projector.double()
    with torch.no_grad():
        z = projector(backbone(torch.cat(views).double())).numpy()
    assert loss.item() == pytest.approx(nt_xent_by_loops(z, 6, 0.3), rel=1e-5)


@pytest.mark.parametrize("normalize_output", [True, False])
def test_projector_is_that_of_gazda(normalize_output):
    task = SimCLR(
        hidden_size=7, projection_size=5, normalize_output=normalize_output
    ).resolve(INFO)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        projector = task.build(backbone, INFO).projector
    # linear with bias, BatchNorm (scale, shift), linear without bias; the
    # normalisation of the output has no parameters
    expected = backbone.n_features * 7 + 7 + 2 * 7 + 7 * 5
    assert sum(p.numel() for p in projector.parameters()) == expected
    last = projector[-1]
    assert isinstance(
        last, torch.nn.BatchNorm1d if normalize_output else torch.nn.Linear
    )


def test_default_projector_has_2048_and_128():
    task = SimCLR()
    assert (task.hidden_size, task.projection_size) == (2048, 128)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0.0}, "'temperature' parameter of SimCLR"),
        ({"projection_size": 0}, "'projection_size' parameter"),
        ({"augmentation": "simclar"}, "simclr"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        SimCLR(**parameters).resolve(INFO)
