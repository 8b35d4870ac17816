"""The encoder: it reads, transforms, moves, pickles and describes itself."""

import copy
import json
import pickle

import numpy as np
import pytest

import skssl
from skssl import FineTuneClassifier, Phase, SelfSupervisedPretrainer
from skssl.data import ImageReader
from skssl.datasets import make_scan_phantoms
from skssl.encoder import Encoder
from skssl.exceptions import TrainingInterrupted
from skssl.nn import Classifier
from skssl.testing import tiny_cnn

SCANS = make_scan_phantoms(6, images_per_patient=2, image_size=32, random_state=0)


@pytest.fixture(scope="module")
def ssl():
    return SelfSupervisedPretrainer(
        backbone=tiny_cnn, max_epochs=1, keep_module=True, random_state=0
    ).fit(SCANS.data)


@pytest.fixture(scope="module")
def clf():
    return FineTuneClassifier(
        backbone=tiny_cnn,
        phases=[Phase(epochs=2)],
        selection="average_last_k",
        n_average=2,
        random_state=0,
    ).fit(SCANS.data, SCANS.target)


def test_it_is_what_the_estimators_transform_with(ssl, clf):
    for estimator in (ssl, clf):
        np.testing.assert_array_equal(
            estimator.encoder_.transform(SCANS.data), estimator.transform(SCANS.data)
        )
    assert ssl.encoder_.backbone is ssl.backbone_
    assert ssl.encoder_.head is None
    assert clf.encoder_.head is clf.head_
    assert len(clf.encoder_.networks) == 2


def test_features_of_several_networks_are_averaged(clf):
    each = [
        Encoder(clf.encoder_.reader, network).transform(SCANS.data)
        for network in clf.networks_
    ]
    np.testing.assert_allclose(clf.transform(SCANS.data), np.mean(each, 0), rtol=1e-6)


def test_probabilities_are_the_mean_of_the_networks(clf):
    source = clf.encoder_.reader.open(SCANS.data)
    logits = clf.encoder_.logits_of(source).astype(np.float64)  # (n, 2 networks, 2)
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    np.testing.assert_allclose(clf.predict_proba(SCANS.data), p.mean(1), rtol=1e-6)


def test_backbones_have_no_logits(ssl):
    source = ssl.encoder_.reader.open(SCANS.data)
    with pytest.raises(TypeError, match="holds no classifier"):
        ssl.encoder_.logits_of(source)


def test_rows_of_a_table_fold_as_in_fit():
    rows = SCANS.data.reshape(len(SCANS.data), -1)
    ssl = SelfSupervisedPretrainer(
        backbone=tiny_cnn, max_epochs=0, image_shape=(32, 32), random_state=0
    ).fit(rows)
    assert ssl.encoder_.reader.row_shape == (32, 32)
    np.testing.assert_array_equal(ssl.encoder_.transform(rows), ssl.transform(rows))


def test_its_configuration_is_json_and_its_reader_comes_back(ssl, clf):
    for estimator in (ssl, clf):
        config = json.loads(json.dumps(estimator.encoder_.config()))
        reader = ImageReader.from_config(config["reader"])
        assert reader == estimator.encoder_.reader
        assert [network["n_features"] for network in config["networks"]] == [
            network.backbone.n_features
            if isinstance(network, Classifier)
            else network.n_features
            for network in estimator.encoder_.networks
        ]
    assert config["networks"][0]["head"] == {"kind": "linear", "n_classes": 2}


def test_a_copy_shares_nothing_and_a_pickle_keeps_what_is_shared(ssl):
    copied = copy.deepcopy(ssl.encoder_)
    assert copied.backbone is not ssl.backbone_
    loaded = pickle.loads(pickle.dumps(ssl))
    assert loaded.encoder_.backbone is loaded.backbone_
    assert loaded.pretext_module_.backbone is loaded.backbone_
    for encoder in (copied, loaded.encoder_):
        np.testing.assert_array_equal(
            encoder.transform(SCANS.data), ssl.transform(SCANS.data)
        )


@pytest.mark.gpu
def test_a_pickle_is_on_the_cpu(ssl):
    encoder = copy.deepcopy(ssl.encoder_).to("cuda")
    assert encoder.device.type == "cuda"
    assert copy.deepcopy(encoder).device.type == "cuda"
    assert pickle.loads(pickle.dumps(encoder)).device.type == "cpu"
    assert encoder.device.type == "cuda"


def test_an_interrupt_crosses_processes_without_its_result(ssl):
    loaded = pickle.loads(pickle.dumps(TrainingInterrupted(ssl)))
    assert type(loaded) is KeyboardInterrupt


def test_its_text_names_network_and_sizes(ssl):
    assert repr(ssl.encoder_) == "Encoder('Sequential', 32 × 32 × 1 px → 16)"


def test_where_weights_came_from_is_recorded(ssl, clf):
    def fit(**options):
        return SelfSupervisedPretrainer(
            **{"backbone": tiny_cnn, "max_epochs": 0, "random_state": 0, **options}
        ).fit(SCANS.data)

    assert fit().backbone_.weights_origin is None
    assert not fit().backbone_.is_trained
    assert ssl.backbone_.weights_origin == "SimCLR pretraining"
    assert fit(backbone=ssl.backbone_).backbone_.is_trained
    assert not fit(backbone=fit().backbone_).backbone_.is_trained
    assert clf.backbone_.is_trained


@pytest.mark.parametrize(
    "kind",
    [
        skssl.SelfSupervisedPretrainer,
        skssl.TargetedPretrainer,
        skssl.TargetedFlipPretrainer,
        skssl.FineTuneClassifier,
    ],
)
def test_estimators_have_at_most_three_classes_of_skssl(kind):
    own = [base for base in kind.__mro__ if base.__module__.startswith("skssl")]
    assert len(own) <= 3
    assert sum(base.__name__ == "ImageEstimator" for base in own) == 1


def test_features_in_bfloat16_on_request():
    ssl = SelfSupervisedPretrainer(
        backbone="resnet18", max_epochs=0, image_size=64, random_state=0
    ).fit(SCANS.data)
    full = ssl.transform(SCANS.data)
    half = ssl.set_params(transform_precision="bfloat16").transform(SCANS.data)
    assert half.dtype == np.float32
    difference = np.linalg.norm(half - full) / np.linalg.norm(full)
    assert 0 < difference < 0.03
    again = ssl.encoder_.transform(SCANS.data, precision="bfloat16")
    np.testing.assert_array_equal(again, half)
    np.testing.assert_array_equal(ssl.encoder_.transform(SCANS.data), full)
