"""Jigsaw: the order of tiles is the label's, and the loss of predicting it."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.augment import maximal_hamming_permutations
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext
from skssl.pretext.jigsaw import Jigsaw, _standardize
from skssl.testing import tiny_cnn


def info(n_channels=1, image_size=(24, 24)):
    return TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=image_size, batch_size=4
    )


def make(backbone=tiny_cnn, image_size=(24, 24), **parameters):
    settings = {"n_permutations": 5, "projection_size": 4, "hidden_size": 6}
    about = info(image_size=image_size)
    task = Jigsaw(**{**settings, **parameters}).resolve(about)
    with isolated_rng(0):
        backbone = build_backbone(backbone, in_channels=1, image_size=image_size)
        return task, task.build(backbone, about).train()


def images(n, n_channels=1):
    shape = (n, n_channels, 24, 24)
    return torch.randint(256, shape, generator=make_generator(0), dtype=torch.uint8)


def test_ordering_the_tiles_again_gives_the_image():
    task = Jigsaw(
        n_permutations=20, tile_size=8, tile_fraction=1.0, augmentation="identity"
    ).resolve(info(3))
    # Each pixel holds its own row and column.
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    image = torch.stack([rows, columns, torch.zeros_like(rows)]).to(torch.uint8)
    tiles, label = task.views(
        image.expand(30, -1, -1, -1), make_generator(0), size=(24, 24)
    )
    assert tiles.shape == (30, 9, 3, 8, 8)
    assert len(label.unique()) > 10  # drawn for each image
    orders = maximal_hamming_permutations(20)
    for i in range(30):
        restored = torch.zeros(3, 24, 24)
        for place, cell in enumerate(orders[label[i]].tolist()):
            top, left = 8 * (cell // 3), 8 * (cell % 3)
            restored[:, top : top + 8, left : left + 8] = tiles[i, place]
        torch.testing.assert_close(restored * 255, image.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("normalize", [True, False])
def test_loss_equals_the_formula(normalize):
    task, module = make(normalize_tiles=normalize)
    module.backbone.set_normalization([0.3], [0.2])
    views = task.views(images(3), make_generator(1), size=(24, 24))
    double = deepcopy(module).double()
    loss = module(views, torch.arange(3))
    tiles, label = views[0].double().numpy(), views[1].numpy()
    if normalize:
        for image in tiles:
            for tile in image:
                tile[0] = 0.3 + 0.2 * (tile[0] - tile[0].mean()) / (tile.std() + 0.01)
    with torch.no_grad():  # all tiles are one batch for BatchNorm
        h = double.backbone(torch.tensor(tiles).flatten(0, 1)).numpy()
    first_w, first_b, *rest = (
        p.detach().numpy()
        for p in (*double.tile_layer.parameters(), *double.classifier.parameters())
    )
    losses = []
    for i in range(3):
        z = [np.maximum(first_w @ h[9 * i + j] + first_b, 0) for j in range(9)]
        hidden = np.maximum(rest[0] @ np.concatenate(z) + rest[1], 0)
        logits = rest[2] @ hidden + rest[3]
        losses.append(-np.log(np.exp(logits[label[i]]) / np.exp(logits).sum()))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_brightness_of_tiles_does_not_matter():
    task, module = make()
    tiles, label = task.views(images(3), make_generator(1), size=(24, 24))
    brighter = tiles + torch.linspace(0, 0.4, 9)[:, None, None, None]
    batches = (tiles, label), (brighter, label)
    loss, same = (module(views, torch.arange(3)).item() for views in batches)
    assert same == pytest.approx(loss, rel=1e-4)
    module.normalize_tiles = False
    loss, differs = (module(views, torch.arange(3)).item() for views in batches)
    assert differs != pytest.approx(loss, rel=1e-3)


def test_the_noise_of_an_empty_tile_stays_small():
    noise = torch.randn(9, 1, 8, 8, generator=make_generator(0))
    assert _standardize(0.4 + 1e-4 * noise).abs().max() < 0.05
    assert _standardize(0.4 + 0.2 * noise).std() == pytest.approx(1, abs=0.1)
    _, module = make()
    flat = torch.full((2, 9, 1, 8, 8), 0.4), torch.tensor([0, 1])
    assert torch.isfinite(module(flat, torch.arange(2)))


@pytest.mark.parametrize(
    ("image_size", "tile_size"),
    [
        ((224, 224), 63),
        ((96, 96), 32),
        ((24, 24), 24),
        ((300, 150), 42),
        ((20, 90), 20),
    ],
)
def test_tile_size_follows_the_image(image_size, tile_size):
    task = Jigsaw().resolve(info(image_size=image_size))
    assert task.tile_size == tile_size
    assert task.input_size(image_size) == (tile_size, tile_size)


def test_the_default_head_is_the_one_described():
    _, module = make(n_permutations=100, projection_size=512, hidden_size=1024)
    default = Jigsaw()
    assert (default.n_permutations, default.projection_size) == (100, 512)
    assert default.hidden_size == 1024
    by_hand = (16 * 512 + 512) + (9 * 512 * 1024 + 1024) + (1024 * 100 + 100)
    n = sum(p.numel() for p in module.parameters())
    assert n - sum(p.numel() for p in module.backbone.parameters()) == by_hand


def test_a_backbone_of_one_size_is_refused():
    with pytest.raises(ValueError, match=r"jigsaw feeds .* 32 x 32 px, which 'crnet'"):
        make("crnet", image_size=(64, 64))


def test_an_unresolved_task_is_named():
    with pytest.raises(ValueError, match="tile_size is open"):
        Jigsaw().input_size((24, 24))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_permutations", 1),
        ("n_permutations", 1001),
        ("tile_fraction", 0.0),
        ("tile_size", 0),
        ("hidden_size", 0),
        ("projection_size", 0),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of Jigsaw"):
        Jigsaw(**{name: value}).resolve(info())


def test_auto_does_not_rotate():
    # The black corners of a rotated view would reveal the corner tiles.
    assert "rotation" not in Jigsaw().resolve(info()).augmentation.active()
    asked = Jigsaw(augmentation="medical_gray").resolve(info())
    assert "rotation" in asked.augmentation.active()


def test_it_is_found_by_its_name():
    assert repr(get_pretext("jigsaw")) == "Jigsaw()"
