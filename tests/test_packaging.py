"""What is distributed is complete, and its versions agree."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from setuptools import find_packages

import skssl

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_DISTRIBUTED = {"build", "cache", "dist", "output"}


def lower_bounds():
    """Return the lower bound of each requirement that users or tests install."""
    extras = PROJECT["project"]["optional-dependencies"]
    lines = list(PROJECT["project"]["dependencies"])
    for name in ("dicom", "optuna", "plot", "safetensors", "test"):
        lines += extras[name]
    requirements = [Requirement(line) for line in lines]
    return {
        r.name: next(iter(r.specifier)).version
        for r in requirements
        if r.name != "skssl"
    }


def release(version):
    numbers = [int(number) for number in version.split(".")]
    while numbers[-1] == 0:
        numbers.pop()
    return numbers


@pytest.mark.parametrize(("name", "bound"), sorted(lower_bounds().items()))
def test_the_oldest_versions_are_the_lower_bounds(name, bound):
    text = (ROOT / "requirements" / "oldest.txt").read_text(encoding="utf-8")
    pins = dict(line.split("==") for line in text.splitlines() if "==" in line)
    n_given = len(release(bound))
    assert release(pins[name])[:n_given] == release(bound)


def test_the_citation_names_the_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == skssl.__version__


def test_every_folder_is_a_package():
    folders = {path.parent for path in (ROOT / "skssl").rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(find_packages(ROOT, include=["skssl*"])) == names


@pytest.fixture(scope="session")
def distributed(tmp_path_factory):
    """Build the source distribution of a copy; return the names in it."""
    tmp_path = tmp_path_factory.mktemp("sdist")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in ROOT.iterdir():
        if path.name.startswith(".") or path.name in NOT_DISTRIBUTED:
            continue
        if path.is_file():
            shutil.copy(path, copy)
        elif path.suffix != ".egg-info":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, copy / path.name, ignore=ignored)
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run(
        [sys.executable, "-c", build], cwd=copy, check=True, capture_output=True
    )
    (archive,) = tmp_path.glob("skssl-*.tar.gz")
    with tarfile.open(archive) as files:
        return {name.partition("/")[2] for name in files.getnames()}


@pytest.mark.parametrize("folder", ["skssl", "tests", "examples", "benchmarks", "docs"])
def test_sources_are_distributed(distributed, folder):
    generated = ("_build", "auto_examples", "output", "cache")
    files = [
        path.relative_to(ROOT)
        for ending in ("py", "json", "rst")
        for path in (ROOT / folder).rglob(f"*.{ending}")
    ]
    expected = {
        path.as_posix()
        for path in files
        if folder in ("skssl", "tests") or not set(path.parts) & set(generated)
    }
    generated_pages = ("docs/api/generated", "docs/user_guide/_", "docs/sg_")
    expected = {name for name in expected if not name.startswith(generated_pages)}
    expected = {name for name in expected if "user_guide/methods/" not in name}
    assert expected <= distributed


@pytest.mark.parametrize(
    "name",
    [
        "CHANGELOG.md",
        "CITATION.cff",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "docs/_static/overview.png",
        "pyproject.toml",
        "requirements/oldest.txt",
        "skssl/py.typed",
    ],
)
def test_what_users_need_is_distributed(distributed, name):
    assert name in distributed


def test_nothing_generated_is_distributed(distributed):
    endings = (".pyc", ".lock", ".log")
    assert not [name for name in distributed if name.endswith(endings)]
