"""The last map of a backbone: which it is, its values and its gradient."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch import nn
from torchvision import models

from skssl.nn import build_backbone, in_eval_mode
from skssl.nn.maps import MapSite, find_map, forward_map
from skssl.testing import tiny_cnn, tiny_vit


def vit():
    return models.VisionTransformer(
        image_size=24, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=12
    )


def layers_behind_the_map():
    return nn.Sequential(tiny_cnn(), nn.Flatten(), nn.LazyLinear(5))


def make(network, px):
    if network is layers_behind_the_map:
        network = network()
        network(torch.zeros(1, 3, px, px))
    in_channels = 3 if network is vit else 1
    return build_backbone(network, in_channels=in_channels, image_size=(px, px))


CASES = [
    ("resnet18", 64, MapSite("layer4", 512, (2, 2))),
    ("crnet", 64, MapSite("features.10", 128, (3, 3))),  # the mean-pool
    ("crnet", 32, MapSite("features.9", 128, (3, 3))),  # the mean-pool leaves 1 x 1
    ("densenet121", 64, MapSite("features", 1024, (2, 2))),
    ("densenet121", 32, MapSite(None, 1024, (1, 1))),
    (tiny_cnn, 24, MapSite("", 16, (6, 6))),
    (vit, 24, MapSite("encoder", 8, (3, 3))),
    (layers_behind_the_map, 16, MapSite(None, 5, (1, 1))),
]
IDS = [f"{getattr(n, '__name__', n)}-{px}" for n, px, _ in CASES]


@pytest.mark.parametrize(("network", "px", "site"), CASES, ids=IDS)
def test_the_map_is_found_and_trains_all_weights(network, px, site):
    backbone = make(network, px).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.network.get_submodule("").eval()  # a mode of its own, to be kept
    assert find_map(backbone, (px, px)) == site
    assert backbone.training
    assert not backbone.network.training
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), f"find_map changes {name}"
    backbone.train()
    images = torch.rand(4, backbone.n_channels, px, px)
    found = forward_map(backbone, images, site)
    assert found.shape == (4, site.n_channels, *site.size)
    (found * torch.randn(found.shape)).sum().backward()
    for name, weight in backbone.named_parameters():
        assert weight.grad is not None, f"no gradient for {name}"


@pytest.mark.parametrize("network", ["resnet18", tiny_cnn])
def test_the_mean_of_the_map_is_the_features(network):
    backbone = make(network, 40).eval()
    images = torch.rand(3, 1, 40, 40)
    found = forward_map(backbone, images, find_map(backbone, (40, 40)))
    torch.testing.assert_close(found.mean((2, 3)), backbone(images))


def test_the_map_of_crnet_is_its_features():
    backbone = make("crnet", 64).eval()
    images = torch.rand(3, 1, 64, 64)
    found = forward_map(backbone, images, find_map(backbone, (64, 64)))
    assert torch.equal(found.flatten(1), backbone(images))


def test_tokens_have_the_places_of_their_patches():
    backbone = make(vit, 24).eval()
    images = torch.rand(2, 3, 24, 24)
    found = forward_map(backbone, images, find_map(backbone, (24, 24)))
    network = backbone.network
    tokens = network._process_input((images - backbone.mean) / backbone.std)
    start = network.class_token.expand(2, -1, -1)
    tokens = network.encoder(torch.cat([start, tokens], dim=1))
    for row in range(3):
        for column in range(3):
            expected = tokens[:, 1 + 3 * row + column]
            torch.testing.assert_close(found[:, :, row, column], expected)


def test_a_backbone_can_be_copied_and_pickled_after_use():
    backbone = make("resnet18", 32)
    site = find_map(backbone, (32, 32))
    images = torch.rand(2, 1, 32, 32)
    ours = forward_map(backbone.eval(), images, site)
    assert not any(module._forward_hooks for module in backbone.modules())
    for twin in (deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert torch.equal(forward_map(twin, images, site), ours)


def test_hooks_are_removed_after_an_error():
    backbone = make("resnet18", 32)
    with pytest.raises(RuntimeError):
        find_map(backbone, (0, 0))
    with pytest.raises(RuntimeError):
        forward_map(backbone, torch.rand(2, 5, 32, 32), MapSite("layer4", 512, (2, 2)))
    assert not any(module._forward_hooks for module in backbone.modules())


def test_images_too_small_for_the_map_are_named():
    backbone = make("resnet18", 64)
    with pytest.raises(ValueError, match=r"\(16, 16\) px leave no map in 'layer4'"):
        forward_map(backbone, torch.rand(2, 1, 16, 16), find_map(backbone, (64, 64)))


def test_modes_come_back_after_an_error():
    network = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(KeyError), in_eval_mode(network):
        {}[network.training]
    assert [part.training for part in network.modules()] == [True, True, False]


@pytest.mark.parametrize("image_size", [(36, 36), (24, 48), (24, 24)])
def test_a_vision_transformer_may_get_another_size_than_it_was_built_for(image_size):
    backbone = build_backbone(tiny_vit, in_channels=1, image_size=image_size).eval()
    rows, columns = (side // 6 for side in image_size)  # patches of 6 px
    site = find_map(backbone, image_size)
    assert site.size == (rows, columns)
    images = torch.rand(2, 1, *image_size)
    found = forward_map(backbone, images, site)
    torch.testing.assert_close(found.mean((2, 3)), backbone(images))
