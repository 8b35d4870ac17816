"""timm's networks, by name and as modules."""

import importlib

import pytest
import torch

from skssl import SelfSupervisedPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.nn import Backbone, build_backbone
from skssl.nn.families import family_of
from skssl.nn.maps import find_map
from skssl.pretext import MAE, TrainingInfo

timm = pytest.importorskip("timm", reason="needs timm")


def build(name, channels=3, px=64, **options):
    return build_backbone(
        name, in_channels=channels, image_size=(px, px), **options
    ).eval()


def n_parameters(name):
    return sum(p.numel() for p in timm.create_model(name).parameters())


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(6, image_size=64, random_state=0)


@pytest.fixture
def swin():
    """A tiny Swin transformer, whose maps have their channels last."""
    from timm.models.swin_transformer import SwinTransformer

    def make(**options):
        return SwinTransformer(
            img_size=32, patch_size=2, window_size=4, embed_dim=12, depths=(1, 1),
            num_heads=(1, 2), **options,
        ).eval()  # fmt: skip

    return make


def test_the_head_is_off_and_the_counts_are_the_published_ones():
    assert n_parameters("tf_efficientnet_lite0") == 4_652_008  # 4.7 M
    assert n_parameters("vit_tiny_patch16_224") == 5_717_416  # 5.7 M
    backbone = build("timm/tf_efficientnet_lite0")
    assert backbone.n_features == 1280
    assert not backbone.is_trained
    count = sum(p.numel() for p in backbone.network.parameters())
    assert count == 4_652_008 - 1280 * 1000 - 1000
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, 1280)


def test_features_are_timms_own():
    backbone = build("timm/resnet10t")
    images = torch.rand(2, 3, 64, 64)
    theirs = timm.create_model("resnet10t", num_classes=0).eval()
    theirs.load_state_dict(backbone.network.state_dict())
    with torch.inference_mode():
        expected = theirs(backbone.normalize(images))
        torch.testing.assert_close(backbone(images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet10t"])
def test_a_file_has_the_normalisation_of_its_network(name, tmp_path):
    network = timm.create_model(name)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    config = network.pretrained_cfg
    backbone = build(f"timm/{name}", weights=tmp_path / "weights.pth")
    assert backbone.mean.flatten().tolist() == pytest.approx(config["mean"])
    assert backbone.std.flatten().tolist() == pytest.approx(config["std"])
    images = torch.rand(2, 3, 64, 64)
    network.reset_classifier(0)
    with torch.inference_mode():
        expected = network.eval()(backbone.normalize(images))
        torch.testing.assert_close(backbone(images), expected, rtol=0, atol=0)


def test_typos_name_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'timm/tf_efficientnet_lite0'"):
        build("timm/tf_efficientnet_lite_0")


def test_other_weights_by_name_are_refused():
    with pytest.raises(
        ValueError, match=r"'timm/resnet10t' takes weights='pretrained'"
    ):
        build("timm/resnet10t", weights="imagenet")
    with pytest.raises(ValueError, match=r"Invalid pretrained tag \(absent_tag\)"):
        build("timm/resnet10t.absent_tag", weights="pretrained")


def test_pretrained_weights_are_timms_and_need_its_download(monkeypatch):
    source = timm.create_model("resnet10t")
    create = timm.create_model

    def download(name, pretrained=False, **options):
        network = create(name, **options)
        if pretrained:
            network.load_state_dict(source.state_dict())
        return network

    monkeypatch.setattr(timm, "create_model", download)
    backbone = build("timm/resnet10t", weights="pretrained")
    assert backbone.weights_origin == "pretrained"
    weight = backbone.network.state_dict()["conv1.0.weight"]
    torch.testing.assert_close(weight, source.state_dict()["conv1.0.weight"])

    def refuse(name, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(timm, "create_model", refuse)
    family = family_of(source)
    with pytest.raises(OSError, match=r"could not be downloaded \(Conn.*no network\)"):
        family.pretrained("timm/resnet10t", "pretrained")


def test_without_timm_its_names_say_what_to_install(monkeypatch):
    real = importlib.import_module

    def without_timm(name, *args):
        if name == "timm":
            raise ImportError("No module named 'timm'")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without_timm)
    with pytest.raises(ImportError, match=r"pip install 'skssl\[timm\]'"):
        build("timm/resnet10t")
    with pytest.raises(ValueError, match=r"Did you mean 'resnet18'"):
        build("resnet81")


class TestModules:
    """Networks of timm that are given as objects."""

    def test_a_head_is_removed(self):
        network = timm.create_model("resnet10t")
        backbone = build(network)
        assert backbone.n_features == 512
        assert network.get_classifier().out_features == 1000  # the original stays

    def test_maps_with_channels_last_are_averaged_over_the_pixels(self, swin):
        pooled = build(swin(), px=32)
        assert pooled.n_features == 24
        unpooled = build(swin(global_pool="", num_classes=0), px=32)
        assert unpooled.n_features == 24
        unpooled.network.load_state_dict(pooled.network.state_dict())
        images = torch.rand(2, 3, 32, 32)
        with torch.inference_mode():
            torch.testing.assert_close(unpooled(images), pooled(images))

    def test_tokens_without_a_pool_are_averaged(self):
        network = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, global_pool="", num_classes=0, depth=1
        )
        backbone = build(network, px=32)
        images = torch.rand(2, 3, 32, 32)
        with torch.inference_mode():
            tokens = backbone.network(backbone.normalize(images))  # (2, 1 + 4, 192)
            torch.testing.assert_close(backbone(images), tokens[:, 1:].mean(1))

    def test_the_last_of_several_maps_is_taken(self):
        network = timm.create_model("resnet10t", features_only=True)
        backbone = build(network)
        images = torch.rand(2, 3, 64, 64)
        with torch.inference_mode():
            maps = backbone.network(backbone.normalize(images))
            torch.testing.assert_close(backbone(images), maps[-1].mean((2, 3)))

    def test_own_weights_have_the_normalisation_of_the_network(self):
        network = timm.create_model("tf_efficientnet_lite0")
        backbone = build(network, weights="own")
        assert backbone.is_trained
        assert backbone.mean.flatten().tolist() == [0.5, 0.5, 0.5]
        assert not build(network).is_trained


def test_vision_transformers_take_images_of_any_size():
    backbone = build("timm/vit_tiny_patch16_224", px=50)
    assert backbone(torch.rand(1, 3, 50, 50)).shape == (1, 192)
    assert backbone(torch.rand(1, 3, 33, 70)).shape == (1, 192)


def test_the_tokens_of_a_vision_transformer_are_a_map():
    backbone = build("timm/vit_tiny_patch16_224", px=64)
    site = find_map(backbone, (64, 48))
    assert (site.module, site.n_channels, site.size) == ("norm", 192, (4, 3))


@pytest.mark.parametrize(
    ("name", "n_prefix"),
    [("vit_tiny_patch16_224", 1), ("vit_little_patch16_reg4_gap_256", 4)],
)
def test_mae_masks_their_patches(name, n_prefix):
    backbone = build(f"timm/{name}", channels=1, px=64)
    info = TrainingInfo(8, 1, (64, 64), 4)
    task = MAE(mask_ratio=0.5).resolve(info)
    module = task.build(backbone, info).eval()
    assert (task.patch_px_, module.n_visible) == (16, 8)
    images = torch.rand(2, 1, 64, 64)
    all_visible = torch.arange(16).expand(2, -1)
    module.n_visible = 16
    with torch.inference_mode():
        tokens = family_of(backbone.network).tokens(backbone.network)
        ours = tokens.encode(tokens.embed(backbone.normalize(images)))
        theirs = backbone.network.forward_features(backbone.normalize(images))
        if name.endswith("gap_256"):
            theirs = backbone.network.fc_norm(theirs)
        torch.testing.assert_close(ours, theirs)
        assert tokens.n_prefix == n_prefix
        assert module.predict(images, all_visible).shape == (2, 16, 256)


@pytest.mark.parametrize("px", [98, 224])
def test_checkpoints_in_the_layout_of_dinov2(px, tmp_path):
    source = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    state = {
        **source.state_dict(),
        "mask_token": torch.zeros(1, 384),
    }
    assert state["pos_embed"].shape == (1, 1 + 37**2, 384)
    torch.save({"teacher": {f"backbone.{k}": v for k, v in state.items()}},
               tmp_path / "dinov2.pth")  # fmt: skip
    backbone = build(
        "timm/vit_small_patch14_dinov2", px=px, weights=tmp_path / "dinov2.pth"
    )
    assert backbone.n_features == 384
    positions = backbone.network.pos_embed
    assert positions.shape == (1, 1 + (px // 14) ** 2, 384)
    torch.testing.assert_close(positions[:, 0], source.pos_embed[:, 0])
    weight = backbone.network.blocks[11].attn.qkv.weight
    torch.testing.assert_close(weight, source.blocks[11].attn.qkv.weight)
    features = backbone(torch.rand(1, 3, px, px))
    assert features.isfinite().all()


def test_networks_with_several_stems_get_repeated_gray_images():
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

    blocks = tuple(ByoBlockCfg("rep", d=1, c=8, s=2, gs=0) for _ in range(2))
    network = ByobNet(ByoModelCfg(blocks, stem_chs=8, stem_type="rep"), num_classes=2)
    gray, rgb = build(network, 1), build(network, 3)
    gray.set_normalization([0.4], [0.2])
    rgb.set_normalization([0.4] * 3, [0.2] * 3)
    images = torch.rand(2, 1, 64, 64)
    expected = rgb(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray(images), expected)


def test_a_pretraining_with_a_network_of_timm(scans):
    ssl = SelfSupervisedPretrainer(
        "simclr", backbone="timm/resnet10t", max_epochs=1, random_state=0
    ).fit(scans.data)
    h = ssl.transform(scans.data)
    assert h.shape == (len(scans.data), 512)
    assert isinstance(ssl.backbone_, Backbone)
    assert ssl.encoder_.config()["networks"][0]["backbone"] == "timm/resnet10t"


ARCHITECTURES = [
    "resnet18",
    "resnet50d",
    "resnext50_32x4d",
    "regnety_002",
    "densenet121",
    "efficientnet_b0",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_100",
    "mnasnet_small",
    "convnext_atto",
    "convnextv2_atto",
    "vit_tiny_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "deit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "swin_tiny_patch4_window7_224",
    "swinv2_cr_tiny_224",
    "mixer_s32_224",
    "xcit_nano_12_p16_224",
    "beit_base_patch16_224",
    "eva02_tiny_patch14_224",
    "poolformer_s12",
    "pvt_v2_b0",
    "repvgg_a0",
    "ghostnet_050",
    "vgg11",
    "edgenext_xx_small",
    "levit_128s",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skssl.exceptions.CollapseWarning")  # noise
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_architectures(name, channels):
    backbone = build(f"timm/{name}", channels=channels, px=224)
    reference = timm.create_model(name, num_classes=7)
    n_head = sum(p.numel() for p in reference.parameters())
    reference.reset_classifier(0)
    n_without = sum(p.numel() for p in reference.parameters())
    n_own = sum(p.numel() for p in backbone.network.parameters())
    assert n_without < n_head
    assert backbone.n_features == reference.head_hidden_size
    if channels == 3:
        # Positions may be built for another size.
        assert abs(n_own - n_without) <= 600_000
    X = torch.randint(0, 256, (8, channels, 224, 224), dtype=torch.uint8)
    ssl = SelfSupervisedPretrainer(
        "simclr", backbone=f"timm/{name}", max_epochs=1, batch_size=4, random_state=0,
        value_range=(0, 255), image_size=224,
    )  # fmt: skip
    assert ssl.fit(X).transform(X[:2]).shape == (2, backbone.n_features)
