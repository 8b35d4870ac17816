"""The README is short, its example runs as printed, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def example():
    (code,) = [code for language, code in CODE.findall(README) if language == "python"]
    return code


def test_at_most_500_words():
    # Everything counts, headings and tables too, but code, table rules and targets.
    text = LINK.sub("]", CODE.sub("", README))
    words = [word for word in text.split() if re.search(r"\w", word)]
    assert len(words) <= 500


def test_first_screen():
    first_screen = README.split("\n## ")[0]
    assert "![" in first_screen
    assert example() in first_screen
    assert "make demo" in first_screen
    assert "make test" in first_screen


def test_the_example_has_six_lines():
    lines = [line for line in example().splitlines() if line.strip()]
    statements = [line for line in lines if not line.startswith(("from ", "import "))]
    assert len(statements) <= 6
    assert max(map(len, lines)) <= 88


@pytest.mark.slow
def test_the_example_prints_an_auc(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example()],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    name, value = done.stdout.split()
    assert name == "AUC"
    assert 0.5 < float(value) < 1


@pytest.mark.parametrize("target", sorted(set(LINK.findall(README))))
def test_links_of_files_exist(target):
    assert target.startswith("https://") or (ROOT / target).exists()


def test_the_image_is_small():
    image = ROOT / "docs" / "_static" / "overview.png"
    assert f"]({image.relative_to(ROOT).as_posix()})" in README
    assert image.stat().st_size < 150_000
