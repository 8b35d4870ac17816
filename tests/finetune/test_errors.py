"""Input that cannot be used is named, and an earlier fit is kept."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, PredefinedSplit
from skorch.callbacks import Callback
from torch import nn

from skssl import (
    FineTuneClassifier,
    Phase,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
    TargetedPretrainer,
)
from skssl._pretrain import pretrainer
from skssl.exceptions import NonFiniteLossError
from skssl.pretext import Flip
from skssl.testing import tiny_cnn

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


class Nothing(nn.Module):
    """Features without a parameter."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "imagenet", "pretrainer": True}, "weights='imagenet' and a pretr"),
        ({"backbone": "resnet18", "pretrainer": True}, "backbone='resnet18' and a pre"),
        ({"color": "rgb", "pretrainer": True}, "set pretrainer__color"),
        ({"phases": []}, "phases is empty"),
        ({"phases": "finetun"}, "Did you mean 'finetune'"),
        ({"phases": [Phase(lr=-1.0)]}, "'lr' parameter of Phase"),
        ({"phases": [Phase(layer_decay=0)]}, "'layer_decay' parameter of Phase"),
        ({"phases": [Phase("tail")]}, "train must be 'head', 'backbone', 'all'"),
        ({"frozen": True, "phases": [Phase("all")]}, r"phases are to train \['all'\]"),
        ({"frozen": True, "phases": "finetune"}, r"phases are to train \['all'\]"),
        ({"selection": "best"}, "selection='best' needs held-out images"),
        ({"auxiliary": "colour"}, "auxiliary must be 'flip', 'rotation'"),
        (
            {"auxiliary": "rotation", "augmentation": "medical_gray"},
            "rotation would undo what Rotation asks",
        ),
        (
            {"auxiliary": "flip", "augmentation": "self_trans_finetune"},
            "horizontal_flip would undo what Flip asks",
        ),
        ({"auxiliary": Flip(augmentation="identity")}, "shares the views of the labe"),
        ({"auxiliary": "flip", "frozen": True, "phases": "auto"}, "teach nothing"),
        ({"auxiliary": "flip", "phases": [Phase("head")]}, "teach nothing"),
        ({"pretrainer": "flip", "dropout": 0.1}, "set pretrainer__dropout"),
        ({"pretrainer": "flip", "hidden_size": 7}, "set pretrainer__hidden_size"),
        ({"phases": [Phase(optimizer="adamx")]}, "Did you mean 'adam"),
        ({"phases": [Phase(schedule="cosin")]}, "Did you mean 'cosine'"),
        ({"class_weight": {0: 0.0}}, "class_weight is 0 for class 0"),
        ({"class_weight": {0: 2.0, 1: -1.0}}, "class_weight is -1 for class 1"),
        ({"auxiliary": "rotation", "image_size": (16, 24)}, "must be square for Rot"),
        ({"label_smoothing": 1.0}, "'label_smoothing' parameter of FineTune"),
        ({"class_weight": {5: 1.0}}, "not in class_weight"),
        ({"backbone": Nothing, "phases": [Phase("backbone")]}, "phase 1 trains nothin"),
        ({"head": "auto", "pretrainer": "rotation"}, "has 4 classes, but y has 2"),
    ],
)
def test_parameters(make_clf, make_ssl, scans, options, message):
    options = dict(options)
    if options.get("pretrainer") is True:
        clf = FineTuneClassifier(**{**options, "pretrainer": make_ssl()})
    elif options.get("pretrainer") == "flip":
        clf = make_clf(**{**options, "pretrainer": TargetedFlipPretrainer()})
    elif options.get("pretrainer") == "rotation":
        targeted = TargetedPretrainer(
            "rotation", backbone=tiny_cnn, n_classes=4, phases=[Phase(epochs=1)]
        )
        clf = make_clf(targeted)
    else:
        clf = make_clf(**options)
    with pytest.raises(ValueError, match=message):
        clf.fit(scans.data, scans.target)


def test_other_types_are_refused(make_clf, scans):
    with pytest.raises(TypeError, match="phases must hold Phase objects"):
        make_clf(phases=["finetune"]).fit(scans.data, scans.target)
    with pytest.raises(TypeError, match="must hold a fitted estimator of skssl"):
        make_clf(FrozenEstimator(PCA())).fit(scans.data, scans.target)
    with pytest.raises(ValueError, match="'pretrainer' parameter of FineTune"):
        FineTuneClassifier(PCA()).fit(scans.data, scans.target)
    with pytest.raises(NotFittedError):
        make_clf(FrozenEstimator(SelfSupervisedPretrainer())).fit(
            scans.data, scans.target
        )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(30, int), r"y has 1 class \(0\)"),
        (np.full(30, -1), r"y has 0 class \(none\)"),
        (np.arange(29) % 2, "y has shape"),
        (np.linspace(0, 1, 30), "Unknown label type"),
        (["-1"] * 15 + ["a"] * 15, "the string '-1'"),
        (None, "requires y to be passed"),
    ],
)
def test_labels(make_clf, scans, y, message):
    with pytest.raises(ValueError, match=message):
        make_clf().fit(scans.data, y)


@pytest.mark.parametrize("wrong", [np.arange(29), np.r_[np.nan, np.arange(29.0)]])
def test_groups(make_clf, make_flip, scans, wrong):
    for estimator in (make_clf(), make_flip()):
        with pytest.raises(ValueError, match="groups h"):
            estimator.fit(scans.data, scans.target, groups=wrong)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(29), "sample_weight.shape"),
        (-np.ones(30), "Negative values"),
        (np.zeros(30), "at least one non-zero|with weight"),
    ],
)
def test_weights(make_clf, scans, weight, message):
    with pytest.raises(ValueError, match=message):
        make_clf().fit(scans.data, scans.target, sample_weight=weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phases": "finetun"}, "Did you mean 'finetune'"),
        ({"phases": [Phase(epochs=1), Phase(optimizer="adamx")]}, "'adamx' is unknown"),
        ({"augmentation": "typo"}, "'typo' is unknown"),
        ({"auxiliary": "colour"}, "auxiliary must be"),
        ({"auxiliary": "flip", "augmentation": "cross"}, "flip would undo what Flip"),
        ({"selection": "best"}, "selection='best' needs"),
        ({"class_weight": {0: 0.0}}, "class_weight is 0"),
        ({"class_weight": {5: 1.0}}, "not in class_weight"),
        ({"auxiliary": "rotation", "image_size": (16, 24)}, "must be square for Rot"),
    ],
)
def test_what_cannot_work_is_told_before_the_pretraining(
    make_clf, make_ssl, scans, monkeypatch, options, message
):
    monkeypatch.setattr(pretrainer, "pretrain", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(ValueError, match=message):
        make_clf(make_ssl(), **options).fit(scans.data, scans.target)


def test_an_unknown_device_is_refused_before_the_pretraining(
    make_clf, make_ssl, scans, monkeypatch
):
    monkeypatch.setattr(pretrainer, "pretrain", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(ValueError, match="device='gpu'"):
        make_clf(make_ssl(), device="gpu").fit(scans.data, scans.target)


def test_a_flip_for_three_classes_is_told_before_the_pretraining(
    make_clf, make_flip, scans
):
    class Late(Callback):
        def on_train_begin(self, net, **kwargs):
            pytest.fail("fitted")

    clf = make_clf(make_flip(callbacks=[Late()]))
    with pytest.raises(ValueError, match="has 2 classes, but y has 3: use Targeted"):
        clf.fit(scans.data, scans.groups % 3)


def test_a_class_that_weighs_nothing(make_clf, scans):
    weight = np.where(scans.target == 1, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"y has 1 class \(0\) with weight"):
        make_clf().fit(scans.data, scans.target, sample_weight=weight)


def test_text_beside_numbers(make_clf, scans):
    y = ["sick" if label else 0 for label in scans.target]
    with pytest.raises(ValueError, match="y holds text and numbers"):
        make_clf().fit(scans.data, y)


@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (KFold(3), "puts patients"),
        (PredefinedSplit(np.full(30, -1)), "makes no split"),
        ([(np.arange(20), np.arange(10, 30))], "puts rows into both splits"),
    ],
)
def test_splits_that_leak(make_clf, scans, splitter, message):
    class Given:
        def split(self, X, y=None, groups=None):
            return iter(splitter)

    given = Given() if isinstance(splitter, list) else splitter
    with pytest.raises(ValueError, match=message):
        make_clf(validation_fraction=given).fit(scans.data, scans.target, scans.groups)


def test_a_head_for_another_width(make_clf, scans):
    flip = TargetedFlipPretrainer(
        backbone="crnet", image_size=24, hidden_size=4, phases=[Phase(epochs=1)]
    )
    with pytest.raises(ValueError, match="'crnet' has 512 features there, and the pre"):
        make_clf(flip, image_size=40).fit(scans.data[:8], np.arange(8) % 2)


def test_other_values_than_the_pretrainers(make_clf, make_ssl, scans):
    ssl = make_ssl().fit(scans.data)
    with pytest.raises(ValueError, match="convert X to uint8"):
        make_clf(FrozenEstimator(ssl)).fit(scans.data / 255, scans.target)


def test_a_class_that_the_inner_split_cannot_share(make_clf, scans):
    rare = scans.target.copy()
    rare[scans.groups == 4] = 2  # one patient
    with pytest.raises(ValueError, match="no image of class 2 in the"):
        make_clf(validation_fraction=0.3).fit(scans.data, rare, scans.groups)
    one = scans.target.copy()
    one[4] = 2
    with pytest.raises(ValueError, match=r"0.3 cannot be split off"):
        make_clf(validation_fraction=0.3).fit(scans.data, one)


def test_text_for_a_splitter(make_clf, scans):
    with pytest.raises(ValueError, match="validation_fraction=a cannot be split off"):
        make_clf(validation_fraction="a").fit(scans.data, scans.target)


def test_an_earlier_fit_is_kept(make_clf, make_flip, scans):
    for estimator in (make_clf(), make_flip()):
        estimator.fit(scans.data, scans.target)
        before = estimator.transform(scans.data)
        with pytest.raises(ValueError, match="groups has shape"):
            estimator.fit(scans.data, scans.target, groups=[1])
        np.testing.assert_array_equal(estimator.transform(scans.data), before)


def test_a_loss_that_explodes_names_phase_and_rate(make_clf, scans):
    wild = [Phase("head", epochs=1), Phase(optimizer="sgd", lr=1e30, epochs=2)]
    with pytest.raises(NonFiniteLossError, match=r"of phase 2|NaN or infinite"):
        make_clf(phases=wild).fit(scans.data, scans.target)


def test_ctrl_c_keeps_the_weights_so_far(make_clf, scans):
    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.number == 2:
                raise KeyboardInterrupt

    clf = make_clf(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(scans.data, scans.target)
    assert clf.n_iter_ == 1
    assert clf.predict(scans.data).shape == (30,)
    assert clf.backbone_.training is False
    clf.networks_[0].train()
    assert clf.backbone_.training  # nothing is held still any more
    early = make_clf(phases=[Phase(epochs=1)], callbacks=[Interrupt()])
    early.fit(scans.data, scans.target)
    assert early.n_iter_ == 1


def test_ctrl_c_keeps_the_pretraining(make_clf, make_ssl, scans):
    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == self.at:
                raise KeyboardInterrupt

        def __init__(self, at):
            self.at = at

    ssl = make_ssl(max_epochs=3, callbacks=[Interrupt(3)])
    during = make_clf(ssl)
    after = make_clf(make_ssl(), callbacks=[Interrupt(1)])
    for clf, n_epochs in ((during, 2), (after, 1)):
        with pytest.raises(KeyboardInterrupt):
            clf.fit(scans.data, scans.target)
        assert clf.pretrainer_.n_iter_ == n_epochs
        assert clf.n_iter_ == 0
        assert clf.transform(scans.data).shape == (30, 16)


def test_not_fitted(make_clf, make_flip, scans):
    for estimator in (make_clf(), make_flip()):
        assert not hasattr(estimator, "backbone_")
        with pytest.raises(NotFittedError):
            estimator.transform(scans.data)
    with pytest.raises(NotFittedError):
        make_flip().score(scans.data)
    with pytest.raises(NotFittedError):
        make_clf().predict_proba(scans.data)
