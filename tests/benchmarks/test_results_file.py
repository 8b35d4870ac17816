"""Results files of the benchmarks: runs resume, and other settings are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks import _results
from benchmarks._auc import mean_auc
from benchmarks._results import (
    ResultsFileError,
    RowsFile,
    read_results,
    save,
    write_atomically,
)

STORED = sorted((Path(_results.__file__).parent / "results").glob("**/*.json"))


@pytest.fixture
def file(tmp_path):
    header = {"settings": {"size": 64, "rates": (0.1, 0.2)}}
    return RowsFile(tmp_path / "results" / "made.json", ("name", "seed"), header)


def test_rows_are_read_again(file):
    assert file.rows() == []
    for seed in (0, 1):
        file.add({"name": "a", "seed": seed, "auc": 0.5})
    assert file.keys() == {("a", 0), ("a", 1)}
    content = json.loads(file.path.read_text())
    assert list(content) == ["environment", "settings", "rows"]
    assert content["settings"] == {"size": 64, "rates": [0.1, 0.2]}


def test_a_row_replaces_the_one_of_its_key(file):
    for auc in (0.5, 0.6):
        file.add({"name": "a", "seed": 0, "auc": auc})
    assert [row["auc"] for row in file.rows()] == [0.6]


@pytest.mark.parametrize("method", ["rows", "add"])
def test_other_settings_are_refused(file, method):
    file.add({"name": "a", "seed": 0})
    other = RowsFile(file.path, file.key, {"settings": {"size": 96}})
    arguments = [{"name": "a", "seed": 1}] if method == "add" else []
    with pytest.raises(ResultsFileError, match=r"'size': 64.*'size': 96.*--json"):
        getattr(other, method)(*arguments)
    assert file.keys() == {("a", 0)}


def test_outdated_rows_are_dropped_and_rows_are_sorted(tmp_path):
    path = tmp_path / "made.json"
    everything = RowsFile(path, ("seed",))
    for seed in (3, 1, 2):
        everything.add({"seed": seed})
    current = RowsFile(
        path,
        ("seed",),
        is_current=lambda row: row["seed"] != 1,
        sort_key=lambda row: row["seed"],
    )
    assert current.keys() == {(2,), (3,)}
    current.add({"seed": 0})
    assert [row["seed"] for row in everything.rows()] == [0, 2, 3]


def test_sections_are_kept_apart(tmp_path):
    file = RowsFile(tmp_path / "made.json", ("name",), sections=("folds", "test"))
    file.add({"name": "a"}, "test")
    assert file.rows("folds") == []
    assert read_results(file.path)["folds"] == []
    assert file.rows("test") == [{"name": "a"}]


def test_two_processes_share_a_file(file):
    other = RowsFile(file.path, file.key, file.header)
    file.add({"name": "a", "seed": 0})
    other.add({"name": "b", "seed": 0})
    file.add({"name": "c", "seed": 0})
    assert [row["name"] for row in file.rows()] == ["a", "b", "c"]


def test_interrupted_write_keeps_the_file(tmp_path, monkeypatch):
    path = tmp_path / "made.json"
    write_atomically(path, "old")

    def stop(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_invalid_json_is_named(file):
    file.path.parent.mkdir()
    file.path.write_text("{")
    with pytest.raises(ResultsFileError, match=r"made\.json is not a results file"):
        file.rows()


def test_results_are_saved_with_the_environment(tmp_path):
    save(None, {"ratio": 1})
    save(tmp_path / "made.json", {"ratio": 1})
    content = read_results(tmp_path / "made.json")
    assert content["ratio"] == 1
    assert {"date", "device", "skssl", "torch"} <= set(content["environment"])


@pytest.mark.parametrize("path", STORED, ids=[path.name for path in STORED])
def test_stored_results_are_read(path):
    content = read_results(path)
    file = RowsFile(path, ("seed",))
    assert file.rows() == content.get("rows", [])


def test_auc_is_the_mean_over_runs(rng):
    y = np.repeat([0, 1], 20)
    scores = rng.integers(0, 5, (40, 3)) + y[:, None]  # with ties
    expected = [roc_auc_score(y, column) for column in scores.T]
    assert mean_auc(y, scores) == pytest.approx(np.mean(expected))
    assert mean_auc(np.array([0, 0, 1]), np.array([[1.0], [2.0], [2.0]])) == 0.75
