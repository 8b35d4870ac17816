"""The files of a cache: complete or not there, bounded, and safe to share."""

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from skssl import DiskCache, SelfSupervisedPretrainer
from skssl.exceptions import CacheWarning


def row(number):
    return {bytes([number] * 16): np.full(4, number, dtype=np.float32)}


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache")


def test_what_is_kept_is_recalled(cache):
    assert cache.recall_fit("a") is None
    cache.keep_fit("a", {"x": np.arange(3)})
    np.testing.assert_array_equal(cache.recall_fit("a")["x"], [0, 1, 2])
    assert cache.n_fits == 1
    assert cache.recall_features("e") == {}
    cache.keep_features("e", row(1) | row(2))
    cache.keep_features("e", row(3))
    found = cache.recall_features("e")
    assert {key[0]: value[0] for key, value in found.items()} == {1: 1, 2: 2, 3: 3}
    assert found[bytes([1] * 16)].dtype == np.float32


def test_a_digest_that_ends_in_zeros_is_recalled(cache):
    digest = b"\x01" + bytes(15)
    cache.keep_features("e", {digest: np.zeros(2, dtype=np.float32)})
    assert list(cache.recall_features("e")) == [digest]


def test_many_small_files_become_one(cache):
    for number in range(40):
        cache.keep_features("e", row(number))
    assert len(list(Path(cache.directory).glob("features/e/*"))) <= 16
    assert len(cache.recall_features("e")) == 40


def test_a_half_written_file_is_no_file(cache, monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.keep_fit("a", {"x": 1})
    monkeypatch.undo()
    assert cache.recall_fit("a") is None
    assert cache.n_fits == 0
    assert list(Path(cache.directory).glob("fits/*")) == []


def test_a_damaged_file_is_told_and_counts_as_none(cache):
    cache.keep_fit("a", {"x": 1})
    path = next(Path(cache.directory).glob("fits/*.pt"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(CacheWarning, match="cannot be read"):
        assert cache.recall_fit("a") is None
    cache.keep_features("e", row(1))
    path = next(Path(cache.directory).glob("features/e/*.npz"))
    whole = path.read_bytes()
    flipped = whole[:195] + bytes([whole[195] ^ 1]) + whole[196:]
    for damaged in (b"", b"PK", whole[:100], whole[:-30], flipped):
        path.write_bytes(damaged)
        with pytest.warns(CacheWarning, match="cannot be read"):
            assert cache.recall_features("e") == {}


def test_what_cannot_be_kept_is_told_and_loses_nothing(cache):
    with pytest.warns(CacheWarning, match="could not be kept"):
        cache.keep_fit("a", {"x": lambda: 1})
    assert cache.n_fits == 0


def test_the_least_recently_used_goes_first(tmp_path):
    def kept():
        return {name for name in "abc" if cache.recall_fit(name) is not None}

    content = {"x": np.zeros(25_000)}  # 0.2 MB
    cache = DiskCache(tmp_path, max_bytes=500_000)
    for age, name in ((30, "a"), (20, "b")):
        cache.keep_fit(name, content)
        path = tmp_path / "fits" / f"{name}.pt"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert cache.recall_fit("a") is not None  # used last
    cache.keep_fit("c", content)
    assert kept() == {"a", "c"}
    assert cache.n_bytes <= cache.max_bytes
    cache.keep_features("e", {bytes(16): np.zeros(60_000, dtype=np.float32)})
    assert cache.n_bytes <= cache.max_bytes
    assert len(cache.recall_features("e")) == 1


def test_files_of_killed_processes_go_and_those_being_written_stay(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=1000)
    (tmp_path / "fits").mkdir()
    for name, age in (("old", 7200), ("new", 10)):
        path = tmp_path / "fits" / f"{name}.pt.0.part"
        path.write_bytes(bytes(5000))
        os.utime(path, (time.time() - age,) * 2)
    cache.keep_fit("a", {"x": 1})
    left = {path.name for path in (tmp_path / "fits").iterdir()}
    assert left == {"new.pt.0.part", "a.pt"}


def test_one_entry_above_the_bound_is_kept(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=10)
    cache.keep_fit("a", {"x": 1})
    assert cache.n_fits == 1


def test_clear_deletes_its_own_files_only(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    cache = DiskCache(tmp_path)
    cache.keep_fit("a", {"x": 1})
    with cache.lock("a"):
        cache.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "mine.txt"]
    assert (cache.n_fits, cache.n_bytes) == (0, 0)


def test_where_no_lock_can_be_the_work_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.warns(CacheWarning, match="other processes may do the same work"),
        DiskCache(tmp_path / "file").lock("a"),
    ):
        pass


def test_it_is_a_parameter_like_others(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=5)
    ssl = clone(SelfSupervisedPretrainer(cache=cache))
    assert ssl.cache == cache
    assert pickle.loads(pickle.dumps(cache)) == cache
    assert "max_bytes=5" in repr(ssl)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"directory": 3}, TypeError, "directory must be a path, got 3"),
        ({"directory": "x", "max_bytes": 0}, ValueError, "max_bytes must be above 0"),
    ],
)
def test_bad_parameters_are_named(options, kind, message):
    with pytest.raises(kind, match=message):
        DiskCache(**options)
