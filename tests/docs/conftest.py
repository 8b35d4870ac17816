"""Fixtures for the Sphinx extensions that generate parts of the pages."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def extension(monkeypatch):
    """Return a function that imports a module of ``docs/_ext``."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    monkeypatch.syspath_prepend(docs / "_ext")
    return importlib.import_module


@pytest.fixture(scope="session")
def cells():
    """Return a function that splits a list-table into rows of cells."""

    def read(table):
        rows = table.split("\n   * - ")[1:]
        return [[cell.strip() for cell in row.split("\n     - ")] for row in rows]

    return read
