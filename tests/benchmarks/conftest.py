"""Phantoms on disk, in the layouts of the papers' data sets."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.papers.setup import Setup
from skssl.datasets import make_scan_phantoms
from skssl.recipes import Budget


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("benchmarks.papers.metrics.N_RESAMPLES", 50)


def write_table(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="session")
def ct_folder(tmp_path_factory):
    """Phantoms of 24 patients in the layout of COVID-CT, split by patient."""
    root = tmp_path_factory.mktemp("ct")
    scans = make_scan_phantoms(24, images_per_patient=2, image_size=32, random_state=0)
    (root / "images").mkdir()
    rows = []
    for i, (image, y, group) in enumerate(
        zip(scans.data, scans.target, scans.groups, strict=True)
    ):
        name = f"{i}.png"
        Image.fromarray(image).save(root / "images" / name)
        split = ("train", "train", "val", "test")[group % 4]
        rows.append([name, "COVID" if y else "NonCOVID", split, f"p{group}"])
    header = ["filename", "label", "split", "patient_id"]
    write_table(root / "metadata.csv", header, rows)
    return root


@pytest.fixture(scope="session")
def luna_folder(tmp_path_factory):
    """Phantoms of 6 other patients in the layout of LUNA slices."""
    root = tmp_path_factory.mktemp("luna")
    scans = make_scan_phantoms(6, images_per_patient=2, image_size=32, random_state=1)
    rows = []
    for i, (image, group) in enumerate(zip(scans.data, scans.groups, strict=True)):
        Image.fromarray(image).save(root / f"{i}.png")
        rows.append([f"{i}.png", f"s{group}", i])
    write_table(root / "metadata.csv", ["filename", "subject_id", "slice"], rows)
    return root


@pytest.fixture
def setup(ct_folder, luna_folder, tmp_path):
    """One epoch on small images, with random initial weights."""
    return Setup(
        data=ct_folder,
        external=luna_folder,
        init="none",
        budget=Budget("fast", epochs=0.01, image_size=24),
        cache=tmp_path / "cache",
        device="cpu",
    )
