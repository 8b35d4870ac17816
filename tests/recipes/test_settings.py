"""The recipes' parameters against the papers, line by line."""

import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import StratifiedGroupKFold

from skssl.augment import get_recipe
from skssl.nn import cosine_restarts, get_schedule
from skssl.recipes import (
    contrastive_extractor,
    contrastive_pretrainer,
    cross_transfer,
    self_trans,
    self_trans_pretrainer,
    targeted_flip,
)


def assert_params(estimator, **expected):
    """Compare parameters by name, nested ones with two underscores."""
    params = estimator.get_params(deep=True)
    assert {name: params[name] for name in expected} == expected


class TestEwen2020:
    def test_network(self):
        assert_params(
            targeted_flip(),
            pretrainer__backbone="densenet169",
            pretrainer__weights="IMAGENET1K_V1",
            pretrainer__image_size=224,
            pretrainer__head="mlp",
            pretrainer__hidden_size=1024,
            pretrainer__dropout=0.5,
            head="auto",  # the pretrained head, whole
        )
        assert_params(
            targeted_flip("inception_v3"),
            pretrainer__backbone="inception_v3",
            pretrainer__image_size=299,
        )

    def test_flips_are_learned_in_three_phases(self):
        top, slow, slower = targeted_flip().pretrainer.phases
        assert_params(top, train="head", optimizer="rmsprop", lr=1e-4, epochs=30)
        assert top.batch_size == 32  # of the notebook
        assert_params(slow, train="all", optimizer="sgd", lr=1e-5, epochs=30)
        assert_params(slower, train="all", lr=1e-6, epochs=30)
        assert slower.optimizer is torch.optim.SGD  # of the notebook: no momentum
        assert slow.batch_size == slower.batch_size == 4
        assert {phase.schedule for phase in (top, slow, slower)} == {"constant"}

    def test_labels_are_learned_in_two_runs(self):
        top, slow = targeted_flip().phases
        assert_params(top, train="head", optimizer="rmsprop", lr=1e-4, epochs=30)
        assert_params(slow, train="all", optimizer="sgd", lr=1e-5, epochs=30)
        assert slow.batch_size == 4

    def test_no_augmentation_and_the_most_accurate_epoch(self):
        assert_params(
            targeted_flip(fraction=0.75),
            pretrainer__augmentation="identity",
            augmentation="identity",
            pretrainer__fraction=0.75,
            selection="best",
            validation_fraction=0.2,  # never the test images: choice
        )

    def test_without_images_to_choose_on_the_last_epoch_is_kept(self):
        assert targeted_flip(validation_fraction=0).selection == "last"
        by_splitter = targeted_flip(validation_fraction=StratifiedGroupKFold(4))
        assert by_splitter.selection == "best"

    def test_random_weights_get_rates_that_move_them(self):
        clf = targeted_flip(weights=None)
        for phases in (clf.pretrainer.phases, clf.phases):
            assert [(phase.train, phase.lr) for phase in phases] == [("all", 1e-3)]


class TestHe2020:
    def test_contrastive_stage(self):
        assert_params(
            self_trans_pretrainer(),
            pretext__momentum=0.999,
            pretext__queue_size=512,
            pretext__hidden_size=2048,
            pretext__temperature=0.2,  # MoCo v2's: choice
            pretext__projection_size=128,
            pretext__batch_norm=False,
            pretext__in_batch_negatives=False,
            pretext__exclude_same_image=True,  # choice
            pretext__augmentation="self_trans",
            optimizer="sgd",
            lr=0.015,
            weight_decay=1e-4,
            batch_size=128,
            schedule="cosine",
            warmup_epochs=0,
            image_size=224,
            max_epochs=200,  # MoCo v2's: choice
            weights="IMAGENET1K_V1",
        )

    def test_labels(self):
        clf = self_trans(method=2)
        (phase,) = clf.phases
        assert_params(
            phase, train="all", optimizer="adam", lr=1e-4, epochs=50, batch_size=16
        )
        # An annealing with a period of 10 epochs, of 50.
        assert phase.schedule.func is cosine_restarts
        schedule = get_schedule(phase.schedule)
        assert schedule(10 / 50, 0) == schedule(20 / 50, 0) == 1
        assert schedule(5 / 50, 0) == pytest.approx(0.5)
        assert_params(
            clf, head="linear", augmentation="self_trans_finetune", selection="last"
        )

    def test_methods_differ_in_what_comes_before(self, fitted_ssl):
        external = {"external": fitted_ssl}
        one, two = self_trans(method=1), self_trans(method=2)
        assert (one.pretrainer.weights, two.pretrainer.weights) == (
            None,
            "IMAGENET1K_V1",
        )
        three, four = self_trans(method=3, **external), self_trans(method=4)
        assert three.pretrainer is None
        assert isinstance(three.weights, FrozenEstimator)
        assert (four.pretrainer, four.weights) == (None, "IMAGENET1K_V1")
        assert (four.auxiliary, four.auxiliary_weight) == ("rotation", 1.0)
        whole = self_trans(**external)
        assert isinstance(whole.pretrainer.weights, FrozenEstimator)
        assert whole.pretrainer.weights.estimator is fitted_ssl
        for clf in (one, two, three, whole):
            assert clf.auxiliary is None

    def test_baselines(self, he2020_backbone):
        backbone = he2020_backbone
        scratch = self_trans(backbone, method="scratch")
        transfer = self_trans(backbone, method="transfer")
        assert (scratch.weights, transfer.weights) == (None, "IMAGENET1K_V1")
        for clf in (scratch, transfer):
            assert_params(clf, pretrainer=None, backbone=backbone, image_size=224)

    def test_frozen_trains_the_head_alone(self):
        clf = self_trans(method=2, frozen=True)
        assert clf.frozen
        assert [(p.train, p.optimizer, p.epochs) for p in clf.phases] == [
            ("head", "adam", 50)
        ]
        assert [phase.train for phase in self_trans(method=2).phases] == ["all"]


def test_views_of_the_recipes():
    """What METHODS of the papers say in numbers; `skssl.augment` marks the rest."""
    ssl, labels = get_recipe("self_trans"), get_recipe("self_trans_finetune")
    assert_params(
        ssl,
        crop_scale=(0.2, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        p_horizontal_flip=0.5,
    )
    assert {"blur", "grayscale"} <= ssl.active()
    assert_params(labels, crop_scale=(0.5, 1.0), brightness=0.2, contrast=0.2)
    assert labels.active() == {"crop", "horizontal_flip", "brightness", "contrast"}
    assert get_recipe("cross").active() == {"crop", "horizontal_flip", "blur"}
    assert {"crop", "horizontal_flip", "rotation", "blur", "brightness"} <= (
        get_recipe("contrastive_xray").active()
    )


class TestLi2021:
    def test_cross(self):
        assert_params(
            cross_transfer(),
            pretrainer__backbone="resnet50",
            pretrainer__weights="IMAGENET1K_V1",
            pretrainer__pretext__momentum=0.996,
            pretrainer__pretext__hidden_size=512,
            pretrainer__pretext__projection_size=128,
            pretrainer__pretext__predictor_size=4096,
            pretrainer__pretext__augmentation="cross",
            pretrainer__optimizer="sgd",
            pretrainer__lr=0.03,
            pretrainer__weight_decay=4e-4,
            pretrainer__batch_size=256,
            pretrainer__image_size=112,
            pretrainer__max_epochs=40,
            pretrainer__schedule="constant",  # choice
            pretrainer__warmup_epochs=0,  # choice
            image_size=224,
        )

    def test_labels(self):
        clf = cross_transfer()
        (phase,) = clf.phases
        assert_params(
            phase,
            train="all",
            optimizer="sgd",
            lr=0.03,
            weight_decay=4e-4,
            epochs=30,
            batch_size=256,
            schedule="constant",
        )
        assert_params(
            clf, selection="average_last_k", n_average=10, augmentation="identity"
        )

    def test_the_others_have_the_heads_of_their_papers(self):
        of = {
            method: cross_transfer(method=method).pretrainer.pretext
            for method in ("byol", "simsiam", "simclr", "pirl_jigsaw", "pirl_rotation")
        }
        assert_params(of["byol"], momentum=0.996, hidden_size=4096, projection_size=256)
        assert_params(
            of["simsiam"], hidden_size=2048, projection_size=2048, predictor_size=512
        )
        assert of["simclr"].temperature == 0.5
        assert of["pirl_jigsaw"].temperature == of["pirl_rotation"].temperature == 0.07

    @pytest.mark.parametrize(
        ("method", "pretext", "weights"),
        [
            ("cross_transfer", "cross", "IMAGENET1K_V1"),
            ("transfer", None, "IMAGENET1K_V1"),
            ("cross", "cross", None),
            ("byol", "byol", None),
            ("simsiam", "simsiam", None),
            ("simclr", "simclr", None),
            ("pirl_jigsaw", "pirl_jigsaw", None),
            ("pirl_rotation", "pirl_rotation", None),
            ("scratch", None, None),
        ],
    )
    def test_rows_of_the_table(self, method, pretext, weights):
        clf = cross_transfer(method=method)
        if pretext is None:
            assert (clf.pretrainer, clf.weights) == (None, weights)
        else:
            assert clf.pretrainer.pretext.name == pretext
            assert clf.pretrainer.weights == weights


class TestGazda2021:
    def test_pretraining(self):
        assert_params(
            contrastive_pretrainer(fraction=0.1),
            backbone="wide_resnet50_2",
            weights=None,
            fraction=0.1,
            pretext__temperature=0.5,
            pretext__hidden_size=2048,
            pretext__projection_size=128,
            pretext__normalize_output=False,
            pretext__augmentation="contrastive_xray",
            optimizer="adam",
            lr=5e-4,
            weight_decay=0.0,
            schedule="constant",
            warmup_epochs=0,
            batch_size=128,
            image_size=224,
            max_epochs=100,
        )

    def test_regression(self):
        clf = contrastive_extractor().named_steps["clf"]
        assert clf.param_grid == {"C": [0.01, 0.05, 0.1, 0.2, 0.5, 1.0]}
        assert clf.estimator.class_weight == "balanced"
        assert clf.scoring == "roc_auc_ovr"
        assert isinstance(clf.cv, StratifiedGroupKFold)

    def test_a_fitted_extractor_stays_fitted(self, fitted_ssl):
        pipe = clone(contrastive_extractor(external=fitted_ssl))
        assert pipe.named_steps["ssl"].estimator is fitted_ssl


@pytest.mark.parametrize(
    "make",
    [
        targeted_flip,
        self_trans_pretrainer,
        lambda **options: self_trans(method=2, **options),
        cross_transfer,
        contrastive_pretrainer,
        contrastive_extractor,
    ],
)
def test_recipes_are_parameters_alone(make):
    first, second = make(random_state=0), make(random_state=0)
    assert repr(first) == repr(second) == repr(clone(first))
