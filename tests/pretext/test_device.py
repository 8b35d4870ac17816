"""On a CUDA device no method makes the host wait within a step."""

import pytest
import torch

from skssl._random import isolated_rng, make_generator
from skssl.engine import autocast
from skssl.nn import build_backbone
from skssl.pretext import TrainingInfo, get_pretext, list_pretexts
from skssl.testing import tiny_cnn, tiny_vit


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", list_pretexts())
def test_a_step_makes_the_host_wait_for_nothing(name):
    device = torch.device("cuda")
    task = get_pretext(name)
    if "same_group" in task.get_params():
        task = task.set_params(same_group="ignore")
    groups = torch.arange(8) // 2
    info = TrainingInfo(8, 1, (24, 24), 4, groups=groups)
    task = task.resolve(info)
    network = tiny_vit if task.card.backbones == "ViT" else tiny_cnn
    with isolated_rng(0, device):
        backbone = build_backbone(network, in_channels=1, image_size=(24, 24))
        module = task.build(backbone, info).to(device).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    images = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8, device=device)
    index = torch.arange(4, device=device)
    generator = make_generator(0, device)

    def step():
        views = task.views(images, generator, size=(24, 24))
        with autocast("bfloat16", device):
            loss = module(views, index)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        module.after_step(0.5)

    step()  # what is made once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
