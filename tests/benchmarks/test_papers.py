"""Tables of the papers: their rows, claims and runs."""

import numpy as np
import pytest
import torch
from filelock import FileLock
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from benchmarks.papers import covid_ct, ewen2020, gazda2021, he2020, li2021
from benchmarks.papers.__main__ import PAPERS
from benchmarks.papers.best_epoch import fit_and_pick
from benchmarks.papers.metrics import METRICS, binary_metrics
from benchmarks.papers.running import choose_rows
from benchmarks.papers.tables import Row
from skssl import Phase
from skssl.recipes import targeted_flip
from skssl.testing import tiny_cnn

LEARNS_NOTHING = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"
)


def test_number_of_rows():
    sizes = {
        name: [len(table.rows) for table in paper.tables]
        for name, paper in PAPERS.items()
    }
    assert sizes == {
        "ewen2020": [10, 5],
        "he2020": [16, 10, 4, 13],
        "li2021": [9, 27, 20],
        "gazda2021": [12, 4],
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
def test_published_values(paper, table, labels, published):
    rows = {row.labels: row for row in paper.PAPER.tables[table].rows}
    assert tuple(rows[labels].published.values()) == published


def test_unfrozen_rows_share_the_runs_of_method_2():
    keys = {row.labels: row.key for t in he2020.PAPER.tables for row in t.rows}
    unfrozen = ("ResNet-50", "unfrozen")
    assert keys[unfrozen] == keys["ResNet-50", "Method 2"]
    rows = choose_rows(he2020.PAPER, [2, 3], ["resnet50"])
    assert len(rows) == 6  # five methods and the frozen extractor


def test_rows_of_claims_exist():
    for paper in PAPERS.values():
        keys = {row.key for table in paper.tables for row in table.rows}
        for claim in paper.claims:
            for settings in (claim.better, claim.worse):
                row = Row((), settings, {})
                assert row.key in keys, claim.text


def test_binary_metrics_by_hand():
    y = np.array([1, 1, 1, 0, 0])
    scores = np.array([2.0, 1.0, -1.0, -2.0, 0.5])
    metrics = binary_metrics(y, scores)
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["sensitivity"] == pytest.approx(2 / 3)
    assert metrics["specificity"] == pytest.approx(1 / 2)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert metrics["f1"] == pytest.approx(2 / 3)
    assert metrics["f1_negative"] == pytest.approx(1 / 2)
    assert metrics["auc"] == pytest.approx(5 / 6)


def test_published_f1_is_that_of_images_without_covid():
    """160 of 203 correct at a balanced accuracy of 0.7850: 92 of 105 and 68 of 98."""
    y = np.repeat([0, 1], [105, 98])
    scores = np.concatenate(
        [np.repeat([-1, 1], [92, 13]), np.repeat([1, -1], [68, 30])]
    )
    metrics = binary_metrics(y, scores)
    published = {row.labels: row.published for row in ewen2020.PAPER.tables[0].rows}
    for name, value in published["InceptionV3", "0%"].items():
        assert round(metrics[name], 4) == value
    assert round(metrics["f1"], 3) == 0.760


def test_metrics_of_several_runs_are_means(rng):
    y = rng.integers(0, 2, 60)
    scores = rng.normal(size=(60, 3)) + y[:, None]
    mean_auc = np.mean([roc_auc_score(y, column) for column in scores.T])
    assert METRICS["auc"](y, scores) == pytest.approx(mean_auc)
    assert METRICS["accuracy"](y, scores) == pytest.approx(
        np.mean([(column > 0) == (y == 1) for column in scores.T])
    )


@LEARNS_NOTHING
def test_run_of_ewen2020(setup):
    outcome = ewen2020.PAPER.run(setup, {"backbone": "crnet", "fraction": 0.5}, 0)
    test = covid_ct.load_splits(setup.data, "test")
    assert outcome.metrics == binary_metrics(test.y, outcome.scores)
    picked = outcome.picked["figures"]
    assert picked["accuracy"] >= outcome.metrics["accuracy"]
    assert picked == binary_metrics(test.y, outcome.picked["scores"])


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "self_trans"},
        {"method": 2},
        {"method": 2, "frozen": True},
        {"method": 4},
    ],
)
def test_run_of_he2020(setup, settings):
    outcome = he2020.PAPER.run(setup, {"backbone": "crnet", **settings}, 0)
    assert 0 <= outcome.metrics["auc"] <= 1


def test_rows_share_the_pretraining(setup):
    for frozen in (True, False):
        settings = {"backbone": "crnet", "method": 2, "frozen": frozen}
        he2020.PAPER.run(setup, settings, 0)
    assert len(list(setup.cache.glob("**/fit*"))) == 1


@LEARNS_NOTHING
def test_picking_an_epoch_does_not_change_the_fit(setup, tmp_path):
    train, test = (
        covid_ct.load_splits(setup.data, split) for split in ("train", "test")
    )
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
    for picking, plain in zip(
        clf.networks_[0].state_dict().values(),
        alone.networks_[0].state_dict().values(),
        strict=True,
    ):
        assert torch.equal(picking, plain)
    assert 1 <= picked["epoch"] <= 4
