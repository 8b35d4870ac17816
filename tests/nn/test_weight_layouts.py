"""Files as people have them: each layout gives the features of the network it is of."""

import argparse
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from skssl.nn import WeightsFile, build_backbone

PX = 32


@pytest.fixture(scope="module")
def network():
    """A ResNet-18 without its head, whose statistics and weights are its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = models.resnet18().eval()
        network.fc = nn.Identity()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, PX, PX, generator=torch.Generator().manual_seed(0))


def under(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def moved(state):
    """A copy that was averaged with something else."""
    return {key: value * 0.5 for key, value in state.items()}


def head(prefix):
    return {f"{prefix}0.weight": torch.ones(4, 512), f"{prefix}2.bias": torch.ones(4)}


def lightly(state):
    numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    renamed = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        renamed[f"{numbers[first]}.{rest}"] = value
    return renamed


LAYOUTS = {
    "torchvision": lambda s: {**s, "fc.weight": torch.ones(9, 512)},
    "data parallel": lambda s: {"state_dict": under("module.", s), "epoch": 3},
    "MoCo v2": lambda s: {
        "state_dict": {
            **under("module.encoder_q.", s),
            **head("module.encoder_q.fc."),
            **under("module.encoder_k.", moved(s)),
            "module.queue": torch.ones(4, 8),
        },
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}},
    },
    "MoCo v3": lambda s: {
        "state_dict": {
            **under("module.base_encoder.", s),
            **under("module.momentum_encoder.", moved(s)),
            **head("module.predictor."),
        }
    },
    "SimCLR": lambda s: {
        "state_dict": {**under("backbone.", s), **head("backbone.fc.")}
    },
    "BYOL": lambda s: {
        **under("online_network.encoder.", s),
        **head("online_network.projector."),
        **under("target_network.encoder.", moved(s)),
    },
    "DINO": lambda s: {
        "student": {**under("module.backbone.", moved(s)), **head("module.head.mlp.")},
        "teacher": {**under("backbone.", s), **head("head.mlp.")},
        "args": argparse.Namespace(arch="resnet18"),
        "epoch": 3,
    },
    "lightly": lambda s: {
        **under("backbone.", lightly(s)),
        **under("backbone_momentum.", moved(lightly(s))),
        **head("projection_head.layers."),
    },
    "solo-learn": lambda s: {
        "state_dict": {
            **under("backbone.", s),
            **under("momentum_backbone.", moved(s)),
            **head("projector."),
            "classifier.weight": torch.ones(4, 512),
        },
        "hyper_parameters": {"name": "byol"},
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_features(network, images, tmp_path, layout):
    torch.save(LAYOUTS[layout](network.state_dict()), tmp_path / "weights.pth")
    backbone = build_backbone(
        "resnet18",
        in_channels=3,
        image_size=(PX, PX),
        weights=tmp_path / "weights.pth",
    ).eval()
    with torch.inference_mode():
        expected = network(backbone.normalize(images))
        torch.testing.assert_close(backbone(images), expected, rtol=0, atol=0)
    assert backbone.weights_origin == "weights.pth"


def load(state, path, backbone="resnet18", **options):
    torch.save(state, path)
    weights = WeightsFile(path, **options) if options else path
    return build_backbone(
        backbone, in_channels=3, image_size=(PX, PX), weights=weights, stem="imagenet"
    )


def test_a_prefix_chooses_among_networks(network, tmp_path):
    state = LAYOUTS["DINO"](network.state_dict())
    student = load(state, tmp_path / "dino.pth", prefix="student.")
    weight = student.network.conv1.weight.detach()
    torch.testing.assert_close(weight, network.conv1.weight.detach() * 0.5)
    with pytest.raises(ValueError, match=r"no key that starts with 'pupil\.'; .*stude"):
        load(state, tmp_path / "dino.pth", prefix="pupil.")


def test_two_networks_without_a_known_name_are_refused(network, tmp_path):
    state = network.state_dict()
    both = {**under("left.", state), **under("right.", moved(state))}
    with pytest.raises(ValueError, match=r"several .*prefix=.*'left\.', 'right\.'"):
        load(both, tmp_path / "two.pth")


def test_tensors_by_order(network, tmp_path):
    whole = models.resnet18()
    state = whole.state_dict()
    renamed = {f"tensor_{i}": value for i, value in enumerate(state.values())}
    backbone = load(renamed, tmp_path / "a.pth", by_order=True)
    for key, value in backbone.network.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)
    headless = {f"t{i}": v for i, v in enumerate(network.state_dict().values())}
    load(headless, tmp_path / "b.pth", by_order=True)
    uncounted = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
    load(
        {f"t{i}": v for i, v in enumerate(uncounted)}, tmp_path / "c.pth", by_order=True
    )
    with pytest.raises(
        ValueError, match=r"121 tensors, but the backbone has 100 or 102 or "
    ):
        load(dict(list(renamed.items())[1:]), tmp_path / "d.pth", by_order=True)
    keys = list(renamed)
    renamed[keys[0]], renamed[keys[1]] = renamed[keys[1]], renamed[keys[0]]
    with pytest.raises(
        ValueError, match=r"'tensor_0' of shape \(64,\) is in the place "
    ):
        load(renamed, tmp_path / "e.pth", by_order=True)
    with pytest.raises(
        ValueError, match=r"do not fit.*missing .*unexpected \(tensor_0"
    ):
        load(renamed, tmp_path / "f.pth")


def test_the_normalisation_of_a_file(network, tmp_path):
    state = network.state_dict()
    usual = load(state, tmp_path / "w.pth")
    torch.testing.assert_close(
        usual.mean.flatten(), torch.tensor([0.485, 0.456, 0.406])
    )
    own = load(state, tmp_path / "w.pth", mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 3.0])
    torch.testing.assert_close(own.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match=r"both mean and std"):
        WeightsFile("w.pth", mean=[0.5])


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        (
            "conv1.weight",
            float("nan"),
            r"bad\.pth are not finite: 'conv1\.weight' holds",
        ),
        ("bn1.running_mean", float("inf"), r"bad\.pth are not finite: 'bn1\.running_m"),
        (
            "bn1.running_var",
            -1.0,
            r"bad\.pth cannot be right: 'bn1\.running_var' .*neg",
        ),
    ],
)
def test_impossible_values_name_file_and_key(network, tmp_path, key, value, match):
    state = {k: v.clone() for k, v in network.state_dict().items()}
    state[key].view(-1)[0] = value
    with pytest.raises(ValueError, match=match):
        load(state, tmp_path / "bad.pth")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.to(torch.int8), r"'conv1\.weight' holds torch\.int8"),
        (lambda w: w.to(torch.complex64), r"'conv1\.weight' holds torch\.complex64"),
        (lambda w: w.to("meta"), r"'conv1\.weight', a tensor that is without values"),
        (lambda w: w.to_sparse(), "sparse"),
    ],
)
def test_other_kinds_of_tensors_are_refused(network, tmp_path, change, match):
    state = network.state_dict()
    state["conv1.weight"] = change(state["conv1.weight"])
    with pytest.raises(ValueError, match=rf"bad\.pth .*{match}"):
        load(state, tmp_path / "bad.pth")


def test_a_damaged_file_is_refused(network, tmp_path):
    path = tmp_path / "damaged.pth"
    torch.save(network.state_dict(), path)
    content = bytearray(path.read_bytes())
    weight = network.conv1.weight.detach().numpy().tobytes()[:16]
    content[content.find(weight) + 3] ^= 0x40  # one bit
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"damaged\.pth .* checksum .* is wrong"):
        build_backbone("resnet18", in_channels=3, image_size=(PX, PX), weights=path)


def test_half_precision_is_read_as_float32(network, tmp_path):
    state = {k: v.half() if v.is_floating_point() else v
             for k, v in network.state_dict().items()}  # fmt: skip
    backbone = load(state, tmp_path / "half.pth")
    assert backbone.network.conv1.weight.dtype == torch.float32


class Hostile:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"conv1.weight": Hostile()}},
        models.resnet18,
        {"epoch": 3},
        [torch.ones(3)],
        b"not a file of weights",
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        build_backbone("resnet18", in_channels=1, image_size=(PX, PX), weights=path)
    assert not (tmp_path / "ran").exists()


def test_weights_of_torchxrayvision(tmp_path):
    theirs = models.densenet121(num_classes=18).eval()
    theirs.features.conv0 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    state = {**theirs.state_dict(), "op_threshs": torch.full((18,), float("nan"))}
    torch.save(state, tmp_path / "xrv.pth")
    ours = build_backbone(
        "densenet121", in_channels=1, image_size=(64, 64), weights=tmp_path / "xrv.pth"
    ).eval()
    theirs.classifier = nn.Identity()
    images = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        # Their own function: ((2 * x / 255) - 1) * 1024, for x up to 255.
        expected = theirs((2 * images - 1) * 1024)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)


# What Hugging Face calls the parts of a block, until and since transformers 5.
OLD_VIT = {
    "attn.proj": "attention.output.dense",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
NEW_VIT = {**OLD_VIT, "attn.proj": "attention.o_proj"} | {
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
DINOV2 = {
    "attn.proj": "attention.output.dense",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}
NEW_DINOV2 = {**DINOV2, "attn.proj": "attention.o_proj"}
OLD_QKV = [f"attention.attention.{part}" for part in ("query", "key", "value")]
NEW_QKV = [f"attention.{part}_proj" for part in "qkv"]
EMBEDDINGS = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}


def as_hugging_face(state, blocks, parts, qkv):
    """Rename a vision transformer of timm, and split its attention."""
    renamed = {}
    for key, value in state.items():
        if key in EMBEDDINGS:
            renamed[EMBEDDINGS[key]] = value
            continue
        _, number, rest = key.split(".", 2)
        part, _, kind = rest.rpartition(".")
        if part == "attn.qkv":
            for name, third in zip(qkv, value.chunk(3), strict=True):
                renamed[f"{blocks}.{number}.{name}.{kind}"] = third
        elif rest in parts:
            renamed[f"{blocks}.{number}.{parts[rest]}"] = value
        else:
            renamed[f"{blocks}.{number}.{parts.get(part, part)}.{kind}"] = value
    return renamed


@pytest.mark.parametrize(
    ("name", "prefix", "blocks", "parts", "qkv"),
    [
        ("vit_tiny_patch16_224", "vit.", "encoder.layer", OLD_VIT, OLD_QKV),
        ("vit_tiny_patch16_224", "", "layers", NEW_VIT, NEW_QKV),
        ("vit_small_patch14_dinov2", "", "encoder.layer", DINOV2, OLD_QKV),
        ("vit_small_patch14_dinov2", "dinov2.", "encoder.layer", NEW_DINOV2, NEW_QKV),
    ],
)
def test_vision_transformers_of_hugging_face(
    tmp_path, name, prefix, blocks, parts, qkv
):
    timm = pytest.importorskip("timm", reason="needs timm")
    px = 112
    source = timm.create_model(name, num_classes=0, img_size=px).eval()
    for weight in source.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    state = as_hugging_face(source.state_dict(), blocks, parts, qkv)
    state["embeddings.mask_token"] = torch.zeros(1, 1, source.embed_dim)
    state = {f"{prefix}{key}": value for key, value in state.items()}
    state |= {
        "classifier.weight": torch.ones(3, 4),
        f"{prefix}pooler.dense.bias": torch.ones(4),
    }
    save_file(
        {k: v.contiguous() for k, v in state.items()}, tmp_path / "model.safetensors"
    )
    ours = build_backbone(
        f"timm/{name}", in_channels=3, image_size=(px, px),
        weights=tmp_path / "model.safetensors",
    ).eval()  # fmt: skip
    images = torch.rand(2, 3, px, px)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), source(ours.normalize(images)))


def test_dinov2_with_registers_and_blocks_in_chunks(tmp_path):
    timm = pytest.importorskip("timm", reason="needs timm")
    source = timm.create_model(
        "vit_small_patch14_reg4_dinov2", num_classes=0, img_size=56, depth=2
    )
    for weight in source.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    state = source.state_dict()
    # DINOv2 adds a position to the class token, and none to the registers.
    position = torch.randn(1, 1, 384)
    state["register_tokens"] = state.pop("reg_token")
    state["cls_token"] = state["cls_token"] - position
    state["pos_embed"] = torch.cat([position, state["pos_embed"]], dim=1)
    state["mask_token"] = torch.zeros(1, 384)
    state = {re.sub(r"^blocks\.", "blocks.0.", k): v for k, v in state.items()}
    torch.save({"teacher": under("backbone.", state)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="do not fit"):  # of another depth
        load({"teacher": under("backbone.", state)}, tmp_path / "w.pth",
             "timm/vit_small_patch14_reg4_dinov2")  # fmt: skip
    twin = timm.create_model(
        "vit_small_patch14_reg4_dinov2", num_classes=0, img_size=56, depth=2
    )
    ours = build_backbone(
        twin, in_channels=3, image_size=(56, 56), weights=tmp_path / "w.pth"
    ).eval()
    images = torch.rand(2, 3, 56, 56)
    with torch.inference_mode():
        expected = source.eval()(ours.normalize(images))
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)
