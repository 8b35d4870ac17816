"""`pretrain_source.py` writes weights that estimators can load."""

import io
import json
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skssl import FineTuneClassifier, Phase

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pretrain_source.py"


@pytest.fixture
def archive(tmp_path, rng):
    """A zip file of 8 training and 2 test images for each of two classes."""
    path = tmp_path / "source.zip"
    with zipfile.ZipFile(path, "w") as file:
        for split, n in (("train", 8), ("test", 2)):
            for name in ("cat", "dog"):
                for i in range(n):
                    pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
                    stream = io.BytesIO()
                    Image.fromarray(pixels).save(stream, format="jpeg")
                    file.writestr(f"{split}/{name}/{i}.jpg", stream.getvalue())
    return path


def test_estimators_load_the_weights(archive, tmp_path, rng):
    out = tmp_path / "source" / "crnet.pth"
    options = ["--backbone", "crnet", "--size", "24", "--epochs", "1", "--lr", "0.01"]
    command = [sys.executable, str(SCRIPT), "--data", str(archive), *options]
    done = subprocess.run(
        [*command, "--out", str(out)], check=True, capture_output=True, text=True
    )
    record = json.loads(out.with_suffix(".json").read_text())
    assert (record["n_images"], record["image_size"], record["epochs"]) == (16, 24, 1)
    assert record["lr"] == 0.01
    # The warning threshold is 1.5 times the larger class, half of the test images.
    assert 0 <= record["test_accuracy"] <= 1
    assert ("try a lower --lr" in done.stdout) == (record["test_accuracy"] <= 0.75)
    clf = FineTuneClassifier(
        backbone="crnet",
        weights=out,
        image_size=24,
        phases=[Phase("head", epochs=1)],
        random_state=0,
    )
    gray = rng.integers(0, 255, (8, 24, 24), dtype=np.uint8)
    clf.fit(gray, [0, 1] * 4)
    assert clf.predict_proba(gray).shape == (8, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "source.json"], r"--out must be a \.pth file"),
        (
            ["--out", "c.pth", "--per-class", "0"],
            r"source\.zip: per_class must be at",
        ),
        (["--out", "c.pth", "--data", "empty"], "found no train/<class>/"),
        (["--out", "c.pth", "--data", "absent.zip"], r"--data absent\.zip: .*No such"),
    ],
)
def test_invalid_arguments_are_refused_first(
    archive, tmp_path, monkeypatch, capsys, options, message
):
    if "empty" in options:
        options = [*options[:-1], str(tmp_path / "empty.zip")]
        with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
            file.writestr("cifar10/train/cat/1.jpg", b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--data", str(archive), *options])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert exit_.value.code == 2
    assert re.search(message, capsys.readouterr().err)
