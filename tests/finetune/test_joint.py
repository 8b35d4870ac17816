"""Method 4 of He, Yang et al.: labels and an auxiliary pretext at the same time."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from skssl import Phase
from skssl._random import isolated_rng, make_generator
from skssl.augment import Augmentation
from skssl.engine import LabelledViews, LabelModule
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.pretext import Flip, Rotation, TrainingInfo
from skssl.testing import tiny_cnn

TARGET = torch.tensor([1, 0, 2, 0, 1, 2])
WEIGHT = torch.tensor([0.5, 1.5, 1.0, 2.0, 0.25, 0.75])


def make_module(**options):
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        classifier = Classifier(backbone, ClassifierHead(16, 3))
        return LabelModule(classifier, TARGET, **options)


def float64(tensor):
    return tensor.detach().double().numpy()


def cross_entropy(h, layer, label):
    """By a loop, in float64."""
    losses = []
    for row, k in zip(h, label, strict=True):
        logits = float64(layer.weight) @ row + float64(layer.bias)
        losses.append(np.log(np.exp(logits).sum()) - logits[k])
    return np.array(losses)


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_joint_loss_is_the_sum_of_the_two(factor):
    module = make_module(n_versions=4, auxiliary_weight=factor, weight=WEIGHT)
    index, version = torch.tensor([4, 0, 3]), torch.tensor([2, 0, 3])
    images = torch.rand(3, 1, 16, 16, generator=make_generator(0))
    with torch.no_grad():
        h = float64(
            deepcopy(module.classifier.backbone).double().train()(images.double())
        )
    loss = module((images, version), index).item()
    of_labels = cross_entropy(h, module.classifier.head.output, TARGET[index])
    of_versions = cross_entropy(h, module.auxiliary_head, version)
    expected = np.mean(float64(WEIGHT[index]) * of_labels) + factor * of_versions.mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_label_smoothing_by_hand():
    smooth, plain = make_module(label_smoothing=0.3), make_module()
    images = torch.rand(3, 1, 16, 16, generator=make_generator(0))
    index = torch.tensor([0, 1, 2])
    with torch.no_grad():
        log_p = plain.classifier.train()(images).log_softmax(1)
    picked = log_p[torch.arange(3), TARGET[:3]]
    expected = -(0.7 * picked + 0.3 * log_p.mean(1)).mean()
    torch.testing.assert_close(smooth((images,), index), expected)


@pytest.mark.parametrize(("task", "n_versions"), [(Rotation(), 4), (Flip(), 2)])
def test_the_version_is_right_and_can_be_undone(task, n_versions):
    images = torch.randint(
        256, (40, 1, 16, 16), generator=make_generator(1), dtype=torch.uint8
    )
    info = TrainingInfo(n_images=40, n_channels=1, image_size=(16, 16), batch_size=8)
    identity = Augmentation()
    auxiliary = task.set_params(augmentation=identity).resolve(info)
    views = LabelledViews(identity, auxiliary)
    shown, version = views.views(images, make_generator(0), size=(16, 16))
    assert set(version.tolist()) == set(range(n_versions))
    for image, view, k in zip(images / 255, shown, version.tolist(), strict=True):
        back = torch.rot90(view, -k, dims=(1, 2)) if n_versions == 4 else view
        back = back.flip(2) if n_versions == 2 and k else back
        torch.testing.assert_close(back, image)


def test_no_version_at_predict(make_clf, scans):
    """A prediction is that of the image as it is, and leaves the auxiliary head out."""
    clf = make_clf(auxiliary="rotation", phases=[Phase(epochs=2)])
    clf.fit(scans.data, scans.target)
    images = torch.from_numpy(scans.data)[:, None] / 255
    with torch.no_grad():
        p = clf.networks_[0](images).softmax(1)
    np.testing.assert_allclose(clf.predict_proba(scans.data), p, atol=1e-6)
    assert not any("auxiliary" in name for name, _ in clf.networks_.named_modules())


def test_the_auxiliary_loss_trains_the_backbone(make_clf, scans):
    weights = []
    for auxiliary, factor in ((None, 1.0), ("rotation", 0.0), ("rotation", 5.0)):
        clf = make_clf(
            auxiliary=auxiliary, auxiliary_weight=factor, phases=[Phase(epochs=1)]
        ).fit(scans.data, scans.target)
        weights.append(next(clf.backbone_.parameters()).detach().numpy())
    assert not np.allclose(weights[1], weights[2])
    assert not np.allclose(weights[0], weights[1])  # the images are turned
