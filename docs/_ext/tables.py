"""Tables of the user guide that come from the package and from measured files.

They are written before Sphinx reads the pages that include them. A newly registered
pretext, a new recipe and a new measurement appear by themselves.
"""

import json
from collections.abc import Iterable
from inspect import signature
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch

from skssl import pretext
from skssl._defaults import (
    default_batch_size,
    default_max_epochs,
    default_warmup_epochs,
)
from skssl.augment import RECIPES, Augmentation
from skssl.pretext import MoCo, get_pretext, list_pretexts

NOT_MEASURED = "Not measured yet.\n"


def list_table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a reStructuredText table; the cells are reStructuredText too."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        for i, cell in enumerate(row):
            lines.append(f"   {'*' if i == 0 else ' '} - {cell}")
    return "\n".join(lines) + "\n"


def method_table() -> str:
    """Return one row for each registered pretext, sorted by name."""
    rows = []
    for name in list_pretexts():
        task = type(get_pretext(name))
        card = task.card
        rows.append(
            (
                f"`{card.title} <{_public_name(task)}>`, ``{name!r}``",
                f"{card.paper}, :doi:`{card.doi}`",
                card.n_views,
                card.negatives,
                "yes" if card.momentum_encoder else "no",
                f"``{task.default_augmentation}``",
                card.advice,
            )
        )
    header = (
        "Method",
        "Paper",
        "Views",
        "Negatives",
        "Momentum encoder",
        "Recipe for colour",
        "Advice",
    )
    return list_table(header, rows)


def method_sections() -> str:
    """Return a section with the docstring of each registered pretext."""
    sections = []
    for name in list_pretexts():
        task = type(get_pretext(name))
        title = task.card.title
        directive = f".. autoclass:: {_public_name(task)}"
        sections.append(f"{title}\n{'-' * len(title)}\n\n{directive}\n")
    return "\n".join(sections)


def recipe_table() -> str:
    """Return one column for each recipe, one row for each parameter that any sets."""
    parameters = [
        name
        for name in signature(Augmentation).parameters
        if any(name in recipe for recipe in RECIPES.values())
    ]
    rows = [
        (
            f"``{name}``",
            *(_number(r[name]) if name in r else "" for r in RECIPES.values()),
        )
        for name in parameters
    ]
    return list_table(("", *(f"``{name}``" for name in RECIPES)), rows)


def defaults_table() -> str:
    """Return the derived settings of sets of some sizes, images of 112 px."""
    rows = []
    for device in ("cpu", "cuda"):
        for n in (100, 500, 2000, 10_000, 100_000):
            batch = default_batch_size(n, (112, 112), torch.device(device))
            epochs = default_max_epochs(n, batch)
            moco = MoCo().resolve(n_images=n, n_channels=1, batch_size=batch)
            warmup = default_warmup_epochs(epochs)
            rows.append((device, f"{n:,}", batch, epochs, warmup, moco.queue_size))
    header = ("Device", "Images", "Batch", "Epochs", "Warm-up epochs", "MoCo's queue")
    return list_table(header, rows)


def gain_tables(results: Path) -> str:
    """Return a table for each ``gain_*.json`` of ``benchmarks/bench_gain.py``."""
    tables = []
    for path in sorted(results.glob("gain_*.json")):
        measured = json.loads(path.read_text(encoding="utf-8"))
        tables.append(
            f".. rubric:: {measured['study']}\n\n"
            f"{_circumstances(measured)}\n\n{_gain_table(measured['rows'])}"
        )
    return "\n".join(tables) or NOT_MEASURED


def _gain_table(rows: list[dict[str, Any]]) -> str:
    untrained = {r["seed"]: r["test"] for r in rows if r["features"] == "untrained"}
    lines = []
    for name in dict.fromkeys(row["features"] for row in rows):
        mine = [row for row in rows if row["features"] == name]
        gains = [
            r["test"] - untrained[r["seed"]] for r in mine if r["seed"] in untrained
        ]
        seconds = [r["pretraining_seconds"] for r in mine if "pretraining_seconds" in r]
        training = [
            f"{len(r['loss'])} × {r['batch_size']}" for r in mine if "loss" in r
        ]
        each = (
            f"{r['test']:.3f} [{r['test_low']:.3f}, {r['test_high']:.3f}]" for r in mine
        )
        lines.append(
            (
                name,
                training[0] if training else "",
                _mean_and_spread([row["cv"] for row in mine]),
                "; ".join(each),
                _mean_and_spread([row["test"] for row in mine]),
                _mean_and_spread(gains, sign="+") if gains else "",
                f"{fmean(seconds):.0f}" if seconds else "",
            )
        )
    header = (
        "Features",
        "Epochs × batch",
        "Cross-validation",
        "Test [95 % interval], each seed",
        "Test",
        "Gain over untrained",
        "Seconds",
    )
    return list_table(header, lines)


def speed_tables(results: Path) -> str:
    """Return a table for each ``bench_pretrain*.json`` of that benchmark."""
    tables = []
    for path in sorted(results.glob("bench_pretrain*.json")):
        measured = json.loads(path.read_text(encoding="utf-8"))
        settings = measured["settings"]
        figures = {**measured["medians"], **measured["ratios"]}
        tables.append(
            f".. rubric:: {settings['pretext']}, {settings['backbone']}, "
            f"{settings['size']} px, batch {settings['batch']}\n\n"
            f"{_circumstances(measured)}\n\n"
            + list_table(
                ("Images a second, unless said otherwise", "Median"),
                ((name, f"{value:.4g}") for name, value in figures.items()),
            )
        )
    return "\n".join(tables) or NOT_MEASURED


def _circumstances(measured: dict[str, Any]) -> str:
    """Return settings and environment of a measurement as a sentence each."""
    said = []
    for what in ("settings", "environment"):
        items = measured.get(what, {}).items()
        said.append(", ".join(f"{k} {v}" for k, v in items if v is not None))
    return "\n\n".join(
        f"{what}: ``{text}``."
        for what, text in zip(("Settings", "Measured with"), said, strict=True)
        if text
    )


def _mean_and_spread(values: list[float], sign: str = "") -> str:
    return f"{fmean(values):{sign}.3f} ± {pstdev(values):.3f}"


def _number(value: float | tuple[float, float]) -> str:
    """Return a number, or a pair of them, short enough for a cell."""
    if isinstance(value, tuple):
        return " to ".join(f"{bound:.3g}" for bound in value)
    return f"{value:.3g}"


def _public_name(task: type) -> str:
    """Return where users import a task from; a task of their own has its module."""
    offered = getattr(pretext, task.__name__, None) is task
    return f"{'skssl.pretext' if offered else task.__module__}.{task.__name__}"


def write_tables(app: Any) -> None:
    """Write all tables to ``user_guide/_generated``."""
    source = Path(app.srcdir)
    results = source.parent / "benchmarks" / "results"
    folder = source / "user_guide" / "_generated"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "methods": method_table(),
        "method_sections": method_sections(),
        "recipes": recipe_table(),
        "defaults": defaults_table(),
        "gains": gain_tables(results),
        "speeds": speed_tables(results),
    }
    for name, text in texts.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
