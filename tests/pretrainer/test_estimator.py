"""SelfSupervisedPretrainer as a scikit-learn estimator."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator
from skorch.callbacks import GradientNormClipping

from skssl import SelfSupervisedPretrainer
from skssl.pretext import MoCo, SimCLR
from skssl.testing import tiny_cnn


def test_scikit_learns_checks_run_in_full(make_ssl):
    records = check_estimator(
        make_ssl(image_shape="flat"), on_skip=None, on_fail="raise"
    )
    passed = [r["check_name"] for r in records if r["status"] == "passed"]
    assert len(passed) >= 40
    # Array API input needs an environment variable before scipy is imported.
    rest = {r["check_name"] for r in records if r["status"] != "passed"}
    assert rest <= {"check_array_api_input"}


@pytest.mark.slow
def test_scikit_learns_checks_run_with_the_default_backbone():
    records = check_estimator(
        SelfSupervisedPretrainer(image_shape="flat", max_epochs=1), on_skip=None
    )
    assert sum(r["status"] == "passed" for r in records) >= 40


@pytest.mark.parametrize(
    ("pretext", "parameters", "lr"),
    [
        ("simclr", {}, 1e-3),
        ("moco", {}, 5e-4),
        ("moco", {"lr": 0.5}, 0.5),
        ("moco", {"optimizer": "adamw"}, 1e-3),
    ],
)
def test_optimizer_auto_is_the_pretexts_own(make_ssl, scans, pretext, parameters, lr):
    ssl = make_ssl(pretext=pretext, schedule="constant", **parameters)
    ssl.set_params(batch_size=8, max_epochs=1, warmup_epochs=0).fit(scans.data)
    assert ssl.lr_ == lr
    assert ssl.history_[0]["lr"] == pytest.approx(lr)
    assert ssl.optimizer_ == "adamw"


def test_optimizer_auto_may_be_another_than_adamw(make_ssl, scans, monkeypatch):
    monkeypatch.setattr(SimCLR, "default_optimizer", "sgd")
    ssl = make_ssl(max_epochs=1).fit(scans.data)
    assert ssl.optimizer_ == "sgd"
    assert ssl.lr_ == make_ssl(optimizer="sgd", max_epochs=1).fit(scans.data).lr_


def test_features_are_float32_and_finite(make_ssl, scans):
    h = make_ssl().fit(scans.data).transform(scans.data)
    assert h.dtype == np.float32
    assert h.shape == (30, 16)
    assert np.isfinite(h).all()


def test_fitted_attributes(make_ssl, scans):
    ssl = make_ssl("moco", max_epochs=3).fit(scans.data)
    assert ssl.n_iter_ == len(ssl.history_) == 3
    assert ssl.image_shape_ == (32, 32, 1)
    assert ssl.image_size_ == (32, 32)
    assert ssl.value_range_ is None
    assert ssl.batch_size_ == 16
    assert ssl.pretext_.queue_size == 30
    assert ssl.precision_ in {"float32", "bfloat16"}
    assert not ssl.backbone_.training
    assert not hasattr(ssl, "n_features_in_")
    assert ssl.get_feature_names_out()[0] == "selfsupervisedpretrainer0"


def test_untrained_control(make_ssl, scans):
    ssl = make_ssl(max_epochs=0).fit(scans.data)
    assert ssl.n_iter_ == 0
    assert ssl.history_ == []
    assert ssl.transform(scans.data).shape == (30, 16)


def test_digits_fold_by_themselves(make_ssl):
    X, _ = load_digits(return_X_y=True)
    ssl = make_ssl().fit(X[:60])
    assert ssl.image_shape_ == (8, 8, 1)
    assert ssl.n_features_in_ == 64
    assert ssl.value_range_ == (0.0, 16.0)
    ssl.fit(X[:60].reshape(60, 8, 8))
    assert not hasattr(ssl, "n_features_in_")


def test_new_values_are_clipped_to_the_learned_range(make_ssl):
    X = np.linspace(0, 1, 20 * 64).reshape(20, 8, 8)
    ssl = make_ssl().fit(X)
    beyond = np.full((1, 8, 8), 7.0)
    np.testing.assert_array_equal(
        ssl.transform(beyond), ssl.transform(np.ones((1, 8, 8)))
    )


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_any_channel_count(make_ssl, channels, rng):
    X = rng.integers(0, 256, (8, 16, 16, channels), dtype=np.uint8)
    if channels > 4:  # most likely axes in another order, unless it is asked for
        with pytest.raises(ValueError, match="5 channels"):
            make_ssl().fit(X)
    ssl = make_ssl(image_shape=(16, 16, channels)).fit(X)
    assert ssl.image_shape_ == (16, 16, channels)
    tensor = torch.from_numpy(X).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(ssl.transform(X), ssl.transform(tensor))


def test_set_output_pandas(make_ssl, scans, paths):
    frame = make_ssl().set_output(transform="pandas").fit_transform(paths)
    assert list(frame.columns[:2]) == [
        "selfsupervisedpretrainer0",
        "selfsupervisedpretrainer1",
    ]
    series = pd.Series(paths, index=[f"scan {i}" for i in range(30)])
    indexed = make_ssl().set_output(transform="pandas").fit_transform(series)
    assert list(indexed.index[:2]) == ["scan 0", "scan 1"]


def test_nested_parameters_by_name(make_ssl):
    ssl = make_ssl("moco").set_params(pretext__temperature=0.7)
    assert ssl.pretext.temperature == 0.7
    assert isinstance(ssl.pretext, MoCo)
    copy = clone(make_ssl(SimCLR(augmentation="simclr")))
    copy.set_params(pretext__temperature=0.9)
    assert copy.get_params()["pretext__temperature"] == 0.9
    with pytest.raises(ValueError, match="Invalid parameter 'temprature'"):
        make_ssl("moco").set_params(pretext__temprature=1)


def make_pipeline(ssl, tmp_path):
    return Pipeline(
        [("ssl", ssl), ("clf", LogisticRegression(max_iter=50))],
        memory=str(tmp_path / "cache"),
    )


def test_grid_search_on_paths_with_patient_groups(make_ssl, scans, paths, tmp_path):
    search = GridSearchCV(
        make_pipeline(make_ssl(), tmp_path),
        {
            "ssl__fraction": [0.5, 1.0],
            "ssl__pretext__temperature": [0.2, 0.5],
            "clf__C": [0.1, 1.0],
        },
        scoring="roc_auc",
        cv=StratifiedGroupKFold(2),
        error_score="raise",
    )
    search.fit(paths, scans.target, groups=scans.groups)
    assert len(search.cv_results_["params"]) == 8
    assert search.predict_proba(paths).shape == (30, 2)


def test_cross_validate_in_two_processes(make_ssl, scans, paths, tmp_path):
    scores = [
        cross_validate(
            make_pipeline(make_ssl(precision="float32"), tmp_path / str(n_jobs)),
            np.array(paths),
            scans.target,
            groups=scans.groups,
            cv=StratifiedGroupKFold(2),
            n_jobs=n_jobs,
            error_score="raise",
        )["test_score"]
        for n_jobs in (1, 2)
    ]
    assert np.isfinite(scores).all()


def test_groups_are_routed(make_ssl, scans):
    with config_context(enable_metadata_routing=True):
        ssl = make_ssl(fraction=0.5).set_fit_request(groups=True)
        pipe = Pipeline([("ssl", ssl), ("clf", LogisticRegression(max_iter=50))])
        pipe.fit(scans.data, scans.target, groups=scans.groups)
    used = pipe["ssl"].sample_indices_
    for patient in np.unique(scans.groups[used]):
        assert set(np.flatnonzero(scans.groups == patient)) <= set(used)


@pytest.mark.parametrize("by_patient", [True, False])
def test_fractions_are_nested(make_ssl, scans, by_patient):
    groups = scans.groups if by_patient else None
    used = [
        set(make_ssl(fraction=f).fit(scans.data, groups=groups).sample_indices_)
        for f in (0.2, 0.5, 0.8, 1.0)
    ]
    assert [len(rows) for rows in used] == [6, 15, 24, 30]
    assert used[0] < used[1] < used[2] < used[3]


def test_stages_are_chained_by_a_frozen_estimator(make_ssl, scans):
    first = make_ssl().fit(scans.data)
    second = make_ssl(weights=FrozenEstimator(first), max_epochs=0).fit(scans.data)
    np.testing.assert_array_equal(
        first.transform(scans.data), second.transform(scans.data)
    )
    trained = clone(make_ssl(weights=FrozenEstimator(first))).fit(scans.data)
    assert not np.allclose(first.transform(scans.data), trained.transform(scans.data))


def test_fits_inside_no_grad(make_ssl, scans, assert_same_weights):
    with torch.no_grad():
        inside = make_ssl().fit(scans.data)
    assert_same_weights(inside, make_ssl().fit(scans.data))


def test_warmup_may_take_all_epochs(make_ssl, scans):
    assert make_ssl(warmup_epochs=5).fit(scans.data).n_iter_ == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_modules_and_tensors_of_other_precision(make_ssl, scans, dtype):
    tensors = torch.from_numpy(scans.data[:8]).to(dtype) / 255
    ssl = make_ssl(backbone=tiny_cnn().to(dtype)).fit(tensors)
    np.testing.assert_array_equal(ssl.transform(tensors), ssl.transform(list(tensors)))


def test_a_given_range_serves_rows_that_training_did_not_have(make_ssl, scans):
    ssl = make_ssl(value_range=(0, 510)).fit(scans.data)
    twice = scans.data.astype(np.uint16) * 2
    np.testing.assert_array_equal(ssl.transform(twice), ssl.transform(scans.data))


def test_gradient_callbacks_take_effect(make_ssl, scans):
    clipped = make_ssl(
        optimizer="sgd", callbacks=[GradientNormClipping(1e-12)], weight_decay=0.0
    ).fit(scans.data)
    start = make_ssl(max_epochs=0).fit(scans.data)
    for ours, first in zip(
        clipped.backbone_.parameters(), start.backbone_.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, first, rtol=0, atol=1e-9)


def test_a_giant_patient_does_not_empty_the_fraction(make_ssl, scans):
    groups = np.array(["giant"] * 24 + list("abcdef"))
    for seed in range(5):
        ssl = make_ssl(fraction=0.4, random_state=seed)
        assert len(ssl.fit(scans.data, groups=groups).sample_indices_) >= 2


def test_recipes_are_settable_by_name(make_ssl):
    ssl = make_ssl(SimCLR(augmentation="simclr"))
    ssl.set_params(pretext__augmentation__p_blur=0.1)
    assert ssl.pretext.augmentation.p_blur == 0.1
    with pytest.raises(ValueError, match="give a name or an object first"):
        make_ssl().set_params(pretext__augmentation__p_blur=0.1)


def test_a_bad_nested_name_changes_nothing(make_ssl):
    ssl = make_ssl()
    with pytest.raises(ValueError, match="Invalid parameter"):
        ssl.set_params(pretext__bogus=1)
    assert ssl.pretext == "simclr"
