"""Context restoration: swaps that can be undone, and the loss of undoing them."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext
from skssl.pretext.context_restoration import (
    ContextRestoration,
    _draw_patches,
    _swap,
)
from skssl.testing import tiny_cnn


def info(n_channels=1, image_size=(24, 24)):
    return TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=image_size, batch_size=4
    )


def images(n, n_channels=1, size=(24, 24)):
    shape = (n, n_channels, *size)
    return torch.randint(256, shape, generator=make_generator(0), dtype=torch.uint8)


def test_a_swap_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    corners = torch.tensor([[[0, 1, 4, 5], [10, 11, 14, 15]]])
    expected = [[10, 11, 2, 3], [14, 15, 6, 7], [8, 9, 0, 1], [12, 13, 4, 5]]
    assert _swap(image, [corners])[0, 0].tolist() == expected


@pytest.mark.parametrize("size", [(24, 24), (9, 30), (30, 9)])
@pytest.mark.parametrize("patch_px", [1, 3, 4])
def test_patches_are_squares_apart_inside_the_image(size, patch_px):
    patches = _draw_patches(200, size, patch_px, make_generator(0))
    assert patches.shape == (200, 2, patch_px**2)
    rows, columns = patches // size[1], patches % size[1]
    seen = set()
    for i in range(200):
        pixels = []
        for k in range(2):
            top, left = rows[i, k].min().item(), columns[i, k].min().item()
            assert top + patch_px <= size[0]
            assert left + patch_px <= size[1]
            pixels += [
                (top + y, left + x) for y in range(patch_px) for x in range(patch_px)
            ]
            seen.add((top, left))
        drawn = torch.stack([rows[i].flatten(), columns[i].flatten()], dim=1)
        assert drawn.tolist() == [list(pixel) for pixel in pixels]
        assert len(set(pixels)) == 2 * patch_px**2  # no overlap
    # Both corners of the image are reached.
    assert any(top == 0 for top, _ in seen)
    assert any(top == size[0] - patch_px for top, _ in seen)
    assert any(left == 0 for _, left in seen)
    assert any(left == size[1] - patch_px for _, left in seen)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_swaps", [1, 4])
def test_swapping_back_restores_the_image(n_channels, n_swaps):
    task = ContextRestoration(n_swaps=n_swaps, augmentation="identity").resolve(
        info(n_channels)
    )
    batch = images(5, n_channels)
    corrupted, original = task.views(batch, make_generator(1), size=(24, 24))
    assert torch.equal(original, batch.float() / 255)
    again = make_generator(1)  # the same draws: 0.15 of 24 px are 3 px
    patches = [_draw_patches(5, (24, 24), 3, again) for _ in range(n_swaps)]
    assert torch.equal(_swap(corrupted, patches[::-1]), original)


@pytest.mark.parametrize(("fraction", "patch_px"), [(0.15, 3), (0.5, 12), (0.01, 1)])
def test_one_swap_moves_two_patches_and_no_pixel_is_lost(fraction, patch_px):
    task = ContextRestoration(n_swaps=1, patch_fraction=fraction).resolve(info(3))
    corrupted, original = task.views(images(4, 3), make_generator(1), size=(24, 24))
    numbers = torch.arange(24 * 24.0).view(1, 1, 24, 24).expand(4, 1, 24, 24)
    moved = _swap(numbers, [_draw_patches(4, (24, 24), patch_px, make_generator(1))])
    assert (moved != numbers).sum((1, 2, 3)).tolist() == [2 * patch_px**2] * 4
    for ours, theirs in zip(corrupted, original, strict=True):
        pixels = [image.flatten(1).T.tolist() for image in (ours, theirs)]
        assert sorted(pixels[0]) == sorted(pixels[1])  # channels move together
        assert not torch.equal(ours, theirs)


def test_loss_is_the_mean_squared_error():
    task = ContextRestoration(decoder_width=4).resolve(info())
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(24, 24))
        module = task.build(backbone, info()).train()
    views = task.views(images(3), make_generator(1), size=(24, 24))
    double = deepcopy(module).double()
    loss = module(views, torch.arange(3))
    original = views[1].double().numpy()
    with torch.no_grad():  # tiny_cnn ends with its map
        normalized = (views[0].double() - double.backbone.mean) / double.backbone.std
        restored = double.decoder(double.backbone.network(normalized)).numpy()
    squares = [
        (restored[i, 0, y, x] - original[i, 0, y, x]) ** 2
        for i in range(3)
        for y in range(24)
        for x in range(24)
    ]
    assert loss.item() == pytest.approx(np.mean(squares), rel=1e-5)


@pytest.mark.parametrize(
    "network", ["resnet18", "crnet", "densenet121", "mobilenet_v3_small"]
)
def test_gradient_reaches_every_weight(network):
    about = info(image_size=(40, 40))
    task = ContextRestoration(decoder_width=8).resolve(about)
    with isolated_rng(0):
        backbone = build_backbone(network, in_channels=1, image_size=(40, 40))
        module = task.build(backbone, about)
        views = task.views(images(3, 1, (40, 40)), make_generator(0), size=(40, 40))
        module(views, torch.arange(3)).backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_a_line_of_pixels_is_refused():
    with pytest.raises(ValueError, match=r"image_size .* at least 2 px .* \(1, 50\)"):
        ContextRestoration().resolve(info(image_size=(1, 50)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_swaps", 0),
        ("patch_fraction", 0.0),
        ("patch_fraction", 0.6),
        ("decoder_width", 0),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of ContextRestoration"):
        ContextRestoration(**{name: value}).resolve(info())


def test_it_is_found_by_its_name():
    assert repr(get_pretext("context_restoration")) == "ContextRestoration()"
