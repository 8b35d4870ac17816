import sys
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch import nn
from torchvision import models

from skssl.nn import CRNet, WeightsFile, build_backbone


class Pretrainer(BaseEstimator):
    """Stands in for a fitted pretrainer: holds a ``backbone_``."""

    def fit(self, backbone):
        self.backbone_ = backbone
        return self


def build(backbone="resnet18", in_channels=1, px=32, **options):
    return build_backbone(
        backbone, in_channels=in_channels, image_size=(px, px), **options
    )


def save(state, path):
    torch.save(state, path)
    return path


def assert_same_weights(network, state):
    own = network.state_dict()
    assert own
    for key, value in own.items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


@pytest.fixture(scope="module")
def rgb_state():
    """A state dict as torchvision publishes it: three channels, 1000 classes."""
    with torch.random.fork_rng(devices=[]):
        return models.resnet18().state_dict()


def test_imagenet_weights_through_torchvisions_own_builder(rgb_state, monkeypatch):
    choice = models.ResNet18_Weights
    monkeypatch.setattr(choice, "get_state_dict", lambda *args, **kwargs: rgb_state)
    for weights in ("imagenet", "IMAGENET1K_V1"):
        backbone = build(in_channels=3, weights=weights)
        assert_same_weights(backbone.network, rgb_state)
        assert backbone.stem == "imagenet"
        torch.testing.assert_close(
            backbone.mean.flatten(), torch.tensor([0.485, 0.456, 0.406])
        )
        torch.testing.assert_close(
            backbone.std.flatten(), torch.tensor([0.229, 0.224, 0.225])
        )
    gray = build(in_channels=1, weights="imagenet")  # repeated, see test_gray.py
    assert gray.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert_same_weights(gray.network, rgb_state)


def test_imagenet_weights_that_cannot_be_downloaded(monkeypatch, tmp_path):
    def refuse(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"'imagenet': .* \(.*no network.*\)\. Give weig"):
        build(weights="imagenet")


def test_imagenet_weights_of_googlenet_lose_aux_heads_and_keep_its_input(monkeypatch):
    state = models.googlenet(init_weights=False).state_dict()
    choice = models.GoogLeNet_Weights
    monkeypatch.setattr(choice, "get_state_dict", lambda *args, **kwargs: state)
    official = models.googlenet(weights="DEFAULT").eval()
    ours = build("googlenet", in_channels=3, weights="imagenet").eval()
    assert_same_weights(ours.network, state)
    seen = []  # what the first convolution of each gets
    for network in (official, ours.network):
        network.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images = torch.rand(2, 3, 32, 32)
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.inference_mode():
        official((images - mean) / std)
        ours(images)
    torch.testing.assert_close(seen[1], seen[0])


def test_position_embeddings_of_a_vit_are_interpolated(monkeypatch):
    state = models.vit_b_32(image_size=224).state_dict()
    state["encoder.pos_embedding"] = torch.full((1, 50, 768), 0.25)
    choice = models.ViT_B_32_Weights
    monkeypatch.setattr(choice, "get_state_dict", lambda *args, **kwargs: state)
    network = build("vit_b_32", px=64, weights="imagenet").network
    torch.testing.assert_close(
        network.encoder.pos_embedding.detach(), torch.full((1, 5, 768), 0.25)
    )


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "module.backbone.", "network."])
def test_files_with_prefixes(rgb_state, tmp_path, suffix, prefix):
    state = {prefix + key: value for key, value in rgb_state.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3}, path)
    backbone = build(in_channels=3, weights=path)
    assert_same_weights(backbone.network, rgb_state)
    assert backbone.mean.flatten()[0].item() == pytest.approx(0.485)


def test_a_saved_backbone_comes_back_with_its_normalisation(tmp_path):
    source = build("resnet18", stem="small")
    source.set_normalization([0.3], [0.1])
    state = {f"backbone.{key}": value for key, value in source.state_dict().items()}
    path = str(save(state, tmp_path / "own.pt"))
    copy = build("resnet18", weights=path, stem="small")
    assert_same_weights(copy, source.state_dict())


@pytest.mark.parametrize(("in_file", "wanted"), [(1, 3), (3, 1), (1, 1), (2, 5)])
def test_the_channels_of_the_file_are_respected(tmp_path, in_file, wanted):
    source = build("resnet18", in_file, px=96)
    path = save(source.network.state_dict(), tmp_path / "gray.pth")
    mean, std = [0.4] * in_file, [0.2] * in_file
    weights = WeightsFile(path, mean=mean, std=std)
    weight = build("resnet18", wanted, px=96, weights=weights).network.conv1.weight
    assert weight.shape[1] == wanted
    torch.testing.assert_close(
        weight.detach().sum(1), source.network.conv1.weight.detach().sum(1)
    )


def test_old_layouts_of_torchvision_files(tmp_path):
    state = {
        key.replace("norm1", "norm.1").replace("conv2", "conv.2"): value
        for key, value in models.densenet121().state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert any("denselayer3.conv.2." in key for key in state)
    path = save(state, tmp_path / "densenet121.pth")
    loaded = build("densenet121", in_channels=3, weights=path).network.state_dict()
    key = "features.denseblock1.denselayer3.conv{}2.weight"
    assert torch.equal(loaded[key.format("")], state[key.format(".")])


def test_mnasnet_loads_a_file_without_a_version(tmp_path):
    state = dict(models.mnasnet0_5().state_dict())
    path = save(state, tmp_path / "mnasnet.pth")
    assert_same_weights(build("mnasnet0_5", 3, weights=path).network, state)


def test_files_for_modules_callables_and_crnet(tmp_path):
    state = CRNet(n_classes=4).state_dict()
    path = save(state, tmp_path / "crnet.pth")
    for backbone in ("crnet", CRNet(image_size=(32, 32)), CRNet):
        assert_same_weights(build(backbone, weights=path, px=40).network, state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"layer9.weight": torch.zeros(2)}, r"1 unexpected \(layer9.weight\)"),
        ({"bn1.bias": torch.zeros(2)}, r"bn1.bias \(2,\) instead of \(64,\)"),
        ({"bn1.bias": None}, r"1 missing \(bn1.bias\).*stem="),
    ],
)
def test_what_does_not_fit_is_named(rgb_state, tmp_path, change, match):
    state = {k: v for k, v in {**rgb_state, **change}.items() if v is not None}
    path = save(state, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=rf"(?s)bad\.pth do not fit.*{match}"):
        build(weights=path)


def test_the_error_for_another_stem_than_the_file_mentions_stem(tmp_path):
    path = save(build(stem="small").network.state_dict(), tmp_path / "small.pth")
    with pytest.raises(ValueError, match=r"conv1.weight .*stem="):
        build(weights=path)


def test_unreadable_files(tmp_path):
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pth could not be read"):
        build(weights=text)
    whole = save(CRNet(), tmp_path / "whole.pth")
    with pytest.raises(ValueError, match=r"whole\.pth could not be read"):
        build(weights=whole)
    with pytest.raises(ValueError, match="must hold a state dict of tensors"):
        build(weights=save({"epoch": 3}, tmp_path / "epoch.pth"))
    with pytest.raises(FileNotFoundError, match=r"absent\.pth does not exist"):
        build(weights=tmp_path / "absent.pth")


def test_safetensors_not_installed(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install skssl\[safetensors\]"):
        build(weights=path)


def test_a_frozen_estimator_provides_its_backbone():
    source = build("resnet18", in_channels=3)
    source.set_normalization([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    weights = FrozenEstimator(Pretrainer().fit(source))
    copy = build("resnet18", in_channels=3, px=96, weights=weights)
    assert copy.stem == "small"
    assert_same_weights(copy, source.state_dict())
    copy.network.conv1.weight.data.zero_()
    assert source.network.conv1.weight.any()
    gray = build(weights=weights)
    assert gray.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_frozen_estimator_may_hold_a_module_or_a_vit_of_another_size():
    module = nn.Sequential(nn.Conv2d(1, 4, 3))
    source = build(module)
    weights = FrozenEstimator(Pretrainer().fit(source))
    copy = build(nn.Sequential(nn.Conv2d(1, 4, 3)), weights=weights)
    assert_same_weights(copy, source.state_dict())
    weights = FrozenEstimator(Pretrainer().fit(build("vit_b_32", px=32)))
    assert build("vit_b_32", px=64, weights=weights).n_features == 768


def test_invalid_estimators_as_weights():
    fitted = Pretrainer().fit(build("resnet18"))
    with pytest.raises(TypeError, match=r"clone is unfitted.*FrozenEstimator\(fitted"):
        build(weights=fitted)
    with pytest.raises(NotFittedError, match="Pretrainer without backbone_: fit it"):
        build(weights=FrozenEstimator(Pretrainer()))
    with pytest.raises(ValueError, match="'resnet18', but backbone is 'resnet34'"):
        build("resnet34", weights=FrozenEstimator(fitted))


@pytest.mark.parametrize(
    ("backbone", "weights", "error", "match"),
    [
        ("crnet", "imagenet", ValueError, "'crnet' has no pretrained weights"),
        ("vit_tiny", "imagenet", ValueError, "'vit_tiny' has no pretrained weights"),
        (
            nn.Conv2d(1, 2, 3),
            "imagenet",
            ValueError,
            "need a backbone given by",
        ),
        ("resnet18", "IMAGENET", ValueError, r"'IMAGENET1K_V1'.*got 'IMAGENET'"),
        ("resnet18", 3, TypeError, "weights must be None, 'imagenet'.* got int"),
        ("resnet18", SimpleNamespace(), TypeError, "got SimpleNamespace"),
    ],
)
def test_wrong_weights_are_named(backbone, weights, error, match):
    with pytest.raises(error, match=match):
        build(backbone, weights=weights)
