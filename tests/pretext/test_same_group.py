"""What other images of a patient are to a contrastive loss, by hand."""

import math

import numpy as np
import pytest
import torch

from skssl import SelfSupervisedPretrainer
from skssl._random import isolated_rng
from skssl.datasets import make_scan_phantoms
from skssl.nn import build_backbone, nt_xent
from skssl.pretext import ContrastiveTask, MoCo, SimCLR, TrainingInfo, get_pretext
from skssl.pretext._base import REGISTRY
from skssl.testing import check_pretext, tiny_cnn

GROUPS = torch.tensor([0, 0, 1, 2])
CONTRASTIVE = [
    name for name, kind in REGISTRY.items() if issubclass(kind, ContrastiveTask)
]


def make(task, groups=GROUPS, n_images=4):
    info = TrainingInfo(n_images, 1, (16, 16), batch_size=4, groups=groups)
    resolved = task.resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        return resolved.build(backbone, info).train()


def random_views(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(n, 1, 16, 16, generator=generator) for _ in range(2))


def test_masked_nt_xent_on_two_patients_by_hand():
    """Equal vectors: the loss is the logarithm of how many terms are left."""
    z = torch.ones(3, 2)
    patients = torch.tensor([0, 0, 1])
    mask = patients[:, None] == patients[None]
    assert nt_xent(z, z, 0.5).item() == pytest.approx(math.log(5))
    # images 0 and 1 keep the positive and two views of image 2; image 2 keeps all 5
    expected = (2 * math.log(3) + math.log(5)) / 3
    assert nt_xent(z, z, 0.5, mask).item() == pytest.approx(expected)


@pytest.mark.parametrize("same_group", ["ignore", "positive"])
def test_simclr_ignores_the_patients_other_images(same_group):
    views, index = random_views(4), torch.tensor([3, 1, 0, 2])
    ignoring = make(SimCLR(same_group=same_group, temperature=0.3))
    loss = ignoring(views, index)
    double = ignoring.double()
    with torch.no_grad():
        z = double.projector(double.backbone(torch.cat(views).double())).numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    patient = np.tile(GROUPS[index].numpy(), 2)
    losses = []
    for i in range(8):
        j = (i + 4) % 8
        kept = [k for k in range(8) if k == j or (patient[k] != patient[i])]
        terms = {k: np.exp(z[i] @ z[k] / 0.3) for k in kept}
        losses.append(-np.log(terms[j] / sum(terms.values())))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)
    plain = make(SimCLR(temperature=0.3))(views, index)
    assert loss.item() < plain.item()  # fewer negatives


@pytest.mark.parametrize("masking", ["ignore", "positive"])
def test_moco_masks_the_patient_in_the_batch_and_in_the_queue(masking):
    def loss_of(same_group, **options):
        module = make(MoCo(queue_size=6, same_group=same_group, **options))
        module(random_views(2, 5), torch.tensor([0, 2]))
        module.after_step(0.1)
        index = torch.tensor([1, 3])
        loss = module(random_views(2, 6), index)
        return loss, module

    ignored, module = loss_of(masking, exclude_same_image=False)
    kept, _ = loss_of("negative", exclude_same_image=False)
    assert ignored.item() < kept.item()
    double = module.double()
    q, k = (
        torch.nn.functional.normalize(head(net(view.double())), dim=1).detach().numpy()
        for net, head, view in (
            (double.backbone, double.projector, random_views(2, 6)[0]),
            (double.target_backbone, double.target_projector, random_views(2, 6)[1]),
        )
    )
    queue = module.queue.features.numpy()
    # image 1 is of patient 0, as is image 0 in the queue; random rows are nobody's
    key_image = module.queue.index.tolist()
    assert key_image == [0, 2, -1, -1, -1, -1]
    losses = []
    for i, own in enumerate((0, 2)):
        positive = np.exp(q[i] @ k[i] / 0.2)
        others = np.exp(q[i] @ k[1 - i] / 0.2)  # patients 0 and 2 differ
        others += sum(
            np.exp(q[i] @ queue[j] / 0.2)
            for j in range(6)
            if key_image[j] < 0 or GROUPS[key_image[j]] != own
        )
        losses.append(-np.log(positive / (positive + others)))
    assert ignored.item() == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("same_group", ["ignore", "positive"])
def test_patients_are_needed(name, same_group):
    task = get_pretext(name).set_params(same_group=same_group)
    with pytest.raises(ValueError, match=rf"same_group='{same_group}' .* needs the"):
        task.resolve(TrainingInfo(4, 1, (16, 16), 4))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_unknown_use_is_refused(name):
    task = get_pretext(name).set_params(same_group="drop")
    with pytest.raises(ValueError, match="'same_group' parameter"):
        task.resolve(TrainingInfo(4, 1, (16, 16), 4))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_the_second_view_is_made_of_the_partner(name):
    info = TrainingInfo(4, 1, (24, 24), 4, groups=GROUPS)
    task = get_pretext(name).set_params(same_group="positive", augmentation="identity")
    task = task.resolve(info)
    images = torch.full((4, 1, 24, 24), 51, dtype=torch.uint8)  # 0.2
    views = task.views(
        images,
        torch.Generator().manual_seed(0),
        size=(24, 24),
        partners=images * 3,  # 0.6
    )
    first, second = views[:2]
    torch.testing.assert_close(first, torch.full_like(first, 0.2))
    torch.testing.assert_close(second, torch.full_like(second, 0.6))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_batch_of_one_patient_leaves_a_finite_loss(name):
    """There may be no negative left at all."""
    task = get_pretext(name).set_params(same_group="ignore")
    info = TrainingInfo(8, 1, (24, 24), 4, groups=torch.tensor([0] * 4 + [1] * 4))
    task = task.resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(24, 24))
        module = task.build(backbone, info).train()
    images = torch.randint(0, 256, (4, 1, 24, 24), dtype=torch.uint8)
    views = task.views(images, torch.Generator().manual_seed(0), size=(24, 24))
    loss = module(views, torch.arange(4))
    loss.backward()
    assert torch.isfinite(loss)
    for weight in module.backbone.parameters():
        assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_single_patient_has_no_negatives(name):
    task = get_pretext(name).set_params(same_group="ignore")
    groups = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="are all of one patient"):
        task.resolve(TrainingInfo(4, 1, (16, 16), 4, groups=groups))


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("same_group", ["ignore", "positive"])
def test_the_battery_holds_for_each_use(name, same_group):
    check_pretext(get_pretext(name).set_params(same_group=same_group))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_pretrainer_hands_the_patients_on(name):
    scans = make_scan_phantoms(8, image_size=24, random_state=0)
    weights = []
    for same_group in ("negative", "ignore", "positive"):
        task = get_pretext(name).set_params(same_group=same_group)
        ssl = SelfSupervisedPretrainer(
            task, backbone=tiny_cnn, max_epochs=1, random_state=0
        ).fit(scans.data, groups=scans.groups)
        weights.append(torch.cat([p.flatten() for p in ssl.backbone_.parameters()]))
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
