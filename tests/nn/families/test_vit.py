"""Vision transformers: torchvision's by name, with weights of any grid."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch.nn import functional
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from skssl import SelfSupervisedPretrainer
from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.nn.families import find_family
from skssl.nn.families.vit import VIT_NAMES
from skssl.nn.vit import VisionTransformer

TINY = {
    "image_size": 24,
    "patch_size": 6,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 24,
    "mlp_dim": 48,
    "num_classes": 5,
}


def make(cls=VisionTransformer, **changes):
    """Make a tiny network whose head, zero at first in torchvision, gives something."""
    with isolated_rng(0):
        network = cls(**{**TINY, **changes})
        torch.nn.init.normal_(network.heads.head.weight)
        return network.eval()


def make_network(name, image_size):
    return find_family(name).make(name, image_size, in_channels=3)


def draw(*shape):
    return torch.randn(*shape, generator=make_generator(1))


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def count_by_hand(d, mlp_dim, depth, patch_px, n_patches, n_classes):
    norm = 2 * d
    attention = 3 * (d * d + d) + d * d + d
    mlp = d * mlp_dim + mlp_dim + mlp_dim * d + d
    embedding = 3 * patch_px**2 * d + d + d + (1 + n_patches) * d
    head = d * n_classes + n_classes
    return embedding + depth * (2 * norm + attention + mlp) + norm + head


@pytest.mark.parametrize(
    ("name", "d", "published"),
    [("vit_tiny", 192, 5_717_416), ("vit_small", 384, 22_050_664)],
)
def test_small_vits_have_the_published_parameters(name, d, published):
    with torch.device("meta"):
        network = make_network(name, (224, 224))
    assert network.patch_size == 16
    assert network.pool == "mean"
    assert n_parameters(network) == published
    assert count_by_hand(d, 4 * d, 12, 16, 196, 1000) == published


@pytest.mark.parametrize("name", [n for n in VIT_NAMES if n.count("_") == 2])
def test_torchvisions_names_have_torchvisions_weights(name):
    with torch.device("meta"):
        ours = make_network(name, (224, 224))
        theirs = models.get_model(name)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    assert list(ours.state_dict()) == list(shapes)
    heads = [block.num_heads for block in ours.encoder.layers]
    assert heads == [block.num_heads for block in theirs.encoder.layers]
    assert ours.pool == "token"


def test_all_names_of_torchvision_are_included():
    known = {n for n in models.list_models(module=models) if n.startswith("vit_")}
    assert known | {"vit_tiny", "vit_small"} == set(VIT_NAMES)


def test_vit_b_32_by_name_is_torchvisions():
    backbone = build_backbone("vit_b_32", in_channels=3, image_size=(64, 64)).eval()
    with isolated_rng(0):
        theirs = models.vit_b_32(image_size=64).eval()
    theirs.heads = torch.nn.Identity()
    theirs.load_state_dict(backbone.network.state_dict())
    images = draw(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs((images - 0.5) / 0.25)
        torch.testing.assert_close(backbone(images), expected)


@pytest.mark.parametrize(
    ("image_size", "patch_px"),
    [
        ((224, 224), 16),
        ((112, 112), 8),
        ((96, 96), 8),
        ((64, 64), 8),
        ((32, 32), 4),
        ((28, 28), 2),
        ((98, 98), 7),
        ((96, 64), 8),
        ((448, 336), 28),  # 14 leaves 768 patches, 16 leaves 588
        ((4, 4), 1),
    ],
)
def test_patches_follow_the_image_size(image_size, patch_px):
    height, width = image_size
    with torch.device("meta"):
        network = make_network("vit_tiny", image_size)
    assert network.patch_size == patch_px
    assert network.grid_size == (height // patch_px, width // patch_px)
    smaller = [p for p in range(1, patch_px) if height % p == 0 == width % p]
    assert all((height // p) * (width // p) > 196 for p in smaller)


def test_sizes_without_good_patches_get_the_nearest_ones():
    with pytest.raises(ValueError, match=r"image_size=\(97, 97\) .*'vit_tiny'") as info:
        make_network("vit_tiny", (97, 97))
    assert "(96, 96)" in str(info.value)
    assert "(98, 98)" in str(info.value)
    with pytest.raises(ValueError, match=r"\(200, 131\).*image_size=\(\d+, \d+\) or"):
        make_network("vit_small", (200, 131))
    with pytest.raises(ValueError, match=r"\(3, 3\) .* requires\.$"):
        make_network("vit_tiny", (3, 3))


def test_small_vits_lose_their_head_and_take_gray_images():
    backbone = build_backbone("vit_tiny", in_channels=1, image_size=(32, 32))
    assert (backbone.n_features, backbone.network.patch_size) == (192, 4)
    assert not any("head" in name for name in backbone.state_dict())
    assert backbone(torch.rand(2, 1, 44, 30)).shape == (2, 192)


@pytest.mark.parametrize("image_size", [(64, 96), (224, 224)])
def test_imagenet_positions_fit_any_grid(monkeypatch, image_size):
    state = models.vit_b_32().state_dict()
    choice = models.ViT_B_32_Weights
    monkeypatch.setattr(choice, "get_state_dict", lambda *args, **kwargs: state)
    network = build_backbone(
        "vit_b_32", in_channels=3, image_size=image_size, weights="imagenet"
    ).network
    grid = state["encoder.pos_embedding"][0, 1:].T.reshape(1, 768, 7, 7)
    new = (image_size[0] // 32, image_size[1] // 32)
    expected = functional.interpolate(
        grid, size=new, mode="bicubic", align_corners=True
    )
    result = network.encoder.pos_embedding.detach()[0, 1:]
    torch.testing.assert_close(result, expected[0].flatten(1).T, rtol=1e-4, atol=1e-6)
    assert torch.equal(network.class_token, state["class_token"])


@pytest.mark.parametrize("cls", [VisionTransformer, models.VisionTransformer])
def test_files_fit_vits_of_the_user(tmp_path, cls):
    source = make(models.VisionTransformer, image_size=30)
    torch.save(source.state_dict(), tmp_path / "vit.pth")
    built = build_backbone(
        make(cls),
        in_channels=3,
        image_size=(24, 24),
        weights=tmp_path / "vit.pth",
    )
    state = dict(source.state_dict())
    interpolate_embeddings(24, 6, state)
    torch.testing.assert_close(
        built.network.encoder.pos_embedding.detach(), state["encoder.pos_embedding"]
    )


def test_positions_that_cannot_fit_are_named(tmp_path):
    source = make(image_size=(12, 30))
    torch.save(source.state_dict(), tmp_path / "wide.pth")
    with pytest.raises(ValueError, match=r"pos_embedding \(1, 11, 24\) instead of"):
        build_backbone(
            make(),
            in_channels=3,
            image_size=(24, 24),
            weights=tmp_path / "wide.pth",
        )


def test_patches_follow_the_weights_when_the_image_size_changes():
    """Stages of different size chain: patches stay, positions are interpolated."""
    first = SelfSupervisedPretrainer(
        backbone="vit_tiny", image_size=32, max_epochs=0, random_state=0
    ).fit(np.zeros((4, 32, 32), dtype=np.uint8))
    backbone = build_backbone(
        "vit_tiny",
        in_channels=1,
        image_size=(64, 64),
        weights=FrozenEstimator(first),
    )
    assert backbone.network.patch_size == 4  # 64 px alone would make it 8
    assert backbone.network.grid_size == (16, 16)
    assert backbone(torch.rand(1, 1, 64, 64)).shape == (1, 192)
