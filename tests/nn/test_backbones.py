from functools import partial

import pytest
import torch
from torch import nn
from torchvision import models

from skssl._random import make_generator
from skssl.nn import Backbone, CRNet, build_backbone

# One small member of each torchvision family: image side in pixels, features.
FAMILIES = {
    "alexnet": (64, 4096),
    "convnext_tiny": (32, 768),
    "densenet121": (32, 1024),
    "efficientnet_b0": (32, 1280),
    "efficientnet_v2_s": (32, 1280),
    "googlenet": (32, 1024),
    "inception_v3": (75, 2048),
    "maxvit_t": (224, 512),
    "mnasnet0_5": (32, 1280),
    "mobilenet_v2": (32, 1280),
    "mobilenet_v3_small": (32, 1024),
    "regnet_x_400mf": (32, 400),
    "regnet_y_400mf": (32, 440),
    "resnet18": (32, 512),
    "resnext50_32x4d": (32, 2048),
    "shufflenet_v2_x0_5": (32, 1024),
    "squeezenet1_1": (32, 512),
    "swin_t": (32, 768),
    "swin_v2_t": (32, 768),
    "vgg11": (32, 4096),
    "vit_b_32": (40, 768),
    "vit_tiny": (32, 192),
    "wide_resnet50_2": (32, 2048),
    "crnet": (32, 128),
}


def draw(*shape):
    return torch.rand(*shape, generator=make_generator(0))


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def build(backbone="resnet18", in_channels=1, px=32, **options):
    return build_backbone(
        backbone, in_channels=in_channels, image_size=(px, px), **options
    )


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_features(name, in_channels):
    px, n_features = FAMILIES[name]
    backbone = build(name, in_channels, px)
    assert (backbone.n_channels, backbone.n_features) == (in_channels, n_features)
    assert not any("aux" in key.lower() for key in backbone.state_dict())
    with torch.inference_mode():
        features = backbone.eval()(draw(2, in_channels, px, px))
    assert features.shape == (2, n_features)
    assert features.isfinite().all()


def test_aux_heads_of_a_module_are_removed_too():
    module = models.googlenet(init_weights=False)
    backbone = build(module, in_channels=3)
    assert module.aux1 is not None
    assert not any("aux" in key for key in backbone.state_dict())
    assert backbone(draw(2, 3, 32, 32)).shape == (2, 1024)


@pytest.mark.parametrize(("name", "px"), [("googlenet", 32), ("inception_v3", 75)])
def test_without_aux_heads_training_gives_features_too(name, px):
    features = build(name, px=px)(draw(2, 1, px, px))
    features.sum().backward()
    assert features.shape == (2, FAMILIES[name][1])


@pytest.mark.parametrize(
    ("name", "head", "published"),
    [
        ("vgg16", 4096 * 1000 + 1000, 138_357_544),
        ("resnet18", 512 * 1000 + 1000, 11_689_512),
        ("resnet50", 2048 * 1000 + 1000, 25_557_032),
        ("densenet121", 1024 * 1000 + 1000, 7_978_856),
        ("densenet169", 1664 * 1000 + 1000, 14_149_480),
        ("efficientnet_b0", 1280 * 1000 + 1000, 5_288_548),
        ("efficientnet_b1", 1280 * 1000 + 1000, 7_794_184),
    ],
)
def test_parameters_are_the_published_ones_less_the_head(name, head, published):
    with torch.device("meta"):
        backbone = build(name, in_channels=3, px=224)
    assert n_parameters(backbone.network) == published - head


def test_crnet_has_the_published_parameters_less_the_head():
    backbone = build("crnet", px=224)
    assert backbone.n_features == 21_632
    assert n_parameters(backbone.network) == 546_882 - (21_632 * 2 + 2)


@pytest.mark.parametrize("name", ["vgg11", "efficientnet_b0", "googlenet"])
def test_no_dropout_is_left_before_the_features(name):
    with torch.device("meta"):
        network = build(name).network
    last = [m for m in network.modules() if not list(m.children())][-2:]
    assert not any(isinstance(module, nn.Dropout) for module in last)


def test_a_module_is_copied_and_its_modes_and_statistics_stay():
    module = models.resnet18()
    module.layer1.eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    backbone = build(module)
    assert isinstance(module.fc, nn.Linear)
    assert module.conv1.in_channels == 3
    assert backbone.name == "ResNet"
    assert backbone.network.training
    assert not backbone.network.layer1.training
    copied = backbone.network.state_dict()
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key])
        if key != "conv1.weight" and not key.startswith("fc."):
            assert torch.equal(copied[key], value)


def test_a_module_of_the_user_is_taken_whole():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)
    )
    module(torch.zeros(1, 3, 8, 8))
    assert build(module, px=8).n_features == 5


def test_maps_are_averaged():
    module = nn.Conv2d(1, 4, 3)
    images = draw(2, 1, 8, 8)
    backbone = build(module, px=8)
    expected = module((images - 0.5) / 0.25).mean((2, 3))
    torch.testing.assert_close(backbone(images), expected)


def test_a_callable_is_called_and_its_module_not_shared():
    shared = nn.Conv2d(1, 4, 3)
    backbone = build(lambda: shared, px=8)
    assert backbone.network is not shared
    assert build(partial(CRNet, image_size=(32, 32))).n_features == 128


def test_a_backbone_keeps_its_name_normalisation_and_stem():
    first = build("resnet18", in_channels=3)
    first.set_normalization([0.1, 0.2, 0.6], [0.3, 0.4, 0.8])
    second = build(first, in_channels=1, px=96)
    assert (second.name, second.stem, second.n_channels) == ("resnet18", "small", 1)
    assert second.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.6])
    assert second.std.flatten().tolist() == pytest.approx([0.3, 0.4, 0.8])
    assert build(first, in_channels=2).mean.flatten()[0].item() == pytest.approx(0.3)
    assert torch.equal(build(first, in_channels=3).mean, first.mean)


@pytest.mark.parametrize("n_channels", [1, 4])
def test_a_gray_image_gives_what_its_rgb_replica_gave(n_channels):
    rgb = build("resnet18", in_channels=3, px=64).eval()
    adapted = build(rgb, in_channels=n_channels, px=64).eval()
    gray = draw(2, 1, 64, 64)
    with torch.inference_mode():
        expected = rgb(gray.expand(-1, 3, -1, -1))
        result = adapted(gray.expand(-1, n_channels, -1, -1))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_random_filters_keep_their_scale(n_channels):
    weight = build("resnet18", n_channels, px=96).network.conv1.weight
    fan_out = 64 * 49
    assert weight.shape[1] == n_channels
    assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


def test_images_are_normalised():
    backbone = Backbone(nn.Identity(), n_channels=2, n_features=2, name="none")
    backbone.set_normalization([0.5, 0.25], [0.5, 0.125])
    images = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1)
    assert backbone(images).tolist() == [[1.0, 2.0]]
    assert not list(backbone.parameters())
    assert backbone.state_dict()["mean"].shape == (1, 2, 1, 1)


@pytest.mark.parametrize(
    ("mean", "std", "match"),
    [
        ([0.5], [0.5, 0.5], "mean must hold 2 finite numbers"),
        ([0.5, 0.5], [0.5, float("nan")], "std must hold 2 finite numbers"),
        ([0.5, 0.5], [0.5, 0.0], "std must be positive"),
    ],
)
def test_wrong_normalisation_changes_nothing(mean, std, match):
    backbone = Backbone(nn.Identity(), n_channels=2, n_features=2, name="none")
    with pytest.raises(ValueError, match=match):
        backbone.set_normalization(mean, std)
    assert backbone.mean.flatten().tolist() == [0.5, 0.5]


def test_autocast_channels_last_and_double_images_agree():
    backbone = build("resnet18").eval()
    images = draw(4, 1, 32, 32)
    with torch.inference_mode():
        expected = backbone(images)
        torch.testing.assert_close(backbone(images.double()), expected)
        backbone.to(memory_format=torch.channels_last)
        last = images.to(memory_format=torch.channels_last)
        torch.testing.assert_close(backbone(last), expected, rtol=1e-3, atol=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = backbone(last)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("stem", "image_size", "kernel", "stride", "pooled"),
    [
        ("auto", (63, 63), 3, 1, True),
        ("auto", (65, 32), 7, 2, True),
        ("auto", (1, 100), 7, 2, True),
        ("imagenet", (32, 32), 7, 2, True),
        ("small", (96, 96), 3, 1, True),
        ("cifar", (96, 96), 3, 1, False),
    ],
)
def test_stems_of_a_resnet(stem, image_size, kernel, stride, pooled):
    network = build_backbone(
        "resnet18", in_channels=1, image_size=image_size, stem=stem
    ).network
    convolution = network.conv1
    assert convolution.kernel_size == (kernel, kernel)
    assert convolution.stride == (stride, stride)
    assert convolution.padding == (kernel // 2, kernel // 2)
    assert isinstance(network.maxpool, nn.MaxPool2d) is pooled


def test_a_stem_can_be_changed_back():
    cifar = build("resnet18", stem="cifar")
    assert cifar.stem == "cifar"
    assert build(cifar).stem == "cifar"
    small = build(cifar, stem="small")
    assert small.stem == "small"
    assert torch.equal(small.network.conv1.weight, cifar.network.conv1.weight)
    network = build(cifar, stem="imagenet").network
    assert (network.conv1.kernel_size, network.maxpool.kernel_size) == ((7, 7), 3)


def test_no_randomness_but_that_of_the_global_generator():
    first = build("resnet18")
    torch.manual_seed(0)
    second, third = build("resnet18"), build("resnet18")
    assert torch.equal(first.network.conv1.weight, second.network.conv1.weight)
    assert not torch.equal(second.network.conv1.weight, third.network.conv1.weight)


@pytest.mark.parametrize(
    ("backbone", "options", "match"),
    [
        ("resnet81", {}, "backbone='resnet81' is unknown. Did you mean 'resnet18'"),
        ("crnett", {}, "Did you mean 'crnet'"),
        ("vit_tinny", {}, "Did you mean 'vit_tiny'"),
        ("maxvit_t", {"px": 64}, r"'maxvit_t' cannot be built for image_size=\(64"),
        ("alexnet", {"px": 20}, r"'alexnet' cannot take images of image_size=\(20"),
        ("crnet", {"px": 16}, "image_size of CRNet must be at least 23"),
        ("densenet121", {"stem": "small"}, "stem='small' needs a torchvision ResNet"),
        ("resnet18", {"stem": "tiny"}, "stem must be one of"),
        ("resnet18", {"in_channels": 0}, "in_channels=0"),
        (nn.Flatten(0), {}, "must give features"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)), {}, "in 2 groups"),
        (nn.AdaptiveAvgPool2d(0), {}, "nothing is left"),
    ],
)
def test_wrong_arguments_are_named(backbone, options, match):
    with pytest.raises(ValueError, match=match):
        build(backbone, **options)


@pytest.mark.parametrize("backbone", [3, lambda: 3])
def test_not_a_backbone(backbone):
    with pytest.raises(TypeError, match="backbone must be a name"):
        build(backbone)
