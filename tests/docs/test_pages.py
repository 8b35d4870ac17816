"""The pages of the documentation: their examples run, their tables are right."""

import doctest
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from skssl.augment import RECIPES
from skssl.pretext import ContrastiveTask, _base, list_pretexts

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "index.rst", *sorted((DOCS / "user_guide").glob("*.rst"))]
PAGES = [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")]


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
    said = []
    result = runner.run(examples, out=said.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(said)


def test_the_api_page_lists_public_names():
    module, n_names = None, 0
    for line in (DOCS / "api.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = importlib.import_module(line.split()[-1])
        elif re.fullmatch(r"   \w+", line):
            assert line.strip() in module.__all__
            n_names += 1
    assert n_names > 50


def test_the_guide_names_each_method_in_its_family():
    text = (DOCS / "user_guide" / "methods.rst").read_text(encoding="utf-8")
    families = text.split("\nFamilies\n")[1].split("\nWhat each needs\n")[0]
    linked = re.findall(r"<methods/(\w+)>", families)
    assert sorted(linked) == list_pretexts()


def test_the_guide_names_the_methods_that_ask_for_patients():
    text = (DOCS / "user_guide" / "patients.rst").read_text(encoding="utf-8")
    said = text.split("\nis a parameter of ")[1].split(";")[0]
    kinds = _base.REGISTRY.values()
    asking = {k.__name__ for k in kinds if issubclass(k, ContrastiveTask)}
    assert set(re.findall(r"[A-Z]\w+", said)) == asking


def test_all_that_pages_include_is_written(tables, tmp_path):
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


def test_the_recipe_table_shows_what_the_recipes_set(tables, cells):
    header, *rows = cells(tables.recipe_table())
    assert header[1:] == [f"``{name}``" for name in RECIPES]
    n_set = sum(cell != "" for row in rows for cell in row[1:])
    assert n_set == sum(len(recipe) for recipe in RECIPES.values())
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["``crop_scale``"]["``simclr``"] == "0.08 to 1"
    assert by_name["``rotation_deg``"]["``medical_gray``"] == "10"


def test_the_defaults_table_shows_what_fit_takes(tables, cells):
    rows = cells(tables.defaults_table())[1:]
    by_set = {(row[0], row[1]): row[2:] for row in rows}
    assert by_set["cpu", "100"] == ["16", "143", "7", "64"]  # 7 steps an epoch
    assert by_set["cuda", "100,000"][0] == "256"  # the most
