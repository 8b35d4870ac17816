"""The files of a cache: complete or not there, bounded, and safe to share."""

import os
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from skssl import DiskCache, SelfSupervisedPretrainer
from skssl._cache import locks
from skssl._cache.folder import CacheFolder
from skssl.exceptions import CacheWarning


A, B, C, E = ("a" * 32, "b" * 32, "c" * 32, "e" * 32)  # keys
FOLDER = "skssl-cache"


def row(number):
    return {bytes([number] * 16): np.full(4, number, dtype=np.float32)}


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache")


def test_what_is_kept_is_recalled(cache):
    assert cache.recall_fit(A) is None
    cache.keep_fit(A, {"x": np.arange(3)})
    np.testing.assert_array_equal(cache.recall_fit(A)["x"], [0, 1, 2])
    assert cache.n_fits == 1
    assert cache.recall_features(E) == {}
    cache.keep_features(E, row(1) | row(2))
    cache.keep_features(E, row(3))
    found = cache.recall_features(E)
    assert {key[0]: value[0] for key, value in found.items()} == {1: 1, 2: 2, 3: 3}
    assert found[bytes([1] * 16)].dtype == np.float32


def test_a_digest_that_ends_in_zeros_is_recalled(cache):
    digest = b"\x01" + bytes(15)
    cache.keep_features(E, {digest: np.zeros(2, dtype=np.float32)})
    assert list(cache.recall_features(E)) == [digest]


def test_many_small_files_become_one(cache):
    for number in range(40):
        cache.keep_features(E, row(number))
    assert len(list(Path(cache.directory).glob(f"{FOLDER}/features/*/*"))) <= 16
    assert len(cache.recall_features(E)) == 40


def test_a_half_written_file_is_no_file(cache, monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.keep_fit(A, {"x": 1})
    monkeypatch.undo()
    assert cache.recall_fit(A) is None
    assert cache.n_fits == 0
    assert list(Path(cache.directory).glob(f"{FOLDER}/fits/*")) == []


def test_a_damaged_file_gives_a_warning_and_counts_as_none(cache):
    cache.keep_fit(A, {"x": 1})
    path = next(Path(cache.directory).glob(f"{FOLDER}/fits/*.pt"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(CacheWarning, match="cannot be read"):
        assert cache.recall_fit(A) is None
    cache.keep_features(E, row(1))
    path = next(Path(cache.directory).glob(f"{FOLDER}/features/*/*.npz"))
    whole = path.read_bytes()
    flipped = whole[:195] + bytes([whole[195] ^ 1]) + whole[196:]
    for damaged in (b"", b"PK", whole[:100], whole[:-30], flipped):
        path.write_bytes(damaged)
        with pytest.warns(CacheWarning, match="cannot be read"):
            assert cache.recall_features(E) == {}


def test_a_flipped_bit_of_a_training_is_noticed(cache, rng):
    """Most flips leave a file that can be read, with other weights."""
    cache.keep_fit(A, {"x": np.arange(2000.0)})
    path = next(Path(cache.directory).glob(f"{FOLDER}/fits/*.pt"))
    good = path.read_bytes()
    for place in rng.integers(0, len(good), 12):
        data = bytearray(good)
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        with pytest.warns(CacheWarning, match="checksum is wrong"):
            assert cache.recall_fit(A) is None
    path.write_bytes(good)
    np.testing.assert_array_equal(cache.recall_fit(A)["x"], np.arange(2000.0))


def test_what_cannot_be_stored_gives_a_warning_and_loses_nothing(cache):
    with pytest.warns(CacheWarning, match="could not be stored"):
        cache.keep_fit(A, {"x": lambda: 1})
    assert cache.n_fits == 0


def test_the_least_recently_used_goes_first(tmp_path):
    def kept():
        return {key for key in (A, B, C) if cache.recall_fit(key) is not None}

    content = {"x": np.zeros(25_000)}  # 0.2 MB
    cache = DiskCache(tmp_path, max_bytes=500_000)
    for age, name in ((30, A), (20, B)):
        cache.keep_fit(name, content)
        path = tmp_path / FOLDER / "fits" / f"{name}.pt"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert cache.recall_fit(A) is not None  # used last
    cache.keep_fit(C, content)
    assert kept() == {A, C}
    assert cache.n_bytes <= cache.max_bytes
    cache.keep_features(E, {bytes(16): np.zeros(60_000, dtype=np.float32)})
    assert cache.n_bytes <= cache.max_bytes
    assert len(cache.recall_features(E)) == 1


def test_files_of_killed_processes_go_and_those_being_written_stay(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=1000)
    with cache.lock(A):
        folder = tmp_path / FOLDER / "fits"
        folder.mkdir()
    for name, age in ((B, 7200), (C, 10)):
        path = folder / f"{name}.pt.{E}.part"
        path.write_bytes(bytes(5000))
        os.utime(path, (time.time() - age,) * 2)
    cache.keep_fit(A, {"x": 1})
    left = {path.name for path in folder.iterdir()}
    assert left == {f"{C}.pt.{E}.part", f"{A}.pt"}


def test_one_entry_above_the_bound_is_kept(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=10)
    cache.keep_fit(A, {"x": 1})
    assert cache.n_fits == 1


@pytest.fixture
def users_files(tmp_path):
    """Files of the user wherever the cache might have its own."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{B}.pt").write_bytes(bytes(10**5))
    places = (
        "mine.txt",
        "fits/mine.csv",
        f"fits/{B}.pt",
        "features/mine.csv",
        f"features/{B}/a.csv",
        f"{FOLDER}/fits/notes.txt",
        f"{FOLDER}/fits/{B}.pt.bak",
        f"{FOLDER}/features/{E}/a.csv",
        f"{FOLDER}/features/radiomics/{B}.npz",
    )
    cache = DiskCache(tmp_path)
    cache.keep_fit(A, {"x": 1})
    cache.keep_features(E, row(1))
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(bytes(10**5))
    (tmp_path / FOLDER / "fits" / f"{C}.pt").symlink_to(outside / f"{B}.pt")
    (tmp_path / FOLDER / "features" / C).symlink_to(outside)

    def are_there():
        kept = all((tmp_path / place).exists() for place in places)
        return kept and (outside / f"{B}.pt").exists()

    return are_there


def test_clear_deletes_its_own_files_only(tmp_path, users_files):
    cache = DiskCache(tmp_path)
    with cache.lock(A):
        cache.clear()
    assert users_files()
    assert (cache.n_fits, cache.n_bytes) == (0, 0)


def test_eviction_deletes_its_own_files_only(tmp_path, users_files):
    cache = DiskCache(tmp_path, max_bytes=2000)
    cache.keep_fit(B, {"x": np.zeros(1000)})
    assert users_files()
    assert cache.recall_fit(A) is None
    assert cache.recall_features(E) == {}


def test_a_folder_of_others_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / FOLDER / "fits").mkdir(parents=True)
    (tmp_path / FOLDER / "fits" / f"{A}.pt").write_text("mine")
    cache = DiskCache(tmp_path, max_bytes=1)
    with pytest.raises(ValueError, match="was not made by skssl"), cache.lock(A):
        pass
    with pytest.warns(CacheWarning, match="could not be stored"):
        cache.keep_fit(B, {"x": 1})
    assert cache.recall_fit(A) is None  # nor is it read
    cache.clear()
    assert (tmp_path / FOLDER / "fits" / f"{A}.pt").read_text() == "mine"
    assert (cache.n_fits, cache.n_bytes) == (0, 0)


def test_another_thread_may_make_the_folder_at_the_same_time(cache, monkeypatch):
    """It makes the tag and a folder after this one has looked for the tag."""
    is_own = CacheFolder.is_own
    answers = []

    def first_no(self):
        answers.append(is_own(self))
        if len(answers) == 1:
            monkeypatch.undo()
            with cache.lock(A):
                pass
            monkeypatch.setattr(CacheFolder, "is_own", first_no)
            return False
        return answers[-1]

    monkeypatch.setattr(CacheFolder, "is_own", first_no)
    cache.keep_fit(B, {"x": 1})
    assert cache.n_fits == 1


def test_waiting_for_another_process_is_told(cache, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.2)
    order = []
    holds, may_go = threading.Event(), threading.Event()

    def work():
        with cache.lock(A):
            holds.set()
            may_go.wait(30)
            order.append("first")

    thread = threading.Thread(target=work)
    thread.start()
    holds.wait(30)
    timer = threading.Timer(1.0, may_go.set)
    timer.start()
    with pytest.warns(CacheWarning, match=r"another process .*\.lock"), cache.lock(A):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_the_users_home_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    DiskCache("~/cache").keep_fit(A, {"x": 1})
    assert (tmp_path / "cache" / FOLDER / "fits" / f"{A}.pt").is_file()


def test_where_no_lock_can_be_the_work_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.warns(CacheWarning, match="other processes may do the same work"),
        DiskCache(tmp_path / "file").lock(A),
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
