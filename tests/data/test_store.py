"""The store holds all rows in order, as rendered by the image format."""

import errno
import gc
import os
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import parallel_config
from PIL import Image

from skssl.data import ImageFormat, ImageStore, iter_batches, make_source, memory
from skssl.data import store as stores
from skssl.data.store import _allocate

GRAY = ImageFormat(n_channels=1)


def build(X, rows=None, size=(6, 4), **options):
    source = make_source(X)
    rows = np.arange(len(source)) if rows is None else np.asarray(rows)
    return ImageStore.build(source, rows, image_format=GRAY, size=size, **options)


@pytest.fixture
def stack(rng):
    return rng.integers(0, 256, (150, 6, 4), dtype=np.uint8)


def test_all_rows_in_order_from_several_threads(stack):
    store = build(list(stack), n_jobs=3)
    np.testing.assert_array_equal(store.images.numpy()[:, 0], stack)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_all_rows_in_order_if_the_default_backend_has_processes(stack, backend):
    """Processes would fill copies of the store instead of the store."""
    with parallel_config(backend=backend):
        store = build(list(stack), n_jobs=2)
    np.testing.assert_array_equal(store.images.numpy()[:, 0], stack)


def test_uint8_stacks_are_not_copied(stack):
    store = build(stack)
    assert np.shares_memory(store.images.numpy(), stack)
    np.testing.assert_array_equal(store.images.numpy()[:, 0], stack)


def test_read_only_stacks_are_copied_without_a_warning(stack):
    stack.flags.writeable = False
    store = build(stack)
    assert not np.shares_memory(store.images.numpy(), stack)
    np.testing.assert_array_equal(store.images.numpy()[:, 0], stack)


def test_rows_and_groups_match_the_images(stack):
    groups = np.arange(150) // 3
    store = build(stack, rows=[5, 2, 149], groups=groups)
    np.testing.assert_array_equal(store.images.numpy()[:, 0], stack[[5, 2, 149]])
    assert store.rows.tolist() == [5, 2, 149]
    assert store.groups.tolist() == [1, 0, 49]
    assert len(store) == 3


def test_large_stores_are_memory_mapped(stack):
    in_ram, mapped = build(list(stack)), build(list(stack), max_ram=100)
    assert torch.equal(in_ram.images, mapped.images)
    assert isinstance(_allocate((2, 3), max_ram=5), np.memmap)
    assert not isinstance(_allocate((2, 3), max_ram=6), np.memmap)


def test_a_full_disk_is_an_error_and_no_crash(stack, monkeypatch):
    def full(file, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match=r"cannot be reserved in .*TMPDIR") as error:
        build(list(stack), max_ram=100)
    assert error.value.errno == errno.ENOSPC


def test_the_limit_of_memory_is_the_users(stack, monkeypatch):
    monkeypatch.setenv("SKSSL_MAX_RAM", "1e2")
    assert stores._default_max_ram() == 100
    assert torch.equal(build(list(stack)).images, build(stack).images)
    monkeypatch.setenv("SKSSL_MAX_RAM", "much")
    with pytest.raises(ValueError, match=r"SKSSL_MAX_RAM must be a number .* 'much'"):
        build(list(stack))
    monkeypatch.delenv("SKSSL_MAX_RAM")
    monkeypatch.setattr(stores, "physical_ram", lambda: 1000.0)
    assert stores._default_max_ram() == 400


def test_containers_limit_the_memory(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (str(limit),))
    unlimited = memory.physical_ram.__wrapped__()
    limit.write_text("5000000\n")
    assert memory.physical_ram.__wrapped__() == 5e6
    limit.write_text("max\n")
    assert memory.physical_ram.__wrapped__() == unlimited


def test_the_next_batch_is_decoded_ahead(stack, monkeypatch):
    """While the caller works on a block, one more is decoded, and no further."""
    monkeypatch.setattr(stores, "_BLOCK_SIZE", 10)
    source = make_source(stack)
    rows = []
    decode = source.decode
    source.decode = lambda row, **how: rows.append(row) or decode(row, **how)
    options = {"image_format": GRAY, "size": (6, 4), "batch_size": 10, "n_jobs": 1}
    batches = iter_batches(source, **options)
    next(batches)
    deadline = time.monotonic() + 30
    while len(rows) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rows == list(range(20))
    batches.close()
    assert rows == list(range(20))


def test_errors_come_where_the_batch_would_be(tmp_path, stack, monkeypatch):
    monkeypatch.setattr(stores, "_BLOCK_SIZE", 2)
    paths = [str(tmp_path / f"{i}.png") for i in range(5)]
    for path, image in zip(paths, stack, strict=False):
        Image.fromarray(image).save(path)
    Path(paths[3]).write_text("junk")
    options = {"image_format": GRAY, "size": (6, 4), "batch_size": 2}
    batches = iter_batches(make_source(paths), **options)
    assert len(next(batches)) == 2
    with pytest.raises(ValueError, match=r"X\[3\].*3\.png"):
        next(batches)


def test_store_is_freed(stack):
    store = build(list(stack))
    watch = weakref.ref(store)
    del store
    gc.collect()
    assert watch() is None


def test_damaged_file_is_named(tmp_path, stack):
    paths = []
    for i, image in enumerate(stack[:70]):
        paths.append(str(tmp_path / f"{i:02}.png"))
        Image.fromarray(image).save(paths[-1])
    damaged = tmp_path / "66.png"
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"X\[66\].*66\.png"):
        build(paths)


def test_pixel_statistics_are_per_channel(rng):
    images = rng.integers(0, 256, (40, 5, 5, 3), dtype=np.uint8)
    images[..., 2] = 51
    store = ImageStore(torch.from_numpy(images.transpose(0, 3, 1, 2)), np.arange(40))
    mean, std = store.pixel_statistics()
    scaled = images / 255.0
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std[:2], scaled[..., :2].std(axis=(0, 1, 2)), rtol=1e-4)
    assert std[2] == pytest.approx(1 / 255)  # a constant channel has one gray level


def test_batches_cover_a_source_in_order(stack):
    batches = list(
        iter_batches(
            make_source(stack), image_format=GRAY, size=(6, 4), batch_size=64, n_jobs=2
        )
    )
    assert [len(batch) for batch in batches] == [64, 64, 22]
    np.testing.assert_array_equal(torch.cat(batches).numpy()[:, 0], stack)
