"""MAE: patches, masks, decoder and loss against computations by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo
from skssl.pretext._token_decoder import TokenDecoder, sin_cos_positions
from skssl.pretext.mae import MAE, _rank
from skssl.testing import tiny_cnn, tiny_vit

PX, PATCH = 24, 6


def make(backbone=tiny_vit, n_channels=1, px=PX, **parameters):
    settings = {"decoder_width": 32, "decoder_depth": 1, **parameters}
    info = TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=(px, px), batch_size=4
    )
    with isolated_rng(0):
        built = build_backbone(backbone, in_channels=n_channels, image_size=(px, px))
        return MAE(**settings).resolve(info).build(built, info).train()


def draw_views(n, n_channels=1, px=PX, seed=0):
    generator = make_generator(seed)
    images = torch.rand(n, n_channels, px, px, generator=generator)
    return images, torch.rand(n, 16, generator=generator)


def patches_by_loops(images):
    """Patch (row, column) is number 4 row + column; its pixels row by row, RGBRGB…"""
    n, n_channels = images.shape[:2]
    patches = np.zeros((n, 16, PATCH * PATCH * n_channels))
    for i in range(n):
        for row in range(4):
            for column in range(4):
                pixels = [
                    images[i, c, PATCH * row + y, PATCH * column + x]
                    for y in range(PATCH)
                    for x in range(PATCH)
                    for c in range(n_channels)
                ]
                patches[i, 4 * row + column] = pixels
    return patches


def masked_by_loops(noise, n_visible):
    """Return per image the numbers of the masked patches: the largest numbers."""
    return [{int(k) for k in np.argsort(row)[n_visible:]} for row in noise.numpy()]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_loss_equals_the_formula(normalize, n_channels):
    module = make(n_channels=n_channels, normalize_pixels=normalize)
    module.backbone.set_normalization([0.4] * n_channels, [0.2] * n_channels)
    views = draw_views(3, n_channels)
    loss = module(views, torch.arange(3))
    double = deepcopy(module).double()
    with torch.no_grad():
        predicted = double.predict(views[0].double(), _rank(views[1]))
    patches = patches_by_loops((views[0].double().numpy() - 0.4) / 0.2)
    errors = []
    for i, masked in enumerate(masked_by_loops(views[1], n_visible=4)):
        assert len(masked) == 12
        for k in masked:
            x = patches[i, k]
            if normalize:
                x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
            errors.append(np.mean((predicted[i, k].numpy() - x) ** 2))
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize(
    ("mask_ratio", "n_visible"),
    [(0.75, 4), (0.5, 8), (0.6, 6), (0.01, 15), (0.999, 1)],
)
def test_number_of_visible_patches(mask_ratio, n_visible):
    module = make(mask_ratio=mask_ratio)
    assert module.n_visible == n_visible
    visible = []
    module.backbone.network.encoder.register_forward_pre_hook(
        lambda _, args: visible.append(args[0])
    )
    module(draw_views(5), torch.arange(5))
    assert visible[0].shape == (5, 1 + n_visible, 24)  # with the class token


def test_visible_tokens_are_those_of_the_smallest_noise_with_their_positions():
    module = make()
    views = draw_views(3)
    tokens = module.backbone.network.embed((views[0] - 0.5) / 0.25)
    visible = []
    module.backbone.network.encoder.register_forward_pre_hook(
        lambda _, args: visible.append(args[0])
    )
    module(views, torch.arange(3))
    for i, masked in enumerate(masked_by_loops(views[1], n_visible=4)):
        kept = [0, *(1 + k for k in range(16) if k not in masked)]
        expected = {tuple(token.tolist()) for token in tokens[i, kept]}
        assert {tuple(token.tolist()) for token in visible[0][i]} == expected


def test_pixels_of_masked_patches_reach_the_target_only():
    module = make().eval()
    images, noise = draw_views(2)
    rank = _rank(noise)
    k = min(masked_by_loops(noise, n_visible=4)[0])
    row, column = PATCH * (k // 4), PATCH * (k % 4)
    changed = images.clone()
    changed[0, :, row : row + PATCH, column : column + PATCH] *= torch.linspace(0, 1, 6)
    with torch.no_grad():
        before, after = (module.predict(x, rank) for x in (images, changed))
        assert torch.equal(before, after)
        moved = (module.targets(images) != module.targets(changed)).any(2)
        loss, other = (module((x, noise), None) for x in (images, changed))
    assert moved.nonzero().tolist() == [[0, k]]
    assert loss != other


def test_pixels_of_visible_patches_change_all_predictions_of_their_image():
    module = make().eval()
    images, noise = draw_views(2)
    rank = _rank(noise)
    k = int(rank[0].argmin())
    changed = images.clone()
    changed[0, :, PATCH * (k // 4), PATCH * (k % 4)] += 1.0
    with torch.no_grad():
        before, after = (module.predict(x, rank) for x in (images, changed))
    assert (before != after).any(2).sum(1).tolist() == [16, 0]


@pytest.mark.parametrize("n_channels", [1, 3])
def test_gradient_reaches_all_weights(n_channels):
    module = make(n_channels=n_channels)
    module(draw_views(4, n_channels), torch.arange(4)).backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_decoder_puts_tokens_and_masks_in_their_places():
    decoder = TokenDecoder(24, 32, 1, n_out=7, grid=(2, 3))
    decoder.embed, decoder.blocks = nn.Identity(), nn.Identity()
    decoder.norm, decoder.pixels = nn.Identity(), nn.Identity()
    visible = torch.randn(2, 3, 32, generator=make_generator(0))
    rank = torch.tensor([[3, 0, 2, 1, 5, 4], [1, 2, 3, 4, 5, 0]])
    decoded = decoder(visible, rank)
    for i in range(2):
        for k in range(6):
            r = int(rank[i, k])
            token = visible[i, 1 + r] if r < 2 else decoder.mask_token[0, 0]
            expected = token + decoder.positions[0, 1 + k]
            torch.testing.assert_close(decoded[i, k], expected)


def test_positions_are_waves_of_row_and_column():
    positions = sin_cos_positions((3, 2), 8)[0].double().numpy()
    assert not positions[0].any()  # the class token
    for row in range(3):
        for column in range(2):
            waves = []
            for place in (row, column):
                angles = [place, place / 100]  # frequencies 10,000^0 and 10,000^(-1/2)
                waves += [*np.sin(angles), *np.cos(angles)]
            result = positions[1 + 2 * row + column]
            np.testing.assert_allclose(result, waves, atol=1e-6)


def test_decoder_has_the_weights_of_the_description():
    width, n_in, n_out = 128, 24, PATCH * PATCH
    block = 4 * (width * width + width) + 2 * 4 * width * width + 5 * width + 4 * width
    expected = (
        n_in * width + width  # from the backbone's width
        + width  # mask token
        + 2 * block
        + 2 * width  # last normalisation
        + width * n_out + n_out
    )  # fmt: skip
    decoder = make(decoder_width=width, decoder_depth=2).decoder
    assert sum(p.numel() for p in decoder.parameters()) == expected
    assert decoder.blocks[0].self_attn.num_heads == 4


def test_patches_without_contrast_have_target_zero():
    module = make()
    target = module.targets(torch.full((2, 1, PX, PX), 0.3))
    torch.testing.assert_close(target, torch.zeros(2, 16, PATCH * PATCH))


def test_images_of_broken_patches_are_enlarged():
    module = make(px=20)
    images, noise = draw_views(2, px=20)
    assert module((images, noise), torch.arange(2)).isfinite()
    assert module.targets(images).shape == (2, 16, PATCH * PATCH)
    assert sorted(_rank(noise)[0].tolist()) == list(range(16))


def test_views_are_moved_not_recoloured_and_noise_follows_the_generator():
    for n_channels, moves in (
        (1, {"crop", "horizontal_flip", "rotation"}),
        (3, {"crop", "horizontal_flip"}),
    ):
        task = make_task(n_channels, (16, 12))
        assert task.augmentation.active(n_channels) == moves
        images = torch.zeros(64, n_channels, 20, 20, dtype=torch.uint8)
        view, noise = task.views(images, make_generator(3), size=(16, 12))
        _, again = task.views(images, make_generator(3), size=(16, 12))
        assert view.shape == (64, n_channels, 16, 12)
        assert (noise.shape, noise.dtype) == ((64, 3 * 2), torch.float32)
        assert torch.equal(noise, again)
        assert len(noise.unique()) > 380
        assert noise.mean().item() == pytest.approx(0.5, abs=0.05)
        assert noise.std().item() == pytest.approx(12**-0.5, rel=0.1)
    info = TrainingInfo(n_images=8, n_channels=3, image_size=(16, 12), batch_size=4)
    named = MAE(augmentation="medical_gray").resolve(info).augmentation
    assert "blur" in named.active()


def make_task(n_channels, size):
    """A task that knows the patches of its backbone, 6 px."""
    info = TrainingInfo(
        n_images=8, n_channels=n_channels, image_size=size, batch_size=4
    )
    task = MAE().resolve(info)
    task.build(build_backbone(tiny_vit, in_channels=n_channels, image_size=size), info)
    return task


def test_ranks_are_places_in_ascending_order():
    noise = torch.tensor([[0.3, 0.1, 0.9, 0.2], [0.5, 0.5, 0.1, 0.5]])
    assert _rank(noise).tolist() == [[2, 0, 3, 1], [1, 2, 0, 3]]  # ties in order


def test_views_draw_as_many_numbers_as_the_module_has_patches():
    task = make_task(1, (16, 12))
    images = torch.zeros(2, 1, 16, 12, dtype=torch.uint8)
    for size, n_patches in (((16, 12), 6), ((18, 12), 6), ((19, 7), 8)):
        noise = task.views(images, make_generator(0), size=size)[1]
        assert noise.shape == (2, n_patches)


def test_views_need_the_patch_size_of_the_backbone():
    info = TrainingInfo(n_images=8, n_channels=1, image_size=(16, 16), batch_size=4)
    images = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"patch size .* call build\(\) first"):
        MAE().resolve(info).views(images, make_generator(0), size=(16, 16))


def test_loss_under_autocast_is_float32():
    module = make()
    views = draw_views(3)
    expected = module(views, torch.arange(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = module(views, torch.arange(3))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("backbone", [tiny_cnn, "resnet18"])
def test_other_backbones_are_refused(backbone):
    with pytest.raises(ValueError, match=r"vision transformer .*backbone='vit_tiny'"):
        make(backbone)


def test_torchvisions_own_class_is_refused_with_the_name_of_ours():
    theirs = models.VisionTransformer(24, 6, 1, 2, 24, 48)
    with pytest.raises(ValueError, match=r"skssl\.nn\.vit\.VisionTransformer; got"):
        make(theirs)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"mask_ratio": 1.0}, "'mask_ratio' parameter of MAE"),
        ({"decoder_width": 16}, "'decoder_width' parameter of MAE"),
        ({"decoder_width": 48}, "'decoder_width' parameter of MAE .* multiple of 32"),
        ({"decoder_depth": 0}, "'decoder_depth' parameter of MAE"),
        ({"px": 6}, r"image_size=\(6, 6\) is a single patch of 6 px"),
        ({"backbone": "vit_tiny", "px": 7}, "patches of one pixel"),
    ],
)
def test_bad_parameters_are_named(parameters, match):
    with pytest.raises(ValueError, match=match):
        make(**parameters)
