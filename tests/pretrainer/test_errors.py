"""Bad input gets an error that names the parameter, the file or the row."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from skorch.callbacks import LRScheduler

from skssl._labels import check_groups
from skssl.exceptions import NonFiniteLossError
from skssl.pretext import SimCLR

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16), dtype=np.uint8)


def with_value(value, dtype=np.float64):
    images = IMAGES.astype(dtype)
    images[7, 3, 2] = value
    return images


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        ([], {}, "holds no images"),
        (np.zeros((0, 5)), {}, r"0 sample\(s\)"),
        (IMAGES[:1], {}, "1 sample"),
        (np.zeros((1, 16)), {}, r"1 sample\(s\)"),
        ([IMAGES[0], np.zeros((4, 4, 3), np.uint8)], {}, r"X\[1\] has 3 channels"),
        (with_value(np.nan), {}, r"X\[7\].*NaN"),
        (with_value(np.inf), {}, r"X\[7\].*infinity"),
        (with_value(300.0), {"value_range": (0, 255)}, r"X\[7\].*value_range"),
        (np.zeros((9, 15)), {}, "15 features.*image_shape"),
        (np.zeros((9, 16)), {"image_shape": (5, 5)}, "needs 25"),
        (IMAGES, {"pretext": "mocco"}, "Did you mean 'moco'"),
        (IMAGES, {"backbone": "resnet81"}, "resnet18"),
        (IMAGES, {"pretext": SimCLR(augmentation="moco_v3")}, "moco_v2"),
        (IMAGES, {"optimizer": "adma"}, "Did you mean 'adam"),
        (IMAGES, {"schedule": "cosin"}, "cosine"),
        (IMAGES, {"schedule": lambda progress, warmup: np.nan}, "schedule returned"),
        (IMAGES, {"device": "meta"}, "device='meta': only"),
        (IMAGES, {"select": "probe"}, "select='probe' needs probe="),
        (IMAGES, {"select": "probe", "probe": Ridge()}, "needs probe=.* and labels"),
        (IMAGES, {"select": lambda row: row["los"]}, r"select:.*loss.*KeyError\('los'"),
        (IMAGES, {"select": dict}, "select: .*TypeError"),
        (IMAGES, {"fraction": 0}, "'fraction' parameter"),
        (IMAGES, {"fraction": 1.5}, "'fraction' parameter"),
        (IMAGES, {"fraction": 0.05}, "fraction=0.05 of 12 images leaves 1"),
        (
            IMAGES,
            {"fraction": 0.5, "batch_size": 8},
            "fraction=0.5 leaves 6 images, fewer than one batch of batch_size=8",
        ),
        (IMAGES, {"batch_size": 1}, "'batch_size' parameter"),
        (IMAGES, {"image_size": 0}, "'image_size' parameter"),
        (IMAGES, {"lr": -1.0}, "'lr' parameter"),
        (IMAGES, {"precision": "float16"}, "'precision' parameter"),
        (IMAGES, {"value_range": (5, 5)}, "value_range"),
        (IMAGES, {"value_range": (1, 2, 3)}, "value_range"),
        (IMAGES, {"value_range": (0, np.inf)}, "value_range"),
        (IMAGES, {"value_range": ("a", "b")}, "value_range"),
        (IMAGES, {"image_size": (8.7, 8)}, "image_size"),
        (IMAGES, {"image_size": (4, 4, 4)}, "image_size"),
        (IMAGES, {"image_shape": (4,)}, "image_shape"),
        (IMAGES, {"random_state": "seed"}, "random_state"),
    ],
)
def test_fit_names_what_is_wrong(make_ssl, X, options, message):
    with pytest.raises(ValueError, match=message):
        make_ssl(**options).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": lambda progress: 1.0}, "schedule must take"),
        ({"callbacks": ["early"]}, "callbacks: 'early' is not a skorch callback"),
    ],
)
def test_callables_and_callbacks_of_a_wrong_kind(make_ssl, options, message):
    with pytest.raises(TypeError, match=message):
        make_ssl(**options).fit(IMAGES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_where_there_is_none(make_ssl):
    with pytest.raises(ValueError, match="finds no CUDA device"):
        make_ssl(device="cuda").fit(IMAGES)


@pytest.mark.parametrize("groups", [[1, 2, 3], np.zeros((12, 2))])
def test_groups_of_a_wrong_shape(make_ssl, groups):
    with pytest.raises(ValueError, match="groups has shape"):
        make_ssl().fit(IMAGES, groups=groups)


@pytest.mark.parametrize(
    "groups",
    [
        ["a", None] * 6,
        ["a", np.nan] * 6,
        [1.0, np.nan] * 6,
        pd.Series(["a", np.nan] * 6),
        pd.array(["a", pd.NA] * 6, dtype="string"),
    ],
)
def test_missing_groups(make_ssl, groups):
    with pytest.raises(ValueError, match="groups holds missing values"):
        make_ssl().fit(IMAGES, groups=groups)


@pytest.mark.parametrize("groups", [[1, "1"] * 6, pd.Series([1, "1"] * 6)])
def test_groups_of_text_and_numbers(make_ssl, groups):
    with pytest.raises(ValueError, match="groups holds text and numbers"):
        make_ssl().fit(IMAGES, groups=groups)


def test_groups_are_equal_whatever_holds_them():
    numbers = [1, 1, 2.0, 2]  # of one patient each, if not read as text
    for held in (numbers, np.array(numbers, dtype=object), pd.Series(numbers)):
        np.testing.assert_array_equal(check_groups(held, 4), [1, 1, 2, 2])
    names = ["b", "a", "b", "a"]
    for held in (names, np.array(names), np.array(names, object), pd.Series(names)):
        assert check_groups(held, 4).tolist() == names


def test_divergence_in_the_very_last_step_is_seen(make_ssl):
    ssl = make_ssl(schedule=lambda progress, warmup: np.nan if progress > 0.9 else 1.0)
    ssl.set_params(max_epochs=9, batch_size=12)
    with pytest.raises(NonFiniteLossError, match="weights NaN or infinite"):
        ssl.fit(IMAGES)


def test_learning_rate_callbacks_are_refused(make_ssl):

    with pytest.raises(ValueError, match="set schedule"):
        make_ssl(callbacks=[LRScheduler("StepLR", step_size=1)]).fit(IMAGES)


@pytest.fixture
def paths(tmp_path):
    names = []
    for i, image in enumerate(IMAGES):
        names.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(names[-1])
    return names


def test_missing_file(make_ssl, paths):
    paths[4] = paths[4].replace("4.png", "gone.png")
    with pytest.raises(FileNotFoundError, match=r"X\[4\]: no such file: .*gone\.png"):
        make_ssl().fit(paths)


@pytest.mark.parametrize("content", [b"some text", b""])
def test_a_text_file_named_png(make_ssl, paths, tmp_path, content):
    (tmp_path / "3.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"X\[3\].*3\.png' is not an image"):
        make_ssl().fit(paths)


def test_a_truncated_png(make_ssl, paths, tmp_path):
    file = tmp_path / "5.png"
    file.write_bytes(file.read_bytes()[:120])
    with pytest.raises(ValueError, match=r"X\[5\].*5\.png"):
        make_ssl().fit(paths)


def test_a_bad_file_at_transform_loses_nothing(make_ssl, paths, tmp_path):
    ssl = make_ssl().fit(paths)
    before = ssl.transform(paths[:2])
    (tmp_path / "9.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"X\[9\]"):
        ssl.transform(paths)
    np.testing.assert_array_equal(ssl.transform(paths[:2]), before)


def test_another_channel_count_at_transform(make_ssl):
    ssl = make_ssl().fit(IMAGES)
    colour = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match=r"X\[0\].*3 channels, but 1 are expected"):
        ssl.transform(colour)
    assert make_ssl(color="gray").fit(IMAGES).transform(colour).shape == (2, 16)


def test_wide_values_at_transform_after_uint8(make_ssl):
    ssl = make_ssl().fit(IMAGES)
    with pytest.raises(ValueError, match=r"X\[0\].*value_range"):
        ssl.transform(IMAGES[:2].astype(np.float32))


def test_integers_are_windowed_where_floats_are_refused(make_ssl):
    hu = np.linspace(-2000, 2000, 12 * 64).reshape(12, 8, 8)
    window = {"value_range": (-1000, 400)}
    make_ssl(**window).fit(hu.astype(np.int16))
    make_ssl(**window, out_of_range="clip").fit(hu)
    with pytest.raises(ValueError, match="out_of_range='clip'"):
        make_ssl(**window).fit(hu)
    with pytest.raises(ValueError, match="outside value_range"):
        make_ssl(**window, out_of_range="raise").fit(hu.astype(np.int16))


def test_non_finite_loss_stops_and_says_the_epoch(make_ssl):
    # A learning rate of 1e30 overflows float32 within two epochs.
    ssl = make_ssl(
        max_epochs=5, optimizer="sgd", lr=1e30, warmup_epochs=0, batch_size=4
    )
    with pytest.raises(NonFiniteLossError, match=r"in epoch \d.*Try a lower lr"):
        ssl.fit(IMAGES)


def test_a_bare_estimator_as_weights_is_refused_with_the_way_out(make_ssl):
    with pytest.raises(TypeError, match="FrozenEstimator"):
        make_ssl(weights=make_ssl().fit(IMAGES)).fit(IMAGES)
