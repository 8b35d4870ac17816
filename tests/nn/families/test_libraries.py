"""Modules of transformers, MONAI and torchxrayvision, given as objects.

The classes here stand in for theirs: they have the same attributes and outputs, and say
that they come from there. The libraries themselves are used where they are installed.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from skssl.nn import build_backbone

PX = 32


def build(network, channels=3, **options):
    return build_backbone(
        network, in_channels=channels, image_size=(PX, PX), **options
    ).eval()


def from_library(module):
    """Let a class say that it is defined in a module of another library."""

    def mark(kind):
        kind.__module__ = module
        return kind

    return mark


@from_library("transformers.models.vit.modeling_vit")
class ViTModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Conv2d(3, 6, 8, stride=8)
        self.embeddings.cls_token = nn.Parameter(torch.randn(1, 1, 6))

    def forward(self, images):
        patches = self.embeddings(images).flatten(2).transpose(1, 2)
        token = self.embeddings.cls_token.expand(len(images), -1, -1)
        last = torch.cat([token + patches.mean(1, keepdim=True), patches], dim=1)
        pooled = torch.zeros(len(images), 6)  # ViT's pooler may have random weights
        return SimpleNamespace(last_hidden_state=last, pooler_output=pooled)


@from_library("transformers.models.resnet.modeling_resnet")
class ResNetModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedder = nn.Conv2d(3, 6, 8, stride=8)

    def forward(self, images):
        maps = self.embedder(images)
        pooled = maps.mean((2, 3), keepdim=True)
        return SimpleNamespace(last_hidden_state=maps, pooler_output=pooled)


@from_library("transformers.models.resnet.modeling_resnet")
class ResNetForImageClassification(nn.Module):
    def __init__(self):
        super().__init__()
        self.base_model = ResNetModel()
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(6, 10))

    def forward(self, images):
        pooled = self.base_model(images).pooler_output
        return SimpleNamespace(logits=self.classifier(pooled))


@from_library("transformers.models.vit.modeling_vit")
class ViTForMaskedImageModeling(ViTModel):
    pass


def test_the_class_token_of_transformers():
    network = ViTModel()
    images = torch.rand(2, 3, PX, PX)
    backbone = build(network)
    expected = network(backbone.normalize(images)).last_hidden_state[:, 0]
    torch.testing.assert_close(backbone(images), expected)


def test_pooled_maps_of_transformers_with_and_without_a_head():
    whole = ResNetForImageClassification()
    images = torch.rand(2, 3, PX, PX)
    backbone = build(whole)
    assert backbone.n_features == 6
    torch.testing.assert_close(backbone(images), build(whole.base_model)(images))


def test_other_heads_of_transformers_are_refused():
    with pytest.raises(ValueError, match=r"ForMaskedImageModeling .*model\.base_model"):
        build(ViTForMaskedImageModeling())


def test_own_weights_need_a_known_normalisation():
    with pytest.raises(ValueError, match=r"not known .*ViTModel.* set_normalization"):
        build(ViTModel(), weights="own")


@from_library("monai.networks.nets.densenet")
class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 6, 8, stride=8)
        self.class_layers = nn.Sequential()
        self.class_layers.pool = nn.AdaptiveAvgPool2d(1)
        self.class_layers.flatten = nn.Flatten()
        self.class_layers.out = nn.Linear(6, 4)

    def forward(self, images):
        return self.class_layers(self.features(images))


@from_library("monai.networks.nets.vit")
class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 8, stride=8)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return tokens, [tokens]


@from_library("monai.networks.nets.unet")
class UNet(nn.Module):
    def forward(self, images):
        return images


def test_networks_of_monai():
    assert build(DenseNet(), 1).n_features == 6
    images = torch.rand(2, 1, PX, PX)
    backbone = build(ViT(), 1)
    tokens, _ = backbone.network(backbone.normalize(images))
    torch.testing.assert_close(backbone(images), tokens.mean(1))
    with pytest.raises(ValueError, match=r"MONAI's UNet are its head"):
        build(UNet(), 1)


@from_library("torchxrayvision.models")
class XRV(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 6, 8, stride=8)
        self.classifier = nn.Linear(6, 18)
        self.register_buffer("op_threshs", torch.rand(18))
        self.apply_sigmoid = True

    def forward(self, images):
        assert images.min() >= -1024
        assert images.max() <= 1024
        out = self.classifier(self.features(images).mean((2, 3)))
        if self.apply_sigmoid:
            out = out.sigmoid()
        return out if self.op_threshs is None else out - self.op_threshs


def test_networks_of_torchxrayvision_have_their_own_range():
    network = XRV()
    backbone = build(network, 1, weights="own")
    images = torch.stack([torch.zeros(1, PX, PX), torch.ones(1, PX, PX)])
    assert backbone.normalize(images).flatten(1).mean(1).tolist() == [-1024, 1024]
    expected = network.features(2048 * images - 1024).mean((2, 3))
    torch.testing.assert_close(backbone(images), expected)
    assert build(network, 3, weights="own").n_features == 6


def test_the_libraries_themselves():
    monai = pytest.importorskip("monai.networks.nets", reason="needs MONAI")
    network = monai.DenseNet121(spatial_dims=2, in_channels=1, out_channels=2)
    assert build(network, 1).n_features == 1024


def test_transformers_itself():
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.Dinov2Config(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=PX
    )
    assert build(transformers.Dinov2Model(config)).n_features == 12
    whole = transformers.Dinov2ForImageClassification(config)
    assert build(whole).n_features == 24  # class token and mean of the patches
