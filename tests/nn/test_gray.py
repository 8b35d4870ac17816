"""A gray image gives the features of its RGB replica, with trained weights."""

import copy

import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn
from torchvision import models

from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.nn import Backbone, WeightsFile, build_backbone

PX = 64


def build(backbone, channels, **options):
    return build_backbone(
        backbone, in_channels=channels, image_size=(PX, PX), **options
    ).eval()


def relative_difference(gray, rgb):
    images = torch.rand(4, 1, PX, PX, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = rgb(images.expand(-1, 3, -1, -1))
        return ((gray(images) - expected).norm() / expected.norm()).item()


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(6, image_size=64, random_state=0)


@pytest.fixture(params=["resnet18", "timm/resnet10t", "timm/test_vit"])
def trained(request, tmp_path):
    """The name of a network, and a file with RGB weights for it."""
    name = request.param
    if name.startswith("timm/"):
        timm = pytest.importorskip("timm", reason="needs timm")
        network = timm.create_model(name.removeprefix("timm/"))
    else:
        network = models.get_model(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.bias.data.normal_()
    torch.save(network.state_dict(), tmp_path / "rgb.pth")
    return name, tmp_path / "rgb.pth"


def test_features_are_those_of_the_replica(trained):
    name, path = trained
    gray, rgb = (build(name, channels, weights=path) for channels in (1, 3))
    assert relative_difference(gray, rgb) < 1e-5
    again = build(gray, 1)  # as fine-tuning copies a backbone
    assert relative_difference(again, rgb) < 1e-5
    assert relative_difference(copy.deepcopy(gray), rgb) < 1e-5
    assert relative_difference(gray, build(gray, 3)) < 1e-5


def test_one_normalisation_for_all_channels_needs_no_copies():
    network = models.resnet18()
    half = Backbone(network, n_channels=3, n_features=512, name="resnet18")
    half.set_normalization([0.5] * 3, [0.5] * 3)
    gray, rgb = build(half, 1), build(half, 3)
    assert gray.network.conv1.in_channels == 1
    assert gray.mean.flatten().tolist() == [0.5]
    assert relative_difference(gray, rgb) < 1e-5


def test_only_gray_images_are_repeated():
    with pytest.raises(ValueError, match=r"expand_to=6 .* n_channels is 2"):
        Backbone(nn.Identity(), n_channels=2, n_features=3, name="x", expand_to=6)
    network = models.resnet18()
    four = build_backbone(network, in_channels=4, image_size=(PX, PX), weights="own")
    assert four.network.conv1.in_channels == 4
    assert four.mean.flatten().tolist() == pytest.approx([0.44899] * 4, abs=1e-4)


def test_stages_keep_the_channels(scans, tmp_path):
    torch.save(models.resnet18().state_dict(), tmp_path / "rgb.pth")
    options = {"backbone": "resnet18", "random_state": 0, "max_epochs": 1}
    first = SelfSupervisedPretrainer(weights=tmp_path / "rgb.pth", **options)
    first.fit(scans.data)
    assert first.backbone_.network.conv1.in_channels == 3
    second = SelfSupervisedPretrainer("moco", weights=FrozenEstimator(first), **options)
    second.fit(scans.data)
    torch.testing.assert_close(second.backbone_.mean, first.backbone_.mean)
    clf = FineTuneClassifier(
        FrozenEstimator(second), phases=[Phase(epochs=1)], random_state=0
    )
    clf.fit(scans.data, scans.target)
    assert clf.backbone_.network.conv1.in_channels == 3
    assert clf.predict(scans.data).shape == (len(scans.data),)


def test_mae_restores_what_the_network_gets(scans, tmp_path):
    source = build("vit_tiny", 3)
    torch.save(source.network.state_dict(), tmp_path / "rgb.pth")
    weights = WeightsFile(tmp_path / "rgb.pth", mean=[0.4, 0.5, 0.6], std=[0.2] * 3)
    ssl = SelfSupervisedPretrainer(
        "mae", backbone="vit_tiny", weights=weights, max_epochs=1,
        image_size=PX, random_state=0, batch_size=8,
    )  # fmt: skip
    assert ssl.fit(scans.data).transform(scans.data[:2]).shape == (2, 192)
