"""The pages of the documentation: their examples run, their tables are right."""

import doctest
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

from skssl.augment import RECIPES
from skssl.pretext import MethodCard, SimCLR, _base, get_pretext, list_pretexts

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [DOCS / "index.rst", *sorted((DOCS / "user_guide").glob("*.rst"))]
PAGES = [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "_ext/tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(table):
    """Return the rows of a list-table, each a list of cells."""
    rows = table.split("\n   * - ")[1:]
    return [[cell.strip() for cell in row.split("\n     - ")] for row in rows]


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


def test_every_pretext_has_its_row_and_its_section(tables):
    header, *rows = cells(tables.method_table())
    assert len(rows) == len(list_pretexts())
    for name, row in zip(list_pretexts(), rows, strict=True):
        card = type(get_pretext(name)).card
        assert len(row) == len(header)
        assert f"``{name!r}``" in row[0]
        assert row[-1] == card.advice
        assert f".. autoclass:: skssl.pretext.{type(get_pretext(name)).__name__}" in (
            tables.method_sections()
        )


def test_a_new_pretext_appears_by_itself(tables, monkeypatch):
    monkeypatch.setattr(_base, "_REGISTRY", dict(_base._REGISTRY))

    class Later(SimCLR):
        name = "aa_later"
        card = MethodCard("Later", "A 2030", "10.1/x", 3, "none", True, "Never yet.")

    first = cells(tables.method_table())[1]
    assert first == [
        f"`Later <{Later.__module__}.Later>`, ``'aa_later'``",
        "A 2030, :doi:`10.1/x`",
        "3",
        "none",
        "yes",
        "``simclr``",
        "Never yet.",
    ]
    assert tables.method_sections().startswith("Later\n-----\n")


def test_the_recipe_table_shows_what_the_recipes_set(tables):
    header, *rows = cells(tables.recipe_table())
    assert header[1:] == [f"``{name}``" for name in RECIPES]
    n_set = sum(cell != "" for row in rows for cell in row[1:])
    assert n_set == sum(len(recipe) for recipe in RECIPES.values())
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert by_name["``crop_scale``"]["``simclr``"] == "0.08 to 1"
    assert by_name["``rotation_deg``"]["``medical_gray``"] == "10"


def test_the_defaults_table_shows_what_fit_takes(tables):
    rows = cells(tables.defaults_table())[1:]
    by_set = {(row[0], row[1]): row[2:] for row in rows}
    assert by_set["cpu", "100"] == ["16", "143", "7", "64"]  # 7 steps an epoch
    assert by_set["cuda", "100,000"][0] == "256"  # the most


def gain_row(seed, features, test, **more):
    interval = {"test_low": test - 0.05, "test_high": test + 0.05}
    return {"seed": seed, "features": features, "cv": 0.5, "test": test} | (
        interval | more
    )


def test_gains_are_differences_within_a_seed(tables, tmp_path):
    training = {"loss": [3.0, 2.0], "batch_size": 64}
    rows = [
        gain_row(0, "untrained", 0.70, pretraining_seconds=1.0),
        gain_row(0, "simclr", 0.80, pretraining_seconds=40.0, **training),
        gain_row(1, "untrained", 0.74, pretraining_seconds=1.0),
        gain_row(1, "simclr", 0.80, pretraining_seconds=60.0, **training),
    ]
    measured = {"environment": {"device": "cpu"}, "study": "toy", "rows": rows}
    (tmp_path / "gain_toy.json").write_text(json.dumps(measured))
    text = tables.gain_tables(tmp_path)
    assert ".. rubric:: toy" in text
    assert "Measured with: ``device cpu``." in text
    assert cells(text)[2] == [
        "simclr",
        "2 × 64",
        "0.500 ± 0.000",
        "0.800 [0.750, 0.850]; 0.800 [0.750, 0.850]",
        "0.800 ± 0.000",
        "+0.080 ± 0.020",  # of 0.10 and 0.06
        "50",
    ]


def test_speeds_are_read_from_their_files(tables, tmp_path):
    settings = {"pretext": "moco", "backbone": "resnet18", "size": 112, "batch": 64}
    measured = {
        "environment": {"threads": 2},
        "settings": settings,
        "medians": {"skssl": 150.0},
        "ratios": {"skssl / bare step, auto": 0.9512},
    }
    (tmp_path / "bench_pretrain_moco.json").write_text(json.dumps(measured))
    text = tables.speed_tables(tmp_path)
    assert ".. rubric:: moco, resnet18, 112 px, batch 64" in text
    assert cells(text)[1:] == [["skssl", "150"], ["skssl / bare step, auto", "0.9512"]]


def test_without_measurements_the_page_says_so(tables, tmp_path):
    assert tables.gain_tables(tmp_path) == "Not measured yet.\n"
    assert tables.speed_tables(tmp_path / "absent") == "Not measured yet.\n"
