"""The papers on chest X-rays, with phantoms in the published layouts."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from benchmarks.papers import gazda2021, li2021
from benchmarks.papers.running import choose_rows
from skssl.datasets import make_scan_phantoms

CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


@pytest.fixture(scope="session")
def images():
    """Forty images, one per patient."""
    return make_scan_phantoms(
        40, images_per_patient=1, image_size=32, random_state=2
    ).data


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture(scope="session")
def radiography(images, tmp_path_factory):
    root = tmp_path_factory.mktemp("radiography")
    for i, image in enumerate(images):
        name = CLASSES[i % 4]
        save(image, root / name / "images" / f"{name}-{i}.png")
    return root


@pytest.fixture(scope="session")
def xrays(images, tmp_path_factory):
    """A folder with the sets Cell and CheXpert only."""
    root = tmp_path_factory.mktemp("xrays")
    for i, image in enumerate(images):
        split = "test" if i < 12 else "train"
        name = f"IM-{i:04}-0001.jpeg" if i % 2 else f"person{i}_virus_1.jpeg"
        folder = "NORMAL" if i % 2 else "PNEUMONIA"
        save(image, root / "cell" / split / folder / name)
    chexpert = root / "chexpert"
    paths = []
    for i, image in enumerate(images[:10]):
        path = f"train/patient{i:05}/study1/view1_frontal.jpg"
        save(image, chexpert / path)
        paths.append(f"CheXpert-v1.0-small/{path}")
    table = chexpert / "train.csv"
    table.write_text("Path\n" + "\n".join(paths) + "\n", encoding="utf-8")
    (chexpert / "valid.csv").write_text(f"Path\n{paths[0]}\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "cross"},
        {"method": "scratch", "labels": 0.5},
        {"method": "scratch", "labels": 0.5, "classes": 2},
    ],
)
def test_run_of_li2021(setup, radiography, settings):
    available = dataclasses.replace(setup, data=radiography)
    outcome = li2021.PAPER.run(available, {"backbone": "crnet", **settings}, 0)
    metrics = outcome.metrics
    n_classes = settings.get("classes", 4)
    assert outcome.confusion.shape == (n_classes, n_classes)
    mean = (
        2 / (1 / metrics["sensitivity"] + 1 / metrics["specificity"])
        if (metrics["sensitivity"] and metrics["specificity"])
        else 0.0
    )
    assert metrics["harmonic_mean"] == pytest.approx(mean)  # holds for a single network
    assert {f"{name}_sd" for name in li2021.PAPER.tables[0].metrics} <= set(metrics)


def test_covid_versus_rest_by_hand():
    y = np.array([0, 0, 1, 2, 3])
    p = np.array(
        [
            [0.7, 0.1, 0.1, 0.1],  # COVID, correct
            [0.3, 0.4, 0.2, 0.1],  # COVID, predicted as another class
            [0.1, 0.6, 0.2, 0.1],
            [0.5, 0.2, 0.2, 0.1],  # another class, predicted as COVID
            [0.1, 0.1, 0.6, 0.2],  # another class, predicted as a third
        ]
    )
    metrics = li2021._mean_metrics(y, np.stack([p, p], axis=1))
    assert metrics["sensitivity"] == pytest.approx(1 / 2)
    assert metrics["specificity"] == pytest.approx(2 / 3)
    assert metrics["harmonic_mean"] == pytest.approx(4 / 7)
    assert metrics["accuracy"] == pytest.approx(2 / 5)
    assert metrics["auc"] == pytest.approx(5 / 6)
    assert metrics["accuracy_sd"] == 0
    assert metrics["accuracy_low"] <= 2 / 5 <= metrics["accuracy_high"]
    confusion = li2021._confusion(y, p[:, None])
    expected = [[1 / 2, 1 / 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(confusion, expected)


def test_run_of_gazda2021(setup, xrays):
    available = dataclasses.replace(setup, data=xrays, external=xrays / "chexpert")
    settings = {"backbone": "crnet", "set": "cell", "fraction": 1.0}
    outcome = gazda2021.PAPER.run(available, settings, 0)
    assert outcome.test_name == "cell"
    assert len(outcome.scores) == len(outcome.test["y"]) == 12


def test_features_of_weights_continued_on_x_rays(setup, xrays, images, monkeypatch):
    for i, image in enumerate(images):
        name = ("COVID", "Normal")[i % 2]
        save(image, xrays / "covid_radiography" / name / f"{name}-{i}.png")
    monkeypatch.setattr(gazda2021, "_LABELS", 0.5)
    available = dataclasses.replace(setup, data=xrays, init="none")
    settings = {"backbone": "crnet", "set": "covid_radiography", "fraction": 1.0}
    outcome = gazda2021.PAPER.run(available, settings, 0)
    assert outcome.test_name == "covid_radiography"
    assert len(outcome.scores) == len(outcome.test["y"]) == 8
    assert len(outcome.by_epoch) == available.budget.n_epochs(100)
    plain = gazda2021.PAPER.run(available, {**settings, "fraction": 0.0}, 0)
    assert plain.by_epoch is None


def test_missing_sets_are_named(setup, xrays):
    available = dataclasses.replace(setup, data=xrays, external=xrays / "chexpert")
    missing = {
        row.settings["set"]: gazda2021.PAPER.missing(available, row)
        for row in choose_rows(gazda2021.PAPER, [1], [])
    }
    assert missing.pop("cell") is None
    for name, reason in missing.items():
        assert gazda2021._NAMES[name] in reason
    alone = dataclasses.replace(available, external=None)
    row = choose_rows(gazda2021.PAPER, [], [])[0]
    assert gazda2021.PAPER.missing(alone, row) == "no CheXpert (--external)"
