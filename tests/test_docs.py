"""The pages of the documentation: their examples run, their tables are right."""

import doctest
import importlib
import json
import re
from inspect import getdoc
from pathlib import Path
from types import SimpleNamespace

import pytest

from skssl.augment import RECIPES
from skssl.pretext import (
    ContrastiveTask,
    MethodCard,
    MoCo,
    SimCLR,
    _base,
    get_pretext,
    list_pretexts,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = [DOCS / "index.rst", *sorted((DOCS / "user_guide").glob("*.rst"))]
PAGES = [page for page in PAGES if ">>>" in page.read_text(encoding="utf-8")]


@pytest.fixture
def extension(monkeypatch):
    """Return what imports a module of ``docs/_ext``."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module


@pytest.fixture
def tables(extension):
    return extension("tables")


@pytest.fixture
def pages(extension):
    return extension("method_pages")


@pytest.fixture
def measured(extension):
    return extension("measured")


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


def test_every_pretext_has_its_rows(pages):
    needs, advice, optimizers = (
        cells(table())
        for table in (pages.needs_table, pages.advice_table, pages.optimizer_table)
    )
    n = len(list_pretexts())
    assert len(needs) == len(advice) == len(optimizers) == 1 + n >= 18
    for name, need, advised, optimizer in zip(
        list_pretexts(), needs[1:], advice[1:], optimizers[1:], strict=True
    ):
        task = get_pretext(name)
        card = task.card
        link = f":doc:`{card.title} </user_guide/methods/{name}>`, ``{name!r}``"
        assert [need[0], advised[0], optimizer[0]] == [link] * 3
        assert need[1:5] == [
            str(card.n_views),
            "yes" if card.compares_batch else "no",
            card.keeps,
            "yes" if card.momentum_encoder else "no",
        ]
        assert len(need) == len(needs[0])
        assert advised[1:] == [f"{card.paper}, :doi:`{card.doi}`", card.advice]
        assert optimizer[1] == f"``{task.default_optimizer}``"
        if task.default_lr is not None:
            assert float(optimizer[2]) == task.default_lr


def test_the_cards_agree_with_what_is_built(pages):
    """Copies where there is a momentum encoder, features where something is kept."""
    for name in list_pretexts():
        task = get_pretext(name)
        numbers = pages.count_numbers(task)
        assert numbers.heads > 0, name
        assert (numbers.copies > 0) == task.card.momentum_encoder, name
        assert (numbers.kept > 0) == (task.card.keeps != "nothing"), name


def test_the_numbers_of_moco_by_hand(pages):
    # ResNet-18 with one channel, without its head of 1,000 classes
    backbone = 11_689_512 - 2 * 64 * 7 * 7 - (512 * 1000 + 1000)
    projector = 512 * 2048 + 2048 + 2 * 2048 + 2048 * 128 + 128
    queue = 4 * 32 * 128
    assert pages.count_numbers(MoCo()) == (projector, backbone + projector, queue)
    row = next(row for row in cells(pages.needs_table()) if "'moco'" in row[0])
    assert row[5:] == ["1.32", "12.49", "0.02", "any"]


def test_optimizers_without_a_rate_of_the_pretext_show_their_own(pages):
    assert SimCLR.default_lr is None
    assert pages.peak_lr(SimCLR()) == 1e-3


@pytest.mark.parametrize("name", list_pretexts())
def test_every_pretext_has_a_page_with_its_equation(pages, name):
    task = get_pretext(name)
    page = pages.method_page(name)
    title = task.card.title
    assert page.startswith(f"{title}\n{'=' * len(title)}\n")
    assert f".. autoclass:: skssl.pretext.{type(task).__name__}\n" in page
    assert task.card.advice in page
    assert ".. math::" in getdoc(type(task))
    assert f'``optimizer="auto"`` is ``{task.default_optimizer}``' in page
    for refused, reason in task.forbidden_augmentations.items():
        assert f"- ``{refused}``, since {reason}." in page


def test_a_page_says_what_auto_leaves_out_and_what_is_settled(pages):
    flip, moco = pages.method_page("flip"), pages.method_page("moco")
    assert "is ``medical_gray`` without ``horizontal_flip`` for images of one" in flip
    assert "and ``cross`` without ``horizontal_flip`` for others." in flip
    assert "For 500 images" not in flip
    assert "and ``moco_v2`` for others." in moco
    settled = "For 500 images of 64 × 64 px in batches of 32: ``queue_size=128``."
    assert settled in moco


def test_pages_of_methods_that_are_gone_go(pages, tmp_path):
    (tmp_path / "gone.rst").write_text("x")
    pages.write_method_pages(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == list_pretexts()


def test_a_new_pretext_appears_by_itself(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(_base, "REGISTRY", _base.REGISTRY | {})
    monkeypatch.setattr("skssl.pretext._registry.REGISTRY", _base.REGISTRY)

    class Later(SimCLR):
        name = "aa_later"
        default_optimizer = "sgd"
        forbidden_augmentations = {"blur": "it is late"}
        card = MethodCard(
            title="Later",
            paper="A 2030",
            doi="10.1/x",
            n_views=3,
            compares_batch=False,
            keeps="nothing",
            momentum_encoder=True,
            advice="Never yet.",
            backbones="any size",
        )

    link = ":doc:`Later </user_guide/methods/aa_later>`, ``'aa_later'``"
    assert cells(pages.needs_table())[1] == [
        *(link, "3", "no", "nothing", "yes"),
        *("1.32", "0.00", "0.00", "all but CRNet"),
    ]
    advice = cells(pages.advice_table())[1]
    assert advice == [link, "A 2030, :doi:`10.1/x`", "Never yet."]
    assert cells(pages.optimizer_table())[1] == [link, "``sgd``", "0.03"]
    pages.write_method_pages(tmp_path)
    page = (tmp_path / "aa_later.rst").read_text(encoding="utf-8")
    assert page.startswith("Later\n=====\n")
    assert f".. autoclass:: {Later.__module__}.Later\n" in page
    assert "``medical_gray`` without ``blur``" in page
    assert "- ``blur``, since it is late." in page


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


def test_gains_are_differences_within_a_seed(measured, tmp_path):
    training = {"loss": [3.0, 2.0], "batch_size": 64}
    rows = [
        gain_row(0, "untrained", 0.70, pretraining_seconds=1.0),
        gain_row(0, "simclr", 0.80, pretraining_seconds=40.0, **training),
        gain_row(1, "untrained", 0.74, pretraining_seconds=1.0),
        gain_row(1, "simclr", 0.80, pretraining_seconds=60.0, **training),
    ]
    study = {"environment": {"device": "cpu"}, "study": "toy", "rows": rows}
    (tmp_path / "gain_toy.json").write_text(json.dumps(study))
    text = measured.gain_tables(tmp_path)
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


def comparison_row(seed, features, test, gain=None, **more):
    figures = {"test": test} if gain is None else {"test": test, "gain": gain}
    for name, value in list(figures.items()):
        figures |= {f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}
    return {"seed": seed, "features": features} | figures | more


def test_methods_are_compared_with_the_gain_of_each_seed(measured, tmp_path):
    def trained(rank, speed, memory):
        return {"rankme": rank, "images_per_second": speed, "peak_ram_gb": memory}

    rows = [
        comparison_row(0, "raw pixels (PCA)", 0.60),
        comparison_row(0, "untrained", 0.70, rankme=8.0, peak_ram_gb=1.0),
        comparison_row(0, "byol", 0.80, 0.10, **trained(20.0, 100.0, 1.5)),
        comparison_row(1, "raw pixels (PCA)", 0.74),
        comparison_row(1, "untrained", 0.70, rankme=9.0, peak_ram_gb=1.0),
        comparison_row(1, "byol", 0.80, 0.06, **trained(21.0, 300.0, 1.7)),
        comparison_row(2, "mae", 0.75, -0.02),
    ]
    study = {"study": "toy", "settings": {"max_epochs": 20}, "rows": rows}
    (tmp_path / "methods_toy.json").write_text(json.dumps(study))
    text = measured.comparison_tables(tmp_path)
    assert ".. rubric:: toy" in text
    assert "Settings: ``max_epochs 20``." in text
    by_name = {row[0]: row for row in cells(text)[1:]}
    assert list(by_name) == ["raw pixels (PCA)", "untrained", "byol", "mae"]
    assert by_name["byol"] == [
        "byol",
        "0.800 [0.750, 0.850]; 0.800 [0.750, 0.850]",
        "0.800 ± 0.000",
        "+0.100 [+0.050, +0.150]; +0.060 [+0.010, +0.110]",
        "+0.080 ± 0.020",
        "20.5",
        "200",
        "1.60",
    ]
    assert by_name["raw pixels (PCA)"][2:] == ["0.670 ± 0.070"] + [""] * 5
    assert by_name["untrained"][3:] == ["", "", "8.5", "", "1.00"]
    assert by_name["mae"][3:] == ["-0.020 [-0.070, +0.030]", "-0.020", "", "", ""]


def test_speeds_are_read_from_their_files(measured, tmp_path):
    settings = {"pretext": "moco", "backbone": "resnet18", "size": 112, "batch": 64}
    benchmark = {
        "environment": {"threads": 2},
        "settings": settings,
        "medians": {"skssl": 150.0},
        "ratios": {"skssl / bare step, auto": 0.9512},
    }
    (tmp_path / "bench_pretrain_moco.json").write_text(json.dumps(benchmark))
    text = measured.speed_tables(tmp_path)
    assert ".. rubric:: moco, resnet18, 112 px, batch 64" in text
    assert cells(text)[1:] == [["skssl", "150"], ["skssl / bare step, auto", "0.9512"]]


def test_without_measurements_the_page_says_so(measured, tmp_path):
    assert measured.gain_tables(tmp_path) == "Not measured yet.\n"
    assert measured.comparison_tables(tmp_path) == "Not measured yet.\n"
    assert measured.speed_tables(tmp_path / "absent") == "Not measured yet.\n"
