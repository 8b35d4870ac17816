"""The pages of the documentation: their examples run, their tables are right."""

import doctest
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from skssl.augment import RECIPES
from skssl.pretext import SimCLR, _base, list_pretexts

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.rst") if ">>>" in p.read_text("utf-8"))
PAGES = [page for page in PAGES if not page.relative_to(DOCS).match("a*/**")]


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "_ext/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
