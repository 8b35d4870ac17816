"""The tables of the papers: their rows, their runs, their pages."""

import dataclasses
import json
import re
from urllib.error import URLError

import numpy as np
import pytest
import torch
from filelock import FileLock
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from benchmarks.papers import covid_ct, ewen2020, gazda2021, he2020, li2021
from benchmarks.papers.__main__ import PAPERS, main
from benchmarks.papers.figures import METRICS, binary_figures, compare, summarize
from benchmarks.papers.page import claim_grid, markdown, picked_grid
from benchmarks.papers.results import Results
from benchmarks.papers.running import choose_rows, run_rows
from benchmarks.papers.setup import digest_folder
from benchmarks.papers.tables import Claim, Outcome, Paper, Row, Table
from benchmarks.papers.watching import fit_and_pick
from skssl import Phase
from skssl.nn import build_backbone
from skssl.recipes import targeted_flip
from skssl.testing import tiny_cnn


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("benchmarks.papers.figures.N_RESAMPLES", 50)


LEARNS_NOTHING = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"
)


def test_rows_are_those_of_the_papers():
    sizes = {
        name: [len(table.rows) for table in paper.tables]
        for name, paper in PAPERS.items()
    }
    assert sizes == {
        "ewen2020": [10],
        "he2020": [16, 10, 4],
        "li2021": [9, 27],
        "gazda2021": [12],
    }


@pytest.mark.parametrize(
    ("paper", "table", "labels", "published"),
    [
        (ewen2020, 0, ("DenseNet-169", "100%"), (0.8621, 0.8609, 0.8704)),
        (ewen2020, 0, ("InceptionV3", "0%"), (0.7882, 0.7850, 0.8106)),
        (he2020, 0, ("CRNet", "transfer"), (0.73, 0.76, 0.79)),
        (he2020, 1, ("DenseNet-169", "Self-Trans"), (0.86, 0.85, 0.94)),
        (he2020, 2, ("ResNet-50", "frozen"), (0.70, 0.63, 0.77)),
        (li2021, 0, ("BYOL",), (0.895, 0.987, 0.939, 0.991, 0.894)),
        (gazda2021, 0, ("COVIDGR", "10%"), (0.778, 0.860, 0.800, 0.756, 0.774)),
    ],
)
def test_published_figures(paper, table, labels, published):
    rows = {row.labels: row for row in paper.PAPER.tables[table].rows}
    assert tuple(rows[labels].published.values()) == published


def test_unfrozen_rows_are_runs_of_method_2():
    keys = {row.labels: row.key for t in he2020.PAPER.tables for row in t.rows}
    unfrozen = ("ResNet-50", "unfrozen")
    assert keys[unfrozen] == keys["ResNet-50", "Method 2"]
    rows = choose_rows(he2020.PAPER, [2, 3], ["resnet50"])
    assert len(rows) == 6  # five methods and the frozen extractor


def test_claims_are_of_rows_that_exist():
    for paper in PAPERS.values():
        keys = {row.key for table in paper.tables for row in table.rows}
        for claim in paper.claims:
            for settings in (claim.better, claim.worse):
                row = Row((), settings, {})
                assert row.key in keys, claim.text


def test_binary_figures_by_hand():
    y = np.array([1, 1, 1, 0, 0])
    scores = np.array([2.0, 1.0, -1.0, -2.0, 0.5])
    figures = binary_figures(y, scores)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["sensitivity"] == pytest.approx(2 / 3)
    assert figures["specificity"] == pytest.approx(1 / 2)
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["f1_negative"] == pytest.approx(1 / 2)
    assert figures["auc"] == pytest.approx(5 / 6)


def test_the_published_f1_is_that_of_the_images_without_covid():
    """160 of 203 right and 0.7850 of balance leave 92 of 105 and 68 of 98."""
    y = np.repeat([0, 1], [105, 98])
    scores = np.concatenate(
        [np.repeat([-1, 1], [92, 13]), np.repeat([1, -1], [68, 30])]
    )
    figures = binary_figures(y, scores)
    published = {row.labels: row.published for row in ewen2020.PAPER.tables[0].rows}
    for name, value in published["InceptionV3", "0%"].items():
        assert round(figures[name], 4) == value
    assert round(figures["f1"], 3) == 0.760


def test_means_over_seeds(rng):
    y = rng.integers(0, 2, 60)
    scores = rng.normal(size=(60, 3)) + y[:, None]
    mean_auc = np.mean([roc_auc_score(y, column) for column in scores.T])
    assert METRICS["auc"](y, scores) == pytest.approx(mean_auc)
    assert METRICS["accuracy"](y, scores) == pytest.approx(
        np.mean([(column > 0) == (y == 1) for column in scores.T])
    )


@LEARNS_NOTHING
def test_a_run_of_ewen2020(setup):
    outcome = ewen2020.PAPER.run(setup, {"backbone": "crnet", "fraction": 0.5}, 0)
    test = covid_ct.load_part(setup.data, "test")
    assert outcome.figures == binary_figures(test.y, outcome.scores)
    picked = outcome.picked["figures"]
    assert picked["accuracy"] >= outcome.figures["accuracy"]
    assert picked == binary_figures(test.y, outcome.picked["scores"])


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "self_trans"},
        {"method": 2},
        {"method": 2, "frozen": True},
        {"method": 4},
    ],
)
def test_a_run_of_he2020(setup, settings):
    outcome = he2020.PAPER.run(setup, {"backbone": "crnet", **settings}, 0)
    assert 0 <= outcome.figures["auc"] <= 1


def test_the_extractor_is_pretrained_once_for_both_rows(setup):
    for frozen in (True, False):
        settings = {"backbone": "crnet", "method": 2, "frozen": frozen}
        he2020.PAPER.run(setup, settings, 0)
    assert len(list(setup.cache.glob("**/fit*"))) == 1


@LEARNS_NOTHING
def test_watching_changes_nothing(setup, tmp_path):
    train, test = (covid_ct.load_part(setup.data, part) for part in ("train", "test"))
    clf = targeted_flip(tiny_cnn, weights=None, budget=setup.budget, random_state=0)
    clf.pretrainer.set_params(fraction=0.0)
    phases = [Phase("head", epochs=1), Phase("all", epochs=3)]
    clf.set_params(phases=phases, augmentation="self_trans_finetune")
    alone = clone(clf).fit(train.X, train.y, groups=train.groups)
    for name in ("epochs-ended", "epochs-running"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
    with FileLock(tmp_path / "epochs-running.lock"):
        picked = fit_and_pick(clf, train, test, scratch=tmp_path)
    assert [path.name for path in tmp_path.glob("epochs-*[!k]")] == ["epochs-running"]
    for mine, its in zip(
        clf.networks_[0].state_dict().values(),
        alone.networks_[0].state_dict().values(),
        strict=True,
    ):
        assert torch.equal(mine, its)
    assert 1 <= picked["epoch"] <= 4


class TestResults:
    @pytest.fixture
    def paper(self):
        """A paper of three rows whose runs draw scores."""
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
                binary_figures(y, scores),
                scores=scores,
                test={"y": y, "groups": np.arange(100) // 2 % 25},
                picked={
                    "epoch": 1,
                    "figures": binary_figures(y, 4.0 * y - 2),
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
            find=lambda setup, need: None,
            claims=(Claim("a above b", {"backbone": "a"}, {"backbone": "b"}),),
        )
        return made, ran

    def test_what_is_there_is_not_run_again(self, paper, setup, tmp_path, capsys):
        made, ran = paper
        rows = choose_rows(made, [], [])
        path = tmp_path / "made.json"
        run_rows(made, setup, Results.start(path, made, setup), rows[:1], [0, 1])
        assert ran == [("a", 0), ("a", 1)]
        ran.clear()
        run_rows(made, setup, Results.start(path, made, setup), rows, [0, 1, 2])
        assert ran == [("b", 0), ("b", 1), ("a", 2), ("b", 2)]
        told = capsys.readouterr().out
        assert "c: left out, no weights to start from" in told
        assert "[4/4] b, seed 2 (about 0 h 00 min left)" in told

    def test_a_run_that_fails_loses_nothing(self, paper, setup, tmp_path):
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

    def test_other_files_are_refused_before_anything_is_run(
        self, paper, setup, tmp_path, luna_folder
    ):
        made, ran = paper
        rows = choose_rows(made, [], [])
        results = Results.start(tmp_path / "made.json", made, setup)
        run_rows(made, setup, results, rows[:1], [0])
        other = dataclasses.replace(setup, data=luna_folder)
        with pytest.raises(ValueError, match=r"of other files \(data\): give another"):
            run_rows(made, other, results, rows, [0, 1])
        assert ran == [("a", 0)]

    def test_only_what_a_row_reads_counts(self, setup, ct_folder, tmp_path):
        weights = tmp_path / "crnet.pth"
        weights.write_bytes(b"1")
        given = dataclasses.replace(setup, init=str(weights))
        assert list(given.inputs("crnet", ("data",))) == ["data"]
        assert set(given.inputs("crnet", ("data", "external", "start"))) == {
            *("data", "external", "weights")
        }
        (tmp_path / "cell").mkdir()
        of_sets = dataclasses.replace(setup, data=tmp_path)
        before = of_sets.inputs("crnet", ("cell",))
        (tmp_path / "cell" / ".DS_Store").touch()
        (tmp_path / "covidgr").mkdir()
        (tmp_path / "covidgr" / "1.png").touch()
        digest_folder.cache_clear()
        assert of_sets.inputs("crnet", ("cell",)) == before
        (tmp_path / "cell" / "1.png").touch()
        digest_folder.cache_clear()
        assert of_sets.inputs("crnet", ("cell",)) != before

    def test_labels_that_change_places_are_noticed(self, tmp_path):
        table = tmp_path / "metadata.csv"
        table.write_text("a.png,COVID\nb.png,other\n")
        before = digest_folder(tmp_path)
        table.write_text("a.png,other\nb.png,COVID\n")
        digest_folder.cache_clear()
        assert digest_folder(tmp_path) != before

    def test_a_reason_goes_when_the_data_come(self, paper, setup, tmp_path):
        made, _ = paper
        absent = dataclasses.replace(made, find=lambda setup, need: "no such folder")
        results = Results.start(tmp_path / "made.json", made, setup)
        rows = choose_rows(made, [], [])[:1]
        assert run_rows(absent, setup, results, rows, [0]) == []
        assert "| no such folder |" in markdown(made, results)
        run_rows(made, setup, results, rows, [])
        assert "no such folder" not in markdown(made, results)

    @pytest.mark.parametrize(
        ("text", "said"),
        [("no json", "made.json is not a file of results: Exp"), ("{}", "it lacks m")],
    )
    def test_another_file_is_not_taken_for_results(self, tmp_path, text, said):
        (tmp_path / "made.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            Results.read(tmp_path / "made.json")

    def test_a_network_that_tells_one_class_has_no_interval(self):
        y = np.tile([0, 1], 20)
        run = {"figures": binary_figures(y, np.ones(40)), "scores": np.ones(40)}
        test = {"y": y.tolist(), "groups": None}
        assert str(summarize([run], test, "specificity")) == "0.000"
        assert str(summarize([run] * 2, test, "auc")) == "0.500 ± 0.000"

    def test_a_bar_in_a_cell_does_not_part_it(self, paper, setup, tmp_path):
        made, _ = paper
        absent = dataclasses.replace(made, find=lambda setup, need: "a|b is absent")
        results = Results.start(tmp_path / "made.json", made, setup)
        run_rows(absent, setup, results, choose_rows(made, [], []), [0])
        assert r"a\|b is absent" in markdown(made, results)

    def test_a_file_of_another_budget_is_refused(self, paper, setup, tmp_path):
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
        with pytest.raises(ValueError, match="give another --out"):
            Results.start(path, made, other)

    def test_the_page(self, paper, setup, tmp_path):
        made, _ = paper
        results = Results.start(tmp_path / "made.json", made, setup)
        run_rows(made, setup, results, choose_rows(made, [], []), [0, 1])
        page = markdown(made, results)
        assert "Budget: fast (1 % of the epochs, images of at most 24 px)" in page
        assert "Scored on 100 images of 25 patients (test)." in page
        assert "| c | 0.800 | 0.900 | no weights to start from (--init none) |" in page
        (claim,) = claim_grid(made, results).rows
        assert claim[-1] == "holds"
        # Both rows tell all test images with the epoch that these pick.
        assert claim[4] == "+0.000 [+0.000, +0.000]"
        (a, _, both) = picked_grid(made, results).rows
        honest = np.mean([r["figures"]["accuracy"] for r in results.of("backbone=a")])
        assert a[2:4] == (f"{honest:.3f}", "1.000")
        assert a[4].startswith(f"{1 - honest:+.3f} [")
        honest = np.mean(
            [run["figures"]["accuracy"] for run in results.content["runs"]]
        )
        assert both[:4] == ("mean of all runs", "", f"{honest:.3f}", "1.000")

    def test_the_page_tells_the_source_of_the_weights(self, paper, setup, tmp_path):
        made, _ = paper
        (tmp_path / "c.pth").touch()
        told = {"source": "CIFAR-10", "n_images": 20_000, "image_size": 64}
        told |= {"epochs": 4, "test_accuracy": 0.61234, "seconds": 3}
        (tmp_path / "c.json").write_text(json.dumps(told))
        given = dataclasses.replace(setup, init=f"{tmp_path}/{{backbone}}.pth")
        results = Results.start(tmp_path / "made.json", made, given)
        run_rows(made, given, results, choose_rows(made, [], []), [0])
        page = markdown(made, Results.read(results.path))
        assert "(c: CIFAR-10, 20,000 images of 64 px, 4 epochs, 0.612 of" in page

    def test_two_processes_add_to_one_file(self, paper, setup, tmp_path):
        made, _ = paper
        path = tmp_path / "made.json"
        rows = choose_rows(made, [], [])
        first, second = (Results.start(path, made, setup) for _ in range(2))
        run_rows(made, setup, first, rows[:1], [0])
        run_rows(made, setup, second, rows, [0])
        keys = [run["key"] for run in Results.read(path).content["runs"]]
        assert keys == ["backbone=a", "backbone=b"]

    def test_comparisons_are_by_patients(self, paper, setup, tmp_path):
        made, _ = paper
        results = Results.start(tmp_path / "made.json", made, setup)
        run_rows(made, setup, results, choose_rows(made, [], []), [0, 1])
        a, b = results.of("backbone=a"), results.of("backbone=b")
        test = results.test_of(a)
        comparison, n_seeds = compare(a, b, test, "auc")
        found = comparison.difference
        assert n_seeds == 2
        means = [summarize(runs, test, "auc").value for runs in (a, b)]
        assert found.estimate == pytest.approx(means[0] - means[1], abs=1e-4)
        same = compare(a, a, test, "auc")[0].difference
        assert same.low == same.high == 0
        # Seeds that one of the two lacks are left out.
        assert compare(a, b[:1], test, "auc")[1] == 1
        assert compare(a[:1], b[1:], test, "auc") is None


class TestCommand:
    def test_from_the_command_line(self, ct_folder, tmp_path, capsys):
        """A row of the table on phantoms, and its page and picture."""
        out = tmp_path / "he.json"
        command = ["he2020", "--data", str(ct_folder), "--budget", "tiny"]
        command += ["--init", "none", "--networks", "crnet", "--tables", "1"]
        command += ["--seeds", "0", "--out", str(out), "--device", "cpu"]
        main(command)
        (run,) = json.loads(out.read_text())["runs"]
        assert run["settings"] == {"backbone": "crnet", "method": "scratch"}
        assert "| CRNet | random init | 0.720 |" in out.with_suffix(".md").read_text()
        assert out.with_suffix(".png").stat().st_size > 10_000
        main([*command, "--page-only"])
        assert "no weights to start from" in out.with_suffix(".md").read_text()
        assert "tiny (1 % of the epochs" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--networks", "crnet", "resnet5"], "Did you mean 'resnet50'"),
            (["--tables", "4"], "--tables must be from 1 to 3"),
            (["--seeds", "-1"], "'-1' is no whole number from 0 on"),
            (["--init", ""], "--init must be imagenet, none or"),
            (["--out", "results"], r"--out must be a \.json file, got 'results'"),
            (["--out", "ct/he.json"], "--out must not lie in --data"),
            (["--device", "tpu"], "--device: device='tpu'"),
        ],
    )
    def test_arguments_that_would_fail_later(self, options, said, capsys, monkeypatch):
        monkeypatch.setattr("benchmarks.papers.__main__.run_rows", None)
        with pytest.raises(SystemExit):
            main(["he2020", "--data", "ct", *options])
        assert re.search(said, capsys.readouterr().err)

    def test_data_that_is_not_there(self, tmp_path, capsys):
        main(
            ["ewen2020", "--data", str(tmp_path / "no"), "--out", f"{tmp_path}/e.json"]
        )
        assert "left out, COVID-CT: root" in capsys.readouterr().out
        assert "COVID-CT: root" in (tmp_path / "e.md").read_text()

    def test_weights_that_are_not_there(self, ct_folder, tmp_path):
        command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
        main([*command, "--init", f"{tmp_path}/{{backbone}}.pth"])
        page = (tmp_path / "e.md").read_text()
        assert page.count("no file densenet169.pth") == 5

    def test_imagenet_that_cannot_be_downloaded(self, ct_folder, tmp_path, monkeypatch):
        def refuse(*args, **options):
            raise URLError("no network")

        monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        command = ["ewen2020", "--data", str(ct_folder), "--out", f"{tmp_path}/e.json"]
        main(command)
        page = (tmp_path / "e.md").read_text()
        assert page.count("ImageNet weights could not be downloaded (URLError)") == 10

    def test_weights_of_a_source(self, setup, tmp_path):
        """A state dict stands in for ImageNet's."""
        source = build_backbone("crnet", in_channels=1, image_size=(24, 24))
        torch.save(source.state_dict(), tmp_path / "crnet.pth")
        given = dataclasses.replace(setup, init=f"{tmp_path}/{{backbone}}.pth")
        assert given.missing_weights("crnet") is None
        assert given.missing_weights("resnet50") == "no file resnet50.pth"
        settings = {"backbone": "crnet", "method": "transfer"}
        outcome = he2020.PAPER.run(given, settings, 0)
        assert outcome.scores.shape == (len(outcome.test["y"]),)
