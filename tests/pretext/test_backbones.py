"""Every method trains every kind of backbone, or says at once that it cannot."""

import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext, list_pretexts
from skssl.testing import tiny_vit

SIZE = (32, 32)
N_IMAGES = 7
# Each with gray or colour images.
BACKBONES = [
    ("resnet18", 1),
    ("crnet", 1),
    ("densenet121", 3),
    (tiny_vit, 1),
]


def make(name, backbone, n_channels, seed=0):
    info = TrainingInfo(
        n_images=N_IMAGES,
        n_channels=n_channels,
        image_size=SIZE,
        batch_size=3,
        max_epochs=2,
        groups=torch.tensor([0, 0, 1, 1, 2, 2, 2]),
    )
    task = get_pretext(name).resolve(info)
    with isolated_rng(seed):
        built = build_backbone(backbone, in_channels=n_channels, image_size=SIZE)
        return task, task.build(built, info).train()


def takes(name, backbone):
    kind = get_pretext(name).card.backbones
    if kind == "ViT":
        return backbone is tiny_vit
    # At 32 px, tiles and local views are of the images' size, which CRNet takes, too.
    return True


def train_step(task, module, step, batch):
    """Return the loss of a batch of its own, with its gradients in the module."""
    generator = make_generator(step)
    shape = (batch, module.backbone.n_channels, 36, 36)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    views = task.views(images, generator, size=SIZE)
    module.zero_grad()
    loss = module(views, (torch.arange(batch) + 3 * step) % N_IMAGES)
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize(("backbone", "n_channels"), BACKBONES)
@pytest.mark.parametrize("name", list_pretexts())
def test_every_weight_learns_and_the_state_dict_holds_all(name, backbone, n_channels):
    if not takes(name, backbone):
        with pytest.raises(ValueError, match="vit_tiny"):
            make(name, backbone, n_channels)
        return
    task, module = make(name, backbone, n_channels)
    for step, batch in enumerate((3, 2, 3)):  # 8 images through 7 places of a queue
        loss = train_step(task, module, step, batch)
        module.after_step((step + 1) / 10)
        assert torch.isfinite(loss)
        assert loss.dtype == torch.float32
    for weight_name, weight in module.named_parameters():
        if weight_name.startswith("backbone."):
            assert torch.isfinite(weight.grad).all(), weight_name
            assert weight.grad.abs().sum() > 0, weight_name
        elif weight_name.startswith("target_"):
            assert not weight.requires_grad, weight_name
            assert weight.grad is None, weight_name
    _, restored = make(name, backbone, n_channels, seed=99)
    restored.load_state_dict(module.state_dict())
    ours, theirs = (train_step(task, each, 3, 2) for each in (module, restored))
    assert torch.equal(ours, theirs)


def sized_names():
    return [n for n in list_pretexts() if get_pretext(n).card.backbones == "any size"]


@pytest.mark.parametrize("name", sized_names())
def test_networks_of_one_size_are_refused_where_tiles_or_crops_are_smaller(name):
    info = TrainingInfo(6, 1, (96, 96), 3)
    task = get_pretext(name).resolve(info)
    assert task.input_size((96, 96))[0] < 96
    with isolated_rng(0):
        backbone = build_backbone("crnet", in_channels=1, image_size=(96, 96))
        with pytest.raises(ValueError, match="crnet"):
            task.build(backbone, info)


@pytest.mark.parametrize("name", sized_names())
def test_a_vision_transformer_takes_tiles_and_crops(name):
    info = TrainingInfo(6, 1, (96, 96), 3)
    task = get_pretext(name).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone("vit_tiny", in_channels=1, image_size=(96, 96))
        module = task.build(backbone, info).train()
    images = torch.randint(0, 256, (2, 1, 96, 96), dtype=torch.uint8)
    views = task.views(images, make_generator(0), size=(96, 96))
    module(views, torch.arange(2)).backward()
    for weight in module.backbone.parameters():
        assert weight.grad.abs().sum() > 0
