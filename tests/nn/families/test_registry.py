"""A family of one file works everywhere, and the right family is found."""

import pytest
import torch
from torch import nn
from torchvision import models

from skssl.nn import CRNet, VisionTransformer, build_backbone
from skssl.nn.families import (
    FAMILIES,
    BackboneFamily,
    LoadedWeights,
    family_of,
    find_family,
    register_family,
)
from skssl.nn.maps import find_map


class ToyNetwork(nn.Module):
    """Patches of 4 px as tokens, and a head with its own name."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, stride=4)
        self.tokens = nn.Flatten(2)
        self.top = nn.Linear(6, 10)

    def forward(self, images):
        return self.top(self.tokens(self.patches(images).tanh()).mean(2))


class ToyFamily(BackboneFamily):
    """Names "toy/NAME", one set of weights, and files with an old name of a layer."""

    def __init__(self):
        self.made = []

    def names(self):
        return ["toy/small", "toy/large"]

    def has_name(self, name):
        return name.startswith("toy/")

    def owns(self, network):
        return isinstance(network, ToyNetwork)

    def make(self, name, image_size, in_channels):
        self.made.append((name, image_size, in_channels))
        return ToyNetwork()

    def remove_head(self, network):
        network.top = nn.Identity()
        return ("top.",)

    def pretrained(self, name, weights):
        if weights not in ("imagenet", "toy-1k"):
            return super().pretrained(name, weights)
        return LoadedWeights(toy_state(), "the toy's site", weights, *self.statistics)

    def normalization(self, name, weights="imagenet"):
        return self.statistics

    statistics = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6])

    def adapt_state(self, network, state):
        return {key.replace("embed.", "patches."): v for key, v in state.items()}

    def feature_map(self, network, module, output, image_size):
        if module == "tokens":
            return output.unflatten(2, (image_size[0] // 4, image_size[1] // 4))
        return None


def toy_state():
    shapes = {key: value.shape for key, value in ToyNetwork().state_dict().items()}
    return {key: torch.full(shape, 0.25) for key, shape in shapes.items()}


@pytest.fixture
def toys():
    family = ToyFamily()
    register_family(family)
    yield family
    FAMILIES.remove(family)


def build(backbone, in_channels=3, **options):
    return build_backbone(
        backbone, in_channels=in_channels, image_size=(8, 12), **options
    )


def test_a_network_of_a_further_family_is_built_by_name(toys):
    backbone = build("toy/small", in_channels=1)
    assert toys.made == [("toy/small", (8, 12), 1)]
    assert (backbone.n_features, backbone.name, backbone.stem) == (6, "toy/small", None)
    assert not backbone.is_trained
    assert not any("top" in key for key in backbone.state_dict())
    assert backbone(torch.rand(2, 1, 8, 12)).shape == (2, 6)


@pytest.mark.parametrize("weights", ["imagenet", "toy-1k"])
def test_its_weights_and_normalization_are_loaded(toys, weights):
    backbone = build("toy/large", weights=weights)
    assert backbone.weights_origin == weights
    assert (backbone.network.patches.weight == 0.25).all()
    assert backbone.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert backbone.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_its_files_are_adapted_and_its_head_ignored(toys, tmp_path):
    state = {k.replace("patches.", "embed."): v for k, v in toy_state().items()}
    torch.save(state | {"top.weight": torch.zeros(77, 6)}, tmp_path / "toy.pth")
    backbone = build("toy/small", weights=tmp_path / "toy.pth")
    assert (backbone.network.patches.weight == 0.25).all()
    assert backbone.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert backbone.weights_origin == "toy.pth"


def test_its_modules_lose_their_head_and_have_its_maps(toys):
    backbone = build(ToyNetwork())
    assert isinstance(backbone.network.top, nn.Identity)
    site = find_map(backbone, (8, 12))
    assert (site.module, site.n_channels, site.size) == ("tokens", 6, (2, 3))


def test_its_errors_name_the_backbone(toys):
    with pytest.raises(ValueError, match="'toy/small' has no pretrained weights 'x'"):
        build("toy/small", weights="x")
    with pytest.raises(ValueError, match="stem='small' needs a torchvision ResNet"):
        build("toy/small", stem="small")
    with pytest.raises(ValueError, match="Did you mean 'toy/large'"):
        build("tou/large")


def test_the_family_registered_last_comes_first(toys):
    class OwnResNets(ToyFamily):
        def has_name(self, name):
            return name == "resnet18"

        def owns(self, network):
            return isinstance(network, models.ResNet)

    family = OwnResNets()
    register_family(family)
    try:
        assert find_family("resnet18") is family
        assert family_of(models.resnet18()) is family
        assert find_family("toy/small") is toys
        assert find_family("resnet34") is not family
    finally:
        FAMILIES.remove(family)


@pytest.mark.parametrize("family", [ToyFamily, "toy"])
def test_only_instances_are_registered(family):
    with pytest.raises(TypeError, match="instance of BackboneFamily"):
        register_family(family)


def test_every_name_belongs_to_the_family_that_owns_its_network():
    names = {name for family in FAMILIES for name in family.names()}
    assert {*models.list_models(module=models), "crnet", "vit_tiny"} <= names
    some = {"alexnet", "crnet", "densenet121", "googlenet", "inception_v3", "vit_tiny"}
    some |= {"maxvit_t", "mnasnet0_5", "resnet18", "squeezenet1_1", "vit_b_16"}
    some |= {"resnext50_32x4d", "wide_resnet50_2", "swin_t"}
    for name in sorted(some):
        with torch.device("meta"):
            network = find_family(name).make(name, (224, 224), 3)
        assert family_of(network) is find_family(name), name
        find_family(name).remove_head(network)
        assert family_of(network) is find_family(name), name


def test_other_modules_are_taken_whole():
    network = nn.Sequential(nn.Linear(2, 2))
    family = family_of(network)
    assert family not in FAMILIES
    assert family.remove_head(network) == ()
    assert isinstance(network[0], nn.Linear)
    assert type(family_of(CRNet())) is not type(family)
    with pytest.raises(ValueError, match="'x' is unknown"):
        family.make("x", (8, 8), 3)


def test_a_subclass_of_the_user_belongs_to_the_family_of_its_base():
    class Mine(VisionTransformer):
        pass

    shape = {"num_layers": 1, "num_heads": 1, "hidden_dim": 4, "mlp_dim": 4}
    network = Mine(image_size=8, patch_size=4, **shape)
    assert family_of(network) is find_family("vit_tiny")
    assert family_of(network) is find_family("vit_b_16")
