"""The examples of the pages run, and their lists and tables are complete."""

import doctest
import importlib
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from skssl.augment import RECIPES
from skssl.pretext import get_pretext, list_pretexts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "index.rst", *sorted((DOCS / "user_guide").glob("*.rst"))]
PAGES = [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")]
PUBLIC_MODULES = [
    "skssl",
    "skssl.augment",
    "skssl.data",
    "skssl.datasets",
    "skssl.engine",
    "skssl.exceptions",
    "skssl.metrics",
    "skssl.model_selection",
    "skssl.nn",
    "skssl.pretext",
    "skssl.recipes",
    "skssl.testing",
]


@pytest.fixture
def tables(extension):
    return extension("tables")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    report = []
    result = runner.run(examples, out=report.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(report)


def api_entries():
    """Return (module, name) of each entry of the API page."""
    module, entries = None, []
    for line in (DOCS / "api.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif match := re.fullmatch(r"   (\w+)|\.\. data:: (\w+)", line):
            entries.append((module, match[1] or match[2]))
    return entries


def test_the_api_page_lists_public_names_only():
    unknown = [
        f"{module}.{name}"
        for module, name in api_entries()
        if name not in importlib.import_module(module).__all__
    ]
    assert not unknown, f"on docs/api.rst, but not in __all__: {', '.join(unknown)}"
    repeated = [name for name, count in Counter(api_entries()).items() if count > 1]
    assert not repeated


def test_the_api_page_lists_every_public_name():
    """An object that several modules export may be listed under any of them."""
    listed = [
        getattr(importlib.import_module(module), name) for module, name in api_entries()
    ]
    missing = [
        f"{module}.{name}"
        for module in PUBLIC_MODULES
        for name in importlib.import_module(module).__all__
        if not any(getattr(importlib.import_module(module), name) is x for x in listed)
    ]
    assert not missing, f"missing on docs/api.rst: {', '.join(missing)}"


def test_the_guide_lists_each_method_once():
    text = (DOCS / "user_guide" / "methods.rst").read_text(encoding="utf-8")
    items = re.findall(r"^- :doc:`[^`]*<methods/(\w+)>`", text, re.MULTILINE)
    assert sorted(items) == list_pretexts()


def test_the_guide_lists_the_methods_that_use_groups(extension):
    items = extension("method_pages").contrastive_list()
    listed = re.findall(r"^- `~[\w.]+\.(\w+)`$", items, re.MULTILINE)
    tasks = [get_pretext(name) for name in list_pretexts()]
    with_groups = [t for t in tasks if "same_group" in t.get_params()]
    assert listed == [type(task).__name__ for task in with_groups]
    assert {"SimCLR", "MoCo"} <= set(listed)


def test_the_included_files_are_generated(tables, tmp_path):
    (tmp_path / "docs").mkdir()
    tables.write_tables(SimpleNamespace(srcdir=tmp_path / "docs"))
    guide = tmp_path / "docs" / "user_guide"
    included = {
        name
        for page in (DOCS / "user_guide").glob("*.rst")
        for name in re.findall(
            r"^\.\. include:: _generated/(\w+\.rst)$",
            page.read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
    }
    assert {path.name for path in (guide / "_generated").iterdir()} == included
    assert len(list((guide / "methods").iterdir())) == len(list_pretexts())


def test_the_recipe_table_shows_the_parameters_of_the_recipes(tables, cells):
    header, *rows = cells(tables.recipe_table())
    assert header[1:] == [f"``{name}``" for name in RECIPES]
    n_set = sum(cell != "" for row in rows for cell in row[1:])
    assert n_set == sum(len(recipe) for recipe in RECIPES.values())
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["``crop_scale``"]["``simclr``"] == "0.08 to 1"
    assert by_name["``rotation_deg``"]["``medical_gray``"] == "10"


def test_the_defaults_table_shows_the_defaults_of_fit(tables, cells):
    rows = cells(tables.defaults_table())[1:]
    by_set = {(row[0], row[1]): row[2:] for row in rows}
    assert by_set["cpu", "100"] == ["16", "143", "7", "64"]  # 7 steps per epoch
    assert by_set["cuda", "100,000"][0] == "256"  # the maximum
