"""With a cache, what was computed is not computed again, and the bits are the same."""

import os
import shutil
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback, EarlyStopping

from skssl import (
    FineTuneClassifier,
    Phase,
    Probe,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
    TargetedPretrainer,
)
from skssl.engine import EpochReport
from skssl.exceptions import CacheWarning, ImageReadError, NothingLearnedWarning
from skssl.pretext import MoCo
from skssl.testing import tiny_cnn


def attributes(ssl):
    return {name for name in vars(ssl) if name.endswith("_")}


def test_a_recalled_fit_has_the_same_bits(
    make_ssl, scans, cache, work, assert_same_weights
):
    plain = make_ssl().fit(scans.data)
    first = make_ssl(cache=cache).fit(scans.data)
    second = make_ssl(cache=cache.directory).fit(scans.data)
    assert work["fits"] == 2
    h = plain.transform(scans.data)
    for ssl in (first, second):
        assert_same_weights(plain, ssl)
        np.testing.assert_array_equal(ssl.transform(scans.data), h)
        np.testing.assert_array_equal(ssl.transform(scans.data), h)
        assert attributes(ssl) == attributes(plain)
        assert not ssl.backbone_.training
    assert second.history_ == first.history_
    assert repr(second.pretext_) == repr(plain.pretext_)
    assert work["images"] == 2 * len(scans.data)


@pytest.mark.filterwarnings("ignore::skssl.exceptions.NothingLearnedWarning")
def test_a_targeted_pretrainer_is_recalled(scans, cache, work):
    settings = {
        "backbone": tiny_cnn,
        "phases": [Phase(epochs=1)],
        "random_state": 0,
    }
    flips = [
        TargetedFlipPretrainer(cache=place, **settings).fit(scans.data)
        for place in (None, cache, cache)
    ]
    assert work["fits"] == 2
    scores = [flip.score(scans.data) for flip in flips]
    assert scores == scores[:1] * 3
    h = [flip.transform(scans.data) for flip in flips]
    np.testing.assert_array_equal(h[0], h[1])
    np.testing.assert_array_equal(h[0], h[2])
    of_two = TargetedPretrainer(cache=cache, **settings)
    of_two.fit(scans.data, scans.target)
    of_two.fit(scans.data, 1 - np.asarray(scans.target))  # only counted
    assert work["fits"] == 3
    of_two.fit(scans.data, np.arange(len(scans.data)) % 4)
    assert work["fits"] == 4


CHANGES = {
    "random_state": 1,
    "max_epochs": 2,
    "pretext": MoCo(queue_size=16),
    "fraction": 0.5,
    "lr": 1e-3,
    "image_size": 24,
    "precision": "float32",
    "callbacks": [Callback()],
    "backbone": partial(tiny_cnn),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_that_matters_makes_another_training(
    make_ssl, scans, cache, work, name
):
    make_ssl(cache=cache).fit(scans.data)
    make_ssl(cache=cache).set_params(**{name: CHANGES[name]}).fit(scans.data)
    assert work["fits"] == 2


def test_parameters_without_effect_do_not(make_ssl, scans, cache, work):
    make_ssl(cache=cache).fit(scans.data)
    make_ssl(cache=cache, n_jobs=1, verbose=1, device="cpu").fit(scans.data)
    told = []
    observer = EpochReport("loss", lambda *row: told.append(row))
    make_ssl(cache=cache, callbacks=[observer]).fit(scans.data, scans.target)
    assert work["fits"] == 1
    (row,) = make_ssl().fit(scans.data).history_
    assert told == [(1, row["loss"])]


def test_data_that_matter_make_another_training(make_ssl, scans, cache, work):
    ssl = make_ssl(cache=cache)
    ssl.fit(scans.data)
    changed = scans.data.copy()
    changed[3, 5, 5] ^= 1
    ssl.fit(changed)
    ssl.fit(scans.data[::-1].copy())
    ssl.fit(scans.data, groups=scans.groups)
    assert work["fits"] == 4
    probed = make_ssl(cache=cache, probe=Probe(LogisticRegression(), cv=2))
    probed.fit(scans.data, scans.target)
    probed.fit(scans.data, 1 - np.asarray(scans.target))
    assert work["fits"] == 6


def test_files_count_by_their_content(make_ssl, paths, cache, work, tmp_path):
    moved = [shutil.copy(path, tmp_path / f"m{i}.png") for i, path in enumerate(paths)]
    ssl = make_ssl(cache=cache)
    h = ssl.fit_transform(paths)
    np.testing.assert_array_equal(ssl.fit_transform(moved), h)
    assert work == {"fits": 1, "images": len(paths)}
    Image.new("L", (32, 32), 7).save(moved[4])
    again = ssl.transform(moved)
    assert work["images"] == len(paths) + 1
    assert not np.array_equal(again[4], h[4])
    ssl.fit(moved)
    assert work["fits"] == 2


def test_weights_from_a_file_count_by_their_content(
    make_ssl, scans, cache, work, tmp_path
):
    path = tmp_path / "start.pth"
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(tiny_cnn().state_dict(), path)
        os.utime(path, (1, 1))
        make_ssl(cache=cache, weights=path).fit(scans.data)
    assert work["fits"] == 2
    start = make_ssl().fit(scans.data)
    for seconds in (1.0, 2.0):
        start.history_[0]["seconds"] = seconds  # no part of the weights
        make_ssl(cache=cache, weights=FrozenEstimator(start)).fit(scans.data)
    assert work["fits"] == 4


def test_warnings_of_a_training_are_told_again(make_ssl, scans, cache):
    flat = TargetedFlipPretrainer(
        backbone=tiny_cnn, phases=[Phase(epochs=1)], random_state=0, cache=cache
    )
    for _ in range(2):
        with pytest.warns(NothingLearnedWarning, match="the pretext was not learned"):
            flat.fit(np.full((6, 16, 16), 7, dtype=np.uint8))
    assert cache.n_fits == 1


def test_what_cannot_be_kept_is_fitted_all_the_same(make_ssl, scans, cache):
    ssl = make_ssl(cache=cache, schedule=lambda progress, warmup: 1.0)
    ssl.set_params(
        optimizer=lambda params, **options: torch.optim.SGD(
            params, momentum=0.5, **options
        )
    )
    with pytest.warns(CacheWarning, match="could not be stored"):
        ssl.fit(scans.data)
    assert ssl.transform(scans.data[:2]).shape[0] == 2


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_a_cache_needs_a_seed(make_ssl, scans, cache, seed):
    with pytest.raises(ValueError, match="cache needs random_state to be an int"):
        make_ssl(cache=cache, random_state=seed).fit(scans.data)
    assert cache.n_fits == 0


def test_two_threads_leave_the_warnings_as_they_were(make_ssl, scans, cache):
    before = warnings.showwarning, warnings._showwarnmsg_impl
    with parallel_config("threading", n_jobs=2):
        Parallel()(
            delayed(make_ssl(cache=cache, random_state=seed).fit)(scans.data)
            for seed in range(4)
        )
    assert (warnings.showwarning, warnings._showwarnmsg_impl) == before
    assert cache.n_fits == 4


def test_a_classifier_without_a_seed_has_no_use_for_a_cache(make_ssl, scans, cache):
    clf = FineTuneClassifier(make_ssl(cache=cache, random_state=None))
    with pytest.raises(ValueError, match="cache needs random_state to be an int"):
        clf.fit(scans.data, scans.target)


def test_settings_of_torch_that_change_bits_count(make_ssl, scans, cache, work):
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            make_ssl(cache=cache).fit(scans.data)
    finally:
        torch.set_float32_matmul_precision(before)
    assert work["fits"] == 2


def test_a_callback_counts_by_what_it_was_made_with(make_ssl, scans, cache, work):
    stop = EarlyStopping(monitor="loss", patience=2)
    for _ in range(2):  # the object notes losses in each training
        make_ssl(cache=cache, callbacks=[stop]).fit(scans.data)
    assert work["fits"] == 1
    other = EarlyStopping(monitor="loss", patience=3)
    make_ssl(cache=cache, callbacks=[other]).fit(scans.data)
    assert work["fits"] == 2


def test_the_names_of_the_columns_are_those_of_now(cache, make_ssl):
    pd = pytest.importorskip("pandas")
    rows = np.random.default_rng(0).integers(0, 256, (6, 256)).astype(np.uint8)
    for prefix in "ab":
        table = pd.DataFrame(rows, columns=[f"{prefix}{i}" for i in range(256)])
        ssl = make_ssl(cache=cache).fit(table)
        assert ssl.feature_names_in_[0] == f"{prefix}0"
    assert cache.n_fits == 1


@pytest.mark.gpu
def test_a_fit_on_a_card_is_recalled_there(make_ssl, scans, cache, work):
    first = make_ssl(cache=cache, device="cuda").fit(scans.data)
    second = make_ssl(cache=cache, device="cuda").fit(scans.data)
    assert work["fits"] == 1
    assert next(second.backbone_.parameters()).is_cuda
    np.testing.assert_array_equal(
        first.transform(scans.data), second.transform(scans.data)
    )
    make_ssl(cache=cache, device="cpu").fit(scans.data)
    assert work["fits"] == 2


def test_defaults_have_no_cache():
    assert SelfSupervisedPretrainer().cache is None


def test_features_before_a_bad_file_are_kept(make_ssl, scans, cache, tmp_path, work):
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f"{i}.png") for i in range(200)]
    for path in paths:
        pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    ssl = make_ssl(cache=cache).fit(scans.data)
    Path(paths[199]).write_bytes(b"junk")
    with pytest.raises(ImageReadError, match=r"X\[199\]"):
        ssl.transform(paths)
    Image.new("L", (16, 16)).save(paths[199])
    before = work["images"]
    ssl.transform(paths)
    assert work["images"] - before == 200 - 128
