"""Results file and page of a paper."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.papers.metrics import binary_metrics, compare, summarize
from benchmarks.papers.page import claim_grid, markdown, picked_grid
from benchmarks.papers.results import Results
from benchmarks.papers.running import choose_rows, run_rows
from benchmarks.papers.setup import digest_folder
from benchmarks.papers.tables import Claim, Outcome, Paper, Row, Table


@pytest.fixture
def paper():
    """A paper with three rows, whose runs draw random scores."""
    here = ("data",)
    rows = tuple(
        Row((name,), {"backbone": name}, {"accuracy": 0.8, "auc": 0.9}, needs)
        for name, needs in (("a", here), ("b", here), ("c", (*here, "weights")))
    )
    table = Table("Table 1", ("Network",), ("accuracy", "auc"), rows)
    ran = []

    def run(setup, settings, seed):
        ran.append((settings["backbone"], seed))
        rng = np.random.default_rng(seed)
        y = np.tile([0, 1], 50)
        gain = 3.0 if settings["backbone"] == "a" else 0.0
        scores = rng.normal(size=100) + gain * (y - 0.5)
        return Outcome(
            binary_metrics(y, scores),
            scores=scores,
            test={"y": y, "groups": np.arange(100) // 2 % 25},
            picked={
                "epoch": 1,
                "figures": binary_metrics(y, 4.0 * y - 2),
                "scores": 4.0 * y - 2,
            },
        )

    made = Paper(
        name="made",
        title="Made up",
        doi="10.0/0",
        data="nothing",
        external=None,
        tables=(table,),
        run=run,
        why_unavailable=lambda setup, need: None,
        claims=(Claim("a above b", {"backbone": "a"}, {"backbone": "b"}),),
    )
    return made, ran


def test_finished_runs_are_skipped(paper, setup, tmp_path, capsys):
    made, ran = paper
    rows = choose_rows(made, [], [])
    path = tmp_path / "made.json"
    run_rows(made, setup, Results.start(path, made, setup), rows[:1], [0, 1])
    assert ran == [("a", 0), ("a", 1)]
    ran.clear()
    run_rows(made, setup, Results.start(path, made, setup), rows, [0, 1, 2])
    assert ran == [("b", 0), ("b", 1), ("a", 2), ("b", 2)]
    printed = capsys.readouterr().out
    assert "c: skipped, no initial weights" in printed
    assert "[4/4] b, seed 2 (about 0 h 00 min left)" in printed


def test_failed_run_is_reported_and_repeated(paper, setup, tmp_path):
    made, _ = paper

    def fail(setup, settings, seed):
        if settings["backbone"] == "b":
            raise MemoryError("too large")
        return made.run(setup, settings, seed)

    results = Results.start(tmp_path / "made.json", made, setup)
    failing = dataclasses.replace(made, run=fail)
    rows = choose_rows(made, [], [])[::-1]
    failed = run_rows(failing, setup, results, rows, [0])
    assert failed == ["b, seed 0"]
    again = Results.start(tmp_path / "made.json", made, setup)
    assert [run["key"] for run in again.content["runs"]] == ["backbone=a"]
    assert "| seed 0 failed (MemoryError: too large) |" in markdown(made, again)
    assert run_rows(made, setup, again, rows, [1]) == []
    cell = "| 1; seed 0 failed (MemoryError: too large) |"
    assert cell in markdown(made, again)
    assert run_rows(made, setup, again, rows, [0]) == []
    assert "failed" not in markdown(made, again)


def test_changed_inputs_are_refused_before_any_run(paper, setup, tmp_path, luna_folder):
    made, ran = paper
    rows = choose_rows(made, [], [])
    results = Results.start(tmp_path / "made.json", made, setup)
    run_rows(made, setup, results, rows[:1], [0])
    other = dataclasses.replace(setup, data=luna_folder)
    with pytest.raises(ValueError, match=r"with other files \(data\): pass another"):
        run_rows(made, other, results, rows, [0, 1])
    assert ran == [("a", 0)]


def test_inputs_are_only_those_that_a_row_reads(setup, ct_folder, tmp_path):
    weights = tmp_path / "crnet.pth"
    weights.write_bytes(b"1")
    given = dataclasses.replace(setup, init=str(weights))
    assert list(given.inputs("crnet", ("data",))) == ["data"]
    assert set(given.inputs("crnet", ("data", "external", "start"))) == {
        *("data", "external", "weights")
    }
    (tmp_path / "cell").mkdir()
    in_folders = dataclasses.replace(setup, data=tmp_path)
    before = in_folders.inputs("crnet", ("cell",))
    (tmp_path / "cell" / ".DS_Store").touch()
    (tmp_path / "covidgr").mkdir()
    (tmp_path / "covidgr" / "1.png").touch()
    digest_folder.cache_clear()
    assert in_folders.inputs("crnet", ("cell",)) == before
    (tmp_path / "cell" / "1.png").touch()
    digest_folder.cache_clear()
    assert in_folders.inputs("crnet", ("cell",)) != before


def test_exchanged_labels_change_the_digest(tmp_path):
    table = tmp_path / "metadata.csv"
    table.write_text("a.png,COVID\nb.png,other\n")
    before = digest_folder(tmp_path)
    table.write_text("a.png,other\nb.png,COVID\n")
    digest_folder.cache_clear()
    assert digest_folder(tmp_path) != before


def test_reason_is_removed_when_data_are_available(paper, setup, tmp_path):
    made, _ = paper
    absent = dataclasses.replace(
        made, why_unavailable=lambda setup, need: "no such folder"
    )
    results = Results.start(tmp_path / "made.json", made, setup)
    rows = choose_rows(made, [], [])[:1]
    assert run_rows(absent, setup, results, rows, [0]) == []
    assert "| no such folder |" in markdown(made, results)
    run_rows(made, setup, results, rows, [])
    assert "no such folder" not in markdown(made, results)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "made.json is not a results file: Exp"),
        ("{}", r"it lacks \['missing'"),
    ],
)
def test_other_files_are_not_results(tmp_path, text, message):
    (tmp_path / "made.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Results.read(tmp_path / "made.json")


def test_constant_prediction_has_no_interval():
    y = np.tile([0, 1], 20)
    run = {"figures": binary_metrics(y, np.ones(40)), "scores": np.ones(40)}
    test = {"y": y.tolist(), "groups": None}
    assert str(summarize([run], test, "specificity")) == "0.000"
    assert str(summarize([run] * 2, test, "auc")) == "0.500 ± 0.000"


def test_bar_in_a_cell_is_escaped(paper, setup, tmp_path):
    made, _ = paper
    absent = dataclasses.replace(
        made, why_unavailable=lambda setup, need: "a|b is absent"
    )
    results = Results.start(tmp_path / "made.json", made, setup)
    run_rows(absent, setup, results, choose_rows(made, [], []), [0])
    assert r"a\|b is absent" in markdown(made, results)


def test_results_file_of_other_settings_is_refused(paper, setup, tmp_path):
    made, _ = paper
    path = tmp_path / "made.json"
    run_rows(
        made,
        setup,
        Results.start(path, made, setup),
        choose_rows(made, [], []),
        [0],
    )
    other = dataclasses.replace(setup, init="imagenet")
    with pytest.raises(ValueError, match="pass another file as --out"):
        Results.start(path, made, other)


def test_page(paper, setup, tmp_path):
    made, _ = paper
    results = Results.start(tmp_path / "made.json", made, setup)
    run_rows(made, setup, results, choose_rows(made, [], []), [0, 1])
    page = markdown(made, results)
    assert "Budget: fast (1 % of the epochs, images of at most 24 px)" in page
    assert "Scored on 100 images of 25 patients (test)." in page
    assert "| c | 0.800 | 0.900 | no initial weights (--init none) |" in page
    (claim,) = claim_grid(made, results).rows
    assert claim[-1] == "holds"
    # The picked epoch of both rows predicts all test images correctly.
    assert claim[4] == "+0.000 [+0.000, +0.000]"
    (a, _, both) = picked_grid(made, results).rows
    honest = np.mean([r["figures"]["accuracy"] for r in results.runs("backbone=a")])
    assert a[2:4] == (f"{honest:.3f}", "1.000")
    assert a[4].startswith(f"{1 - honest:+.3f} [")
    honest = np.mean([run["figures"]["accuracy"] for run in results.content["runs"]])
    assert both[:4] == ("mean of all runs", "", f"{honest:.3f}", "1.000")


def test_page_describes_the_source_of_the_weights(paper, setup, tmp_path):
    made, _ = paper
    (tmp_path / "c.pth").touch()
    record = {"source": "CIFAR-10", "n_images": 20_000, "image_size": 64}
    record |= {"epochs": 4, "test_accuracy": 0.61234, "seconds": 3}
    (tmp_path / "c.json").write_text(json.dumps(record))
    given = dataclasses.replace(setup, init=f"{tmp_path}/{{backbone}}.pth")
    results = Results.start(tmp_path / "made.json", made, given)
    run_rows(made, given, results, choose_rows(made, [], []), [0])
    page = markdown(made, Results.read(results.path))
    assert "(c: CIFAR-10, 20,000 images of 64 px, 4 epochs, test accuracy 0.612" in page


def test_two_processes_share_a_file(paper, setup, tmp_path):
    made, _ = paper
    path = tmp_path / "made.json"
    rows = choose_rows(made, [], [])
    first, second = (Results.start(path, made, setup) for _ in range(2))
    run_rows(made, setup, first, rows[:1], [0])
    run_rows(made, setup, second, rows, [0])
    keys = [run["key"] for run in Results.read(path).content["runs"]]
    assert keys == ["backbone=a", "backbone=b"]


def test_comparisons_are_paired(paper, setup, tmp_path):
    made, _ = paper
    results = Results.start(tmp_path / "made.json", made, setup)
    run_rows(made, setup, results, choose_rows(made, [], []), [0, 1])
    a, b = results.runs("backbone=a"), results.runs("backbone=b")
    test = results.test_images(a)
    comparison, n_seeds = compare(a, b, test, "auc")
    assert n_seeds == 2
    means = [summarize(runs, test, "auc").value for runs in (a, b)]
    assert comparison.difference.estimate == pytest.approx(
        means[0] - means[1], abs=1e-4
    )
    same = compare(a, a, test, "auc")[0].difference
    assert same.low == same.high == 0
    # Only common seeds are compared.
    assert compare(a, b[:1], test, "auc")[1] == 1
    assert compare(a[:1], b[1:], test, "auc") is None
