"""FineTuneClassifier as a scikit-learn classifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator
from skorch.callbacks import Callback
from torch import nn

from skssl import FineTuneClassifier, Phase, TargetedPretrainer
from skssl._finetune.choices import make_views
from skssl.pretext import TrainingInfo
from skssl.testing import tiny_cnn

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


EXPECTED_FAILURES = {
    "check_classifiers_classes": "the label -1 marks an image without a label, as in "
    "sklearn.semi_supervised, and the check takes it for a class",
    "check_sample_weight_equivalence_on_dense_data": "an image that stands twice in X "
    "is in two batches, one of weight 2 in one",
}


def two_layers():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
    )


def test_scikit_learns_checks_run_in_full():
    clf = FineTuneClassifier(
        backbone=two_layers,
        phases=[Phase(lr=1e-2, epochs=8, batch_size=32, schedule="cosine")],
        image_shape="flat",
        augmentation="identity",
    )
    records = check_estimator(
        clf,
        expected_failed_checks=EXPECTED_FAILURES,
        on_skip=None,
        on_fail="raise",
    )
    assert sum(r["status"] == "passed" for r in records) >= 60
    rest = {r["check_name"] for r in records if r["status"] != "passed"}
    # Array API input needs an environment variable before scipy is imported.
    assert rest - {"check_array_api_input"} == set(EXPECTED_FAILURES)


@pytest.mark.parametrize("seed", range(30))
def test_no_output_depends_on_the_order_or_number_of_images(seed):
    rng = np.random.default_rng(seed)
    X = 3 * rng.uniform(size=(20, 3))
    clf = FineTuneClassifier(
        backbone=two_layers,
        head="mlp" if seed % 2 else "linear",
        hidden_size=16,
        phases=[Phase(lr=1e-2, epochs=2, batch_size=32)],
        image_shape="flat",
        augmentation="identity",
        random_state=seed,
    ).fit(X, (X[:, 0] > 1.5).astype(int))
    order = rng.permutation(20)
    for method in (clf.predict_proba, clf.decision_function, clf.transform):
        together = method(X)
        np.testing.assert_array_equal(method(X[order]), together[order])
        np.testing.assert_array_equal(method(X[7:8]), together[7:8])


def test_probabilities_are_float32_and_sum_to_one(make_clf, scans):
    clf = make_clf().fit(scans.data, scans.target)
    p = clf.predict_proba(scans.data)
    assert p.shape == (30, 2)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-6)
    odds = clf.decision_function(scans.data)
    np.testing.assert_allclose(odds, np.log(p[:, 1] / p[:, 0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(clf.predict(scans.data), (odds > 0).astype(int))
    assert clf.score(scans.data, scans.target) == np.mean((odds > 0) == scans.target)


def test_string_labels_and_three_classes(make_clf, scans):
    y = np.array(["healthy", "covid", "other"])[scans.groups % 3]
    clf = make_clf().fit(scans.data, y)
    assert clf.classes_.tolist() == ["covid", "healthy", "other"]
    assert clf.predict_proba(scans.data).shape == (30, 3)
    assert clf.decision_function(scans.data).shape == (30, 3)
    assert set(clf.predict(scans.data)) <= set(y)


def test_it_learns(scans, make_clf):
    """Bright and dark images are told apart, whatever their class is called."""
    X = scans.data[:20].copy()
    X[::2] //= 3
    y = np.where(np.arange(20) % 2, "bright", "dark")
    clf = make_clf(phases=[Phase(lr=1e-2, epochs=12)], augmentation="identity")
    assert clf.fit(X, y).score(X, y) == 1.0
    assert clf.history_[-1]["accuracy"] > 0.9


@pytest.mark.parametrize("kind", ["list", "series"])
def test_unlabelled_rows_serve_the_pretrainer_only(make_clf, make_ssl, scans, kind):
    y = ["sick" if label else "healthy" for label in scans.target]
    y[0], y[7] = -1, -1
    if kind == "series":
        y = pd.Series(y)
    clf = make_clf(make_ssl()).fit(scans.data, y)
    assert clf.classes_.tolist() == ["healthy", "sick"]
    assert len(clf.pretrainer_.sample_indices_) == 30
    labelled = np.delete(np.arange(30), [0, 7])
    np.testing.assert_array_equal(clf.sample_indices_, labelled)


def test_transform_gives_what_the_last_layer_sees(make_clf, make_ssl, scans):
    clf = make_clf(make_ssl(), head="mlp", hidden_size=12).fit(scans.data, scans.target)
    h = clf.transform(scans.data)
    assert h.shape == (30, 12)
    assert h.dtype == np.float32
    output = clf.head_.output
    logits = h @ output.weight.detach().numpy().T + output.bias.detach().numpy()
    np.testing.assert_allclose(
        logits[:, 1] - logits[:, 0], clf.decision_function(scans.data), atol=1e-5
    )
    assert clf.get_feature_names_out()[-1] == "finetuneclassifier11"


def test_the_same_seed_gives_the_same_bits(make_clf, make_ssl, scans):
    clf = make_clf(make_ssl(), head="mlp", validation_fraction=0.3)
    first = clf.fit(scans.data, scans.target, scans.groups).predict_proba(scans.data)
    for again in (clf, clone(clf)):
        p = again.fit(scans.data, scans.target, scans.groups).predict_proba(scans.data)
        np.testing.assert_array_equal(p, first)
    other = clone(clf).set_params(random_state=1).fit(scans.data, scans.target)
    assert not np.array_equal(other.predict_proba(scans.data), first)


def test_global_generators_stay_as_they_are(make_clf, make_flip, scans):
    state, numpy_state = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    make_clf(make_flip(), validation_fraction=0.3).fit(scans.data, scans.target)
    assert torch.equal(state, torch.get_rng_state())
    assert numpy_state == str(np.random.get_state())  # noqa: NPY002


def test_a_fitted_one_pickles(make_clf, make_flip, scans):
    clf = make_clf(make_flip()).fit(scans.data, scans.target)
    loaded = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(
        loaded.predict_proba(scans.data), clf.predict_proba(scans.data)
    )
    assert loaded.device_ == "cpu"


def test_images_of_any_kind(make_clf, scans, tmp_path):
    paths = []
    for i, scan in enumerate(scans.data):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(scan).save(paths[-1])
    clf = make_clf().fit(paths, scans.target)
    p = clf.predict_proba(paths)
    np.testing.assert_array_equal(clf.predict_proba(scans.data), p)
    rows, y = load_digits(return_X_y=True, n_class=3)
    targeted = TargetedPretrainer(backbone=tiny_cnn, phases=[Phase(epochs=1)])
    flat = make_clf(targeted).fit(rows[:60], y[:60])
    assert flat.n_features_in_ == 64
    assert flat.predict_proba(rows[:5]).shape == (5, 3)


def test_pretraining_and_fine_tuning_may_differ_in_size(make_clf, make_ssl, scans):
    clf = make_clf(make_ssl(image_size=16), image_size=24)
    clf.fit(scans.data, scans.target)
    assert clf.pretrainer_.image_size_ == (16, 16)
    assert clf.image_size_ == (24, 24)


def test_search_over_nested_parameters(make_clf, make_ssl, scans):
    search = GridSearchCV(
        make_clf(make_ssl()),
        {"pretrainer__pretext": ["simclr", "flip"], "frozen": [True, False],
         "phases": [[Phase("head", epochs=1)]]},
        cv=StratifiedGroupKFold(2),
        scoring="neg_log_loss",
        error_score="raise",
    )  # fmt: skip
    search.fit(scans.data, scans.target, groups=scans.groups)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert len(set(scores)) > 1, "no parameter changed anything"


def test_as_the_last_step_of_a_pipeline(make_clf, make_flip, scans):
    pipe = Pipeline([("clf", make_clf(make_flip()))])
    pipe.set_params(clf__pretrainer__fraction=0.5, clf__frozen=False)
    pipe.fit(scans.data, scans.target, clf__groups=scans.groups)
    assert len(pipe[-1].pretrainer_.sample_indices_) == 15
    features = Pipeline([("flip", make_flip()), ("clf", LogisticRegression())])
    assert features.fit(scans.data, scans.target).score(scans.data, scans.target) > 0.4


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(make_clf, scans, method):
    clf = make_clf().fit(scans.data, scans.target)
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf), method=method)
    calibrated.fit(scans.data, scans.target)
    p = calibrated.predict_proba(scans.data)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    whole = CalibratedClassifierCV(clf, cv=2, method=method)
    assert whole.fit(scans.data, scans.target).predict_proba(scans.data).shape == (
        30,
        2,
    )


def test_precision_is_that_of_the_training(make_clf, scans):
    logits = {}
    for precision in ("float32", "bfloat16"):
        clf = make_clf(precision=precision, phases=[Phase(lr=1e-2, epochs=2)])
        assert clf.fit(scans.data, scans.target).precision_ == precision
        logits[precision] = clf.decision_function(scans.data)
        assert next(clf.backbone_.parameters()).dtype == torch.float32
    one, other = logits.values()
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.3)


def test_a_frozen_pretrainer_is_used_as_it_is(make_clf, make_ssl, scans):
    ssl = make_ssl(random_state=0).fit(scans.data)
    clf = make_clf(FrozenEstimator(ssl)).fit(scans.data, scans.target)
    assert clf.pretrainer_ is ssl
    before = ssl.transform(scans.data)
    assert not np.allclose(clf.transform(scans.data), before)  # all layers moved on
    np.testing.assert_array_equal(ssl.transform(scans.data), before)
    refitted = make_clf(make_ssl(random_state=0)).fit(scans.data, scans.target)
    np.testing.assert_array_equal(
        refitted.predict_proba(scans.data), clf.predict_proba(scans.data)
    )


def test_images_are_kept_at_their_own_size(make_clf, make_ssl):
    """A pretrainer of smaller images does not make these smaller."""
    check = np.indices((64, 64)).sum(0) % 2 * 255
    X = np.stack([check, np.full((64, 64), 127)] * 10).astype(np.uint8)
    ssl = make_ssl(max_epochs=0).fit(X[:, ::4, ::4])
    clf = make_clf(
        FrozenEstimator(ssl),
        image_size=64,
        phases=[Phase(lr=1e-2, epochs=10)],
        augmentation="identity",
    ).fit(X, np.arange(20) % 2)
    assert clf.image_shape_ == (64, 64, 1)
    assert clf.score(X, np.arange(20) % 2) == 1.0


def test_auto_phases(make_clf, make_ssl, scans):
    trained = make_ssl(random_state=0).fit(scans.data)
    untrained = make_ssl(random_state=0, max_epochs=0).fit(scans.data)
    for start, n_phases in (
        ({"pretrainer": FrozenEstimator(trained)}, 2),
        ({"pretrainer": FrozenEstimator(untrained)}, 1),
        ({"backbone": trained.backbone_}, 2),
        ({"pretrainer": make_ssl(backbone=trained.backbone_, max_epochs=0)}, 2),
        ({"backbone": tiny_cnn}, 1),
    ):
        clf = make_clf(**start, phases="auto", callbacks=[StopAtOnce()])
        with pytest.raises(KeyboardInterrupt):
            clf.fit(scans.data, scans.target)
        assert len(clf.phases_) == n_phases


class StopAtOnce(Callback):
    def on_epoch_begin(self, net, **kwargs):
        raise KeyboardInterrupt


def test_stages_of_classifiers(make_clf, make_flip, scans):
    """A classifier of other labels is a start; its pretext still forbids mirrors."""
    first = make_clf(make_flip(), head="mlp").fit(scans.data, scans.target)
    second = make_clf(FrozenEstimator(first), callbacks=[])
    second.fit(scans.data, scans.groups % 3)
    assert second.head_.n_classes == 3
    assert second.head_.kind == "linear"
    views = make_views(second, second.pretrainer_, TrainingInfo(2, 1, (32, 32), 2))
    assert "horizontal_flip" not in views.augmentation.active()
    fresh = make_clf().fit(scans.data, scans.target)
    views = make_views(fresh, None, TrainingInfo(2, 1, (32, 32), 2))
    assert "horizontal_flip" in views.augmentation.active()


def test_parameters_of_names_can_be_set(make_clf):
    clf = make_clf(augmentation="cross", auxiliary="rotation")
    clf.set_params(augmentation__p_blur=0.0, auxiliary__augmentation="auto")
    assert clf.augmentation.p_blur == 0.0
    assert repr(clf.auxiliary) == "Rotation()"


def test_its_backbone_serves_as_weights(make_clf, make_ssl, scans):
    clf = make_clf().fit(scans.data, scans.target)
    ssl = make_ssl(weights=FrozenEstimator(clf), max_epochs=0).fit(scans.data)
    np.testing.assert_allclose(
        ssl.transform(scans.data), clf.transform(scans.data), rtol=1e-5, atol=1e-6
    )
