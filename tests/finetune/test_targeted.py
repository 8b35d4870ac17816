"""TargetedPretrainer: its images, its tasks, and what it keeps."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from skorch.callbacks import Callback

from skssl import Phase, TargetedFlipPretrainer, TargetedPretrainer
from skssl._random import make_generator
from skssl.exceptions import NothingLearnedWarning
from skssl.pretext import (
    Dihedral,
    Flip,
    Quadrants,
    Rotation,
    TrainingInfo,
    targeted_task,
)
from skssl.testing import tiny_cnn

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


class Batches(Callback):
    """Write down what passes the network at each step."""

    def __init__(self):
        self.index, self.images = [], []

    def on_train_begin(self, net, **kwargs):
        backbone = net.module_.classifier.backbone
        self.handle = backbone.register_forward_pre_hook(
            lambda _module, args: self.images.append(args[0].detach().clone())
        )

    def on_batch_end(self, net, batch=None, **kwargs):
        self.index.append(batch.index.tolist())

    def on_train_end(self, net, **kwargs):
        self.handle.remove()


def test_scikit_learns_checks_run_in_full():
    flip = TargetedFlipPretrainer(
        backbone=tiny_cnn, hidden_size=8, phases=[Phase(epochs=1)], image_shape="flat"
    )
    records = check_estimator(flip, on_skip=None, on_fail="raise")
    assert sum(r["status"] == "passed" for r in records) >= 40
    rest = {r["check_name"] for r in records if r["status"] != "passed"}
    assert rest <= {"check_array_api_input"}


def test_each_image_and_its_mirror_are_in_one_step(make_flip, scans):
    seen = Batches()
    phases = [Phase(epochs=2, batch_size=4)]
    make_flip(phases=phases, callbacks=[seen]).fit(scans.data)
    assert {len(index) for index in seen.index} == {2}  # with mirrors a batch of 4
    for epoch in (seen.index[:15], seen.index[15:]):
        assert sorted(i for index in epoch for i in index) == list(range(30))
    # The set of an epoch is 60 images, 30 as they are and 30 mirrored.
    assert sum(len(images) for images in seen.images[:15]) == 60
    for images in seen.images:
        as_it_is, mirrored = images.chunk(2)
        assert torch.equal(mirrored, as_it_is.flip(3))


def test_a_mirrored_image_differs_by_the_mirror_alone(scans):
    """Bit for bit, whatever the view went through before."""
    images = torch.from_numpy(scans.data)[:, None]
    info = TrainingInfo(n_images=30, n_channels=1, image_size=(28, 28), batch_size=4)
    for augmentation in ("identity", "auto"):
        task = Flip(augmentation=augmentation).resolve(info)
        image, mirrored = task.views(images, make_generator(0), size=(28, 28))
        assert torch.equal(mirrored.flip(3), image)
        # No trace of the order: the mirror image of the mirror image is the image.
        again = task.versions(mirrored)
        assert torch.equal(again[1], image)


def test_fractions_are_the_first_images_and_contain_each_other(make_flip, scans):
    rows = {
        fraction: make_flip(fraction=fraction).fit(scans.data).sample_indices_.tolist()
        for fraction in (0.0, 0.25, 0.5, 0.75, 1.0)
    }
    for fraction, taken in rows.items():
        assert taken == list(range(round(30 * fraction)))


def test_fraction_0_is_the_network_as_it_was_made(make_flip, scans):
    untrained, trained = (
        make_flip(fraction=fraction).fit(scans.data) for fraction in (0.0, 1.0)
    )
    assert untrained.history_ == []
    assert untrained.n_trainable_ == []
    assert not np.allclose(
        untrained.transform(scans.data), trained.transform(scans.data)
    )
    torch.testing.assert_close(untrained.backbone_.mean, trained.backbone_.mean)


def test_validation_patients_are_apart(make_flip, scans):
    flip = make_flip(validation_fraction=0.3).fit(scans.data, groups=scans.groups)
    held, trained = flip.validation_indices_, flip.sample_indices_
    assert not set(scans.groups[held]) & set(scans.groups[trained])
    assert sorted([*held, *trained]) == list(range(30))
    row = flip.history_[-1]
    assert flip.score(scans.data[held]) == pytest.approx(row["val_accuracy"], abs=0.02)


@pytest.mark.parametrize("head", ["mlp", "linear"])
def test_features_are_what_the_last_layer_sees(make_flip, scans, head):
    flip = make_flip(head=head).fit(scans.data)
    h = flip.transform(scans.data)
    assert h.shape == (30, 8 if head == "mlp" else 16)
    with torch.no_grad():
        logits = flip.networks_[0](torch.from_numpy(scans.data)[:, None] / 255)
        torch.testing.assert_close(flip.head_.output(torch.from_numpy(h)), logits)


def test_in_a_pipeline(make_flip, scans):
    pipe = make_pipeline(make_flip(), LogisticRegression())
    assert pipe.fit(scans.data, scans.target).predict(scans.data).shape == (30,)


@pytest.mark.parametrize(
    ("n_classes", "task"),
    [(2, Flip), (3, Quadrants), (4, Rotation), (8, Dihedral), (24, Quadrants)],
)
def test_auto_has_as_many_classes_as_the_task(n_classes, task):
    found = targeted_task("auto", n_classes)
    assert type(found) is task
    assert found.n_versions == n_classes
    assert len(found.versions(torch.zeros(1, 1, 8, 8))) == n_classes


@pytest.mark.parametrize("task", [Dihedral(), Quadrants(n_orders=24)])
def test_versions_are_all_different_and_can_be_undone(task):
    image = torch.arange(64.0).view(1, 1, 8, 8)
    versions = task.versions(image)
    assert torch.equal(versions[0], image)
    flat = {tuple(version.flatten().tolist()) for version in versions}
    assert len(flat) == task.n_versions
    for version in versions:
        assert sorted(version.flatten().tolist()) == list(range(64))


def test_dihedral_by_hand():
    square = torch.tensor([[1, 2], [3, 4]])[None, None]
    poses = [pose.flatten().tolist() for pose in Dihedral().versions(square)]
    assert poses == [
        [1, 2, 3, 4], [2, 4, 1, 3], [4, 3, 2, 1], [3, 1, 4, 2],
        [2, 1, 4, 3], [1, 3, 2, 4], [3, 4, 1, 2], [4, 2, 3, 1],
    ]  # fmt: skip


def test_quadrants_of_odd_sides_keep_the_rest():
    image = torch.arange(15.0).view(1, 1, 3, 5)
    for version in Quadrants(n_orders=24).versions(image):
        assert torch.equal(version[..., 2, :], image[..., 2, :])
        assert torch.equal(version[..., 4], image[..., 4])


def test_an_explicit_task_does_not_look_at_y(scans):
    continuous = np.linspace(0, 1, 30)
    for task in ("flip", Flip()):
        pretrainer = TargetedPretrainer(
            task, backbone=tiny_cnn, phases=[Phase(epochs=1)], random_state=0
        )
        assert pretrainer.fit(scans.data, continuous).task_.n_versions == 2


def test_small_fractions(make_flip, scans):
    none = make_flip(fraction=0.0, validation_fraction=0.2).fit(scans.data)
    assert none.n_iter_ == 0
    for fraction in (0.01, 0.03):
        with pytest.raises(ValueError, match=f"fraction={fraction} of 30 images leave"):
            make_flip(fraction=fraction).fit(scans.data)


def test_parameters_of_names_can_be_set(make_flip):
    pretrainer = TargetedPretrainer("quadrants", augmentation="cross").set_params(
        task__n_orders=5, augmentation__p_horizontal_flip=0.0
    )
    assert repr(pretrainer.task) == "Quadrants(n_orders=5)"
    assert pretrainer.augmentation.p_horizontal_flip == 0.0
    with pytest.raises(ValueError, match="task='auto' has no parameters to set"):
        TargetedPretrainer().set_params(task__n_orders=5)
    flip = make_flip(augmentation="cross")
    with pytest.raises(ValueError, match="Invalid parameter 'p_blurr'"):
        flip.set_params(augmentation__p_blurr=0.0)
    assert flip.augmentation == "cross"


def test_classes_come_from_y_or_are_given(scans):
    def make(**options):
        return TargetedPretrainer(
            backbone=tiny_cnn, phases=[Phase(epochs=1)], random_state=0, **options
        )

    y = scans.groups % 3
    assert make().fit(scans.data, y).task_.n_versions == 3
    assert make(n_classes=4).fit(scans.data, y).task_.n_versions == 4
    labels = ["a" if group else -1 for group in scans.groups % 2]
    labels[1] = "b"
    assert make().fit(scans.data, labels).task_.n_versions == 2
    with pytest.raises(ValueError, match=r"task='auto' goes by the number of classes"):
        make().fit(scans.data)
    with pytest.raises(ValueError, match="Rotation has 4 classes, but the later task"):
        make(task="rotation", n_classes=3).fit(scans.data, y)
    with pytest.raises(ValueError, match="no targeted pretext has 25 classes"):
        make(n_classes=25).fit(scans.data)
    with pytest.raises(ValueError, match="Did you mean 'rotation'"):
        make(task="rotaton").fit(scans.data)


def test_a_task_that_is_given_stays_as_it_is(scans):
    task = Rotation(augmentation="cross")
    with pytest.raises(ValueError, match="rotation would undo"):
        TargetedPretrainer(task, backbone=tiny_cnn, augmentation="medical_gray").fit(
            scans.data
        )
    pretrainer = TargetedPretrainer(
        Rotation(), backbone=tiny_cnn, phases=[Phase(epochs=1)]
    ).fit(scans.data)
    assert "crop" in pretrainer.task_.augmentation.active()  # its own "auto"
    assert repr(pretrainer.task) == "Rotation()"
    assert repr(task) == "Rotation(augmentation='cross')"


def test_no_flip_augmentation(make_flip, scans):
    assert make_flip().fit(scans.data).task_.augmentation.active() == set()
    with pytest.raises(ValueError, match="horizontal_flip would undo what Flip asks"):
        make_flip(augmentation="cross").fit(scans.data)
    auto = make_flip(augmentation="auto").fit(scans.data)
    assert not auto.task_.augmentation.active() & {"horizontal_flip", "vertical_flip"}


def test_the_papers_phases_are_the_default():
    flip = TargetedFlipPretrainer()
    assert flip.phases == "ewen2020_pretext"
    assert flip.hidden_size == 1024
    assert flip.task == "flip"
    assert "task" not in flip.get_params()
    assert repr(clone(flip)) == "TargetedFlipPretrainer()"


@pytest.mark.filterwarnings("default")
def test_a_pretext_that_is_not_learned_is_told(make_flip, scans):
    symmetric = np.maximum(scans.data, scans.data[:, :, ::-1])
    with pytest.warns(NothingLearnedWarning, match="its loss stayed at") as caught:
        make_flip(phases=[Phase(lr=1e-5, epochs=1)], dropout=0.0).fit(symmetric)
    assert caught[0].filename == __file__  # where fit was called


def test_the_same_seed_gives_the_same_bits(make_flip, scans):
    first, again, other = (
        make_flip(random_state=seed).fit(scans.data).transform(scans.data)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
