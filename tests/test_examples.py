"""The examples run as printed, and leave the figure that they announce."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(folder, name, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg"},
    ).stdout


@pytest.fixture
def covid_folder(tmp_path, rng):
    """36 slices of 12 patients, four in each split, in the layout with a table."""
    rows = []
    for patient in range(12):
        label = ("NonCOVID", "COVID")[patient % 2]
        split = ("train", "val", "test")[patient // 4]
        for i in range(3):
            name = f"{label}/{patient}_{i}.png"
            file = tmp_path / "data" / "images" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            is_bright = patient % 2 or patient == 8  # one is like the other class
            pixels = rng.integers(0, 128, (40, 48)) + 100 * bool(is_bright)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
            rows.append([name, label, split, f"patient {patient}"])
    with (tmp_path / "data" / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "label", "split", "patient_id"])
        writer.writerows(rows)
    return tmp_path / "data"


def test_covid_ct(covid_folder, tmp_path):
    printed = run(
        tmp_path,
        "plot_20_covid_ct.py",
        *("--data", str(covid_folder), "--epochs", "1", "--folds", "2"),
        *("--size", "48", "--random"),
    )
    assert "24 slices of 8 patients for development, 12 test" in printed
    assert printed.count("test AUC") == 2
    assert (tmp_path / "output" / "covid_ct.png").stat().st_size > 10_000


@pytest.mark.slow
def test_quickstart(tmp_path):
    printed = run(tmp_path, "plot_10_quickstart.py")
    figures = {}
    for line in printed.splitlines():
        if line.startswith("test AUC"):
            name, value = line.removeprefix("test AUC, ").split(" features:")
            figures[name] = float(value.split()[0])
    assert figures["pretrained"] > figures["untrained"] + 0.1
    assert (tmp_path / "output" / "quickstart.png").stat().st_size > 10_000


@pytest.mark.slow
def test_fine_tuning(tmp_path):
    printed = run(tmp_path, "plot_30_fine_tuning.py")
    assert printed.count("over 3 folds") == 5
    assert (tmp_path / "output" / "fine_tuning.png").stat().st_size > 10_000


@pytest.mark.slow
def test_recipes(tmp_path):
    printed = run(tmp_path, "plot_40_recipes.py")
    assert "budget: example (10 % of the epochs, images of at most 48 px)" in printed
    assert printed.count("difference to scratch") == 4
    assert (tmp_path / "output" / "recipes.png").stat().st_size > 10_000


@pytest.mark.slow
def test_dicom_study(tmp_path):
    pytest.importorskip("pydicom")
    pytest.importorskip("SimpleITK")
    printed = run(tmp_path, "plot_50_dicom_study.py")
    assert "96 images in 96 files: 6 patients, 6 studies, 12 series" in printed
    assert "1 unreadable, 0 suspicious" in printed
    assert "P3S0I004" in printed
    assert "48 axial slices of 12 volumes of 6 patients" in printed
    assert (tmp_path / "output" / "dicom_study.png").stat().st_size > 10_000
