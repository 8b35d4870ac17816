"""Fits give the bits that they gave before the estimators became functions."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "1f42b275fe6bc93cedd3f8acbbafa1c69d3c31a5"
#: Methods whose results were changed since, each by a line of the CHANGELOG.
CHANGED = {"mae"}


def digests(code: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fixed_fits.py")],
        env={**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"},
        cwd=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_fits_give_the_bits_of_the_reference(tmp_path):
    archive = subprocess.run(
        ["git", "archive", REFERENCE, "skssl"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        pytest.skip(f"the history does not hold {REFERENCE[:10]}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path, filter="data")
    before, now = digests(tmp_path), digests(ROOT)
    assert len(now) > 30
    changed = {name for name in now if now[name] != before[name]}
    assert changed <= CHANGED
