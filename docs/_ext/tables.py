"""Parts of the user guide that are generated from the package and from result files.

They are written before Sphinx reads the pages that include them. New pretexts, recipes
and measurements appear automatically.
"""

from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from audited import audit_tables
from list_tables import list_table
from measured import (
    comparison_tables,
    gain_tables,
    scratch_tables,
    search_tables,
    speed_tables,
    transfer_tables,
)
from method_pages import (
    advice_table,
    contrastive_list,
    needs_table,
    optimizer_table,
    write_method_pages,
)
from published import paper_tables
from trained import precision_table, weights_tables

from benchmarks.papers.__main__ import PAPERS
from skssl._pretrain.defaults import (
    default_batch_size,
    default_max_epochs,
    default_warmup_epochs,
)
from skssl.augment import RECIPES, Augmentation
from skssl.engine import PHASES, Phase
from skssl.pretext import MoCo, TrainingInfo


def recipe_table() -> str:
    """Return one column per recipe, and one row per parameter that any recipe sets."""
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
    """Return the default settings for sets of several sizes, with images of 112 px."""
    rows = []
    for device in ("cpu", "cuda"):
        for n in (100, 500, 2000, 10_000, 100_000):
            batch = default_batch_size(n, (112, 112), torch.device(device))
            epochs = default_max_epochs(n, batch)
            info = TrainingInfo(n, 1, (112, 112), batch, epochs)
            queue = MoCo().resolve(info).queue_size
            warmup = default_warmup_epochs(epochs)
            rows.append((device, f"{n:,}", batch, epochs, warmup, queue))
    header = (
        *("Device", "Images", "Batch size", "Epochs", "Warm-up epochs"),
        "Queue of MoCo",
    )
    return list_table(header, rows)


def phases_table() -> str:
    """Return one row per phase of each named list."""
    rows = []
    for name, phases in PHASES.items():
        for i, phase in enumerate(phases, start=1):
            first_cells = (f"``{name}``" if i == 1 else "", i, phase.train)
            optimizer = phase.optimizer
            if callable(optimizer):
                optimizer = f"``torch.optim.{optimizer.__name__}``"
            numbers = (f"{phase.lr:g}", phase.epochs, phase.batch_size)
            rows.append((*first_cells, optimizer, *numbers, _other_settings(phase)))
    header = (
        *("Name", "Phase", "Trains", "Optimizer", "Learning rate", "Epochs"),
        *("Batch size", "Other settings"),
    )
    return list_table(header, rows)


def _other_settings(phase: Phase) -> str:
    """Return schedule, warm-up and decays of a phase, where it has any."""
    schedule = phase.schedule
    if isinstance(schedule, partial):
        schedule = f"{schedule.keywords['n_periods']} × cosine"
    settings = [] if schedule == "constant" else [schedule]
    for name in ("warmup", "layer_decay", "weight_decay"):
        value = getattr(phase, name)
        if value != {"warmup": 0, "layer_decay": 1, "weight_decay": 0}[name]:
            settings.append(f"{name} {value:g}")
    return ", ".join(settings)


def _number(value: float | tuple[float, float]) -> str:
    """Format a number or a range for a table cell."""
    if isinstance(value, tuple):
        return " to ".join(f"{bound:.3g}" for bound in value)
    return f"{value:.3g}"


def write_tables(app: Any) -> None:
    """Write ``user_guide/_generated`` and ``user_guide/methods``."""
    source = Path(app.srcdir)
    results = source.parent / "benchmarks" / "results"
    folder = source / "user_guide" / "_generated"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "method_needs": needs_table(),
        "method_advice": advice_table(),
        "contrastive_methods": contrastive_list(),
        "optimizers": optimizer_table(),
        "recipes": recipe_table(),
        "defaults": defaults_table(),
        "phases": phases_table(),
        "searches": search_tables(results),
        "audits": audit_tables(results),
        "transfers": transfer_tables(results),
        "scratch": scratch_tables(results),
        **{paper: paper_tables(results, paper) for paper in PAPERS},
        "gains": gain_tables(results),
        "comparisons": comparison_tables(results),
        "speeds": speed_tables(results),
        "weights": weights_tables(results),
        "precision": precision_table(results),
    }
    for stale in folder.glob("*.rst"):
        stale.unlink()
    for name, text in texts.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")
    write_method_pages(source / "user_guide" / "methods")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True}
