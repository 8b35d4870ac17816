"""The report names every dependency."""

import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from skssl import __version__, _show_versions
from skssl._show_versions import show_versions

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
FOR_DEVELOPERS = {"all", "bench", "dev", "docs", "lint", "test"}


@pytest.fixture
def printed(capsys):
    show_versions()
    lines = capsys.readouterr().out.splitlines()
    return dict(line.strip().split("  ", 1) for line in lines if line[0] == " ")


def names(lines):
    return {Requirement(line).name for line in lines}


def test_required_dependencies():
    assert set(_show_versions._REQUIRED) == names(PROJECT["dependencies"])


def test_optional_dependencies():
    extras = PROJECT["optional-dependencies"]
    users = set().union(*(names(extras[e]) for e in set(extras) - FOR_DEVELOPERS))
    assert users <= set(_show_versions._OPTIONAL)


def test_versions(printed):
    assert printed["skssl"].strip() == __version__
    assert printed["torch"].strip().split("+")[0] == torch.__version__.split("+")[0]


def test_a_missing_package(monkeypatch, capsys):
    monkeypatch.setattr(_show_versions, "_OPTIONAL", ("no-such-package",))
    show_versions()
    assert "  no-such-package  not installed\n" in capsys.readouterr().out


def test_hardware(printed):
    assert printed["threads"].strip() == str(torch.get_num_threads())
    assert printed["precision 'auto' on the CPU"].strip() in ("bfloat16", "float32")
    assert printed["CUDA devices"].strip() == str(torch.cuda.device_count())
