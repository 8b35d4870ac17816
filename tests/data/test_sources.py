"""Supported inputs X are recognised, and others are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import sparse

from skssl.data import fold_rows, is_table, make_source


@pytest.fixture
def stack(rng):
    return rng.integers(0, 256, (3, 6, 4), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path, stack):
    names = [str(tmp_path / f"{i}.png") for i in range(3)]
    for name, image in zip(names, stack, strict=True):
        Image.fromarray(image).save(name)
    return names


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        lambda paths: [Path(path) for path in paths],
        lambda paths: np.array(paths, dtype=object),
        lambda paths: pd.Series(paths, dtype="string"),
        lambda paths: pd.DataFrame({"path": paths}),
        lambda paths: np.array(paths, dtype=object)[:, None],
    ],
    ids=[
        "list",
        "tuple",
        "str array",
        "Series",
        "Path",
        "object array",
        "string Series",
        "frame of one column",
        "column",
    ],
)
def test_containers_of_paths(paths, stack, wrap):
    X = wrap(paths)
    assert not is_table(X)
    source = make_source(X)
    assert len(source) == 3
    for row in range(3):
        np.testing.assert_array_equal(source.read(row), stack[row])
    assert source.describe(1) == f"X[1] ({paths[1]!r})"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda stack: stack,
        lambda stack: stack[..., None],
        list,
        lambda stack: [image[..., None] for image in stack],
        lambda stack: [Image.fromarray(image) for image in stack],
        torch.from_numpy,
        lambda stack: torch.from_numpy(stack)[:, None],
        lambda stack: [torch.from_numpy(image) for image in stack],
        lambda stack: [torch.from_numpy(image)[None] for image in stack],
        lambda stack: stack.tolist(),
        lambda stack: pd.Series(list(stack)),
    ],
    ids=[
        "(n, H, W)",
        "(n, H, W, 1)",
        "list of (H, W)",
        "list of (H, W, 1)",
        "PIL",
        "tensor (n, H, W)",
        "tensor (n, 1, H, W)",
        "list of (H, W) tensors",
        "list of (1, H, W) tensors",
        "nested lists",
        "Series of arrays",
    ],
)
def test_containers_of_images(stack, wrap):
    X = wrap(stack)
    assert not is_table(X)
    source = make_source(X)
    assert len(source) == 3
    for row in range(3):
        np.testing.assert_array_equal(source.read(row).squeeze(), stack[row])
        header = source.header(row)
        assert (header.height, header.width, header.n_channels) == (6, 4, 1)


def test_colour_tensors_are_channels_first():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)
    source = make_source(images)
    assert source.header(0).n_channels == 3
    np.testing.assert_array_equal(source.read(1), images[1].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((4, 9)),
        np.zeros((4, 9)).tolist(),
        pd.DataFrame(np.zeros((4, 9))),
        sparse.csr_array(np.zeros((4, 9))),
        torch.zeros(4, 9),
        np.zeros(9),
        [1.0, 2.0],
        np.array([["a", 1]], dtype=object),
    ],
    ids=["array", "lists", "frame", "sparse", "tensor", "1-D", "numbers", "objects"],
)
def test_tables_are_recognised(X):
    assert is_table(X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("scan.png", TypeError, "a single str"),
        (Path("scan.png"), TypeError, "single PosixPath|single WindowsPath"),
        (Image.new("L", (2, 2)), TypeError, "single Image"),
        ([], ValueError, "no images"),
        (["a.png", 3], TypeError, r"X\[1\] is of type int, but X\[0\] is of type str"),
        ([np.zeros((2, 2)), "a.png"], TypeError, r"X\[1\] is of type str"),
        (np.zeros((2, 2, 2, 2, 2)), ValueError, r"expected \(n, H, W\)"),
        (torch.zeros(2, 2, 2, 2, 2), ValueError, r"expected \(n, C, H, W\)"),
        (np.zeros((2, 3, 64, 64)), ValueError, "looks channels-first"),
        (np.zeros((0, 4, 4)), ValueError, "0 samples or pixels"),
        (np.zeros((2, 4, 4), dtype=complex), ValueError, "dtype complex128"),
    ],
)
def test_unsupported_inputs_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        make_source(X)


def test_item_of_invalid_shape_is_named():
    source = make_source([np.zeros((2, 2)), np.zeros((2, 2, 2, 2))])
    with pytest.raises(ValueError, match=r"X\[1\] has shape \(2, 2, 2, 2\)"):
        source.header(1)


def test_unreadable_files_are_named_with_their_row(paths, tmp_path):
    source = make_source([*paths, str(tmp_path / "gone.png")])
    for read in (source.read, source.header):
        with pytest.raises(FileNotFoundError, match=r"X\[3\]: no such file"):
            read(3)


@pytest.mark.parametrize(
    ("image_shape", "folded"),
    [
        (None, (2, 4, 4, 1)),
        ("flat", (2, 1, 16, 1)),
        ((2, 8), (2, 2, 8, 1)),
        ([2, 2, 4], (2, 2, 2, 4)),
    ],
)
def test_rows_are_reshaped(image_shape, folded):
    rows = np.arange(32.0).reshape(2, 16)
    images = fold_rows(rows, image_shape)
    assert images.shape == folded
    np.testing.assert_array_equal(images.reshape(2, 16), rows)


@pytest.mark.parametrize(
    ("p", "image_shape", "message"),
    [
        (15, None, "15 features, which is not a perfect square.*image_shape="),
        (16, (3, 5), r"16 features, but image_shape=\(3, 5\) needs 15"),
    ],
)
def test_rows_of_another_size_are_refused(p, image_shape, message):
    with pytest.raises(ValueError, match=message):
        fold_rows(np.zeros((2, p)), image_shape)
