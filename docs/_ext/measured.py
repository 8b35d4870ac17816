"""Tables of the results in ``benchmarks/results``."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from list_tables import list_table

from benchmarks._spread import mean_and_spread

NOT_MEASURED = "Not measured yet.\n"


def gain_tables(results: Path) -> str:
    """Return a table for each ``gain_*.json`` of ``benchmarks/bench_gain.py``."""
    return _study_tables(results, "gain_*.json", _gain_table)


def comparison_tables(results: Path) -> str:
    """Return a table for each ``methods_*.json`` of ``benchmarks/bench_methods.py``."""
    return _study_tables(results, "methods_*.json", _comparison_table)


def speed_tables(results: Path) -> str:
    """Return a table for each ``bench_pretrain*.json`` of that benchmark."""
    tables = []
    for measured in read_results(results, "bench_pretrain*.json"):
        settings = measured["settings"]
        values = {**measured["medians"], **measured["ratios"]}
        tables.append(
            f".. rubric:: {settings['pretext']}, {settings['backbone']}, "
            f"{settings['size']} px, batch {settings['batch']}\n\n"
            f"{circumstances(measured)}\n\n"
            + list_table(
                ("Metric (images per second unless noted)", "Median"),
                ((name, f"{value:.4g}") for name, value in values.items()),
            )
        )
    return "\n".join(tables) or NOT_MEASURED


def search_tables(results: Path) -> str:
    """Return a table for each ``bench_search*.json`` of that benchmark."""
    tables = []
    for measured in read_results(results, "bench_search*.json"):
        lines = [
            (
                f"{row['way']}, run {row['run']}",
                row["pretrainings"],
                row["encoded"],
                f"{row['seconds']:.0f}",
                f"{row['seconds'] / row['pretraining_seconds']:.3f}"
                if row["pretrainings"]
                else "",
            )
            for row in measured["rows"]
        ]
        header = (
            "Search",
            "Pretrainings",
            "Encoded images",
            "Seconds",
            "Time relative to the pretrainings",
        )
        tables.append(f"{list_table(header, lines)}\n\n{circumstances(measured)}")
    return "\n\n".join(tables) or NOT_MEASURED


def transfer_tables(results: Path) -> str:
    """Return a table for each network of ``transfer_*.json``."""
    tables = []
    for measured in read_results(results, "transfer_*.json"):
        rows = measured["rows"]
        for network in dict.fromkeys(row["network"] for row in rows):
            selected = [row for row in rows if row["network"] == network]
            tables.append(f".. rubric:: {network}\n\n{_transfer_table(selected)}")
        tables.append(circumstances(measured))
    return "\n\n".join(tables) or NOT_MEASURED


def _transfer_table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name in dict.fromkeys(row["run"] for row in rows):
        runs = [row for row in rows if row["run"] == name]
        accuracies = (
            f"{row['accuracy']:.3f} ± {row['accuracy_half_width']:.3f}" for row in runs
        )
        means = (
            mean_and_spread([row[metric] for row in runs])
            for metric in ("accuracy", "balanced_accuracy", "auc", "f1")
        )
        flip_accuracy = _mean(runs, "flip_accuracy", ".3f")
        lines.append((name, "; ".join(accuracies), *means, flip_accuracy))
    header = (
        "Initialisation",
        "Accuracy ± 95 %, each seed",
        "Accuracy",
        "Balanced accuracy",
        "AUC",
        "F1",
        "Flip accuracy",
    )
    return list_table(header, lines)


def scratch_tables(results: Path) -> str:
    """Return the cross-validation and test results of each ``scratch_*.json``."""
    tables = []
    for measured in read_results(results, "scratch_*.json"):
        ranked = sorted(measured["cross_validation"], key=lambda row: -row["auc"])
        chosen = list_table(
            ("Procedure", "Cross-validated AUC", "Minutes"),
            (
                (
                    row["procedure"],
                    f"{row['auc']:.3f} ± {row['sd']:.3f}",
                    f"{row['seconds'] / 60:.0f}",
                )
                for row in ranked
            ),
        )
        rows = measured["test"]
        tested = [
            [row for row in rows if row["procedure"] == name]
            for name in dict.fromkeys(row["procedure"] for row in rows)
        ]
        lines = [
            (
                runs[0]["procedure"],
                each_seed(runs, "auc"),
                mean_and_spread([run["auc"] for run in runs]),
                mean_and_spread([run["accuracy"] for run in runs]),
            )
            for runs in tested
        ]
        header = ("Procedure", "Test AUC [95 %], each seed", "Test AUC", "Accuracy")
        tables.append(f".. rubric:: Cross-validation on train and val\n\n{chosen}")
        if lines:
            tables.append(f".. rubric:: Test split\n\n{list_table(header, lines)}")
        tables.append(circumstances(measured))
    return "\n\n".join(tables) or NOT_MEASURED


def read_results(results: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """Yield the content of the results files that match a pattern."""
    for path in sorted(results.glob(pattern)):
        yield json.loads(path.read_text(encoding="utf-8"))


def _study_tables(
    results: Path,
    pattern: str,
    make_table: Callable[[list[dict[str, Any]]], str],
) -> str:
    tables = [
        f".. rubric:: {measured['study']}\n\n"
        f"{circumstances(measured)}\n\n{make_table(measured['rows'])}"
        for measured in read_results(results, pattern)
    ]
    return "\n".join(tables) or NOT_MEASURED


def _gain_table(rows: list[dict[str, Any]]) -> str:
    untrained = {r["seed"]: r["test"] for r in rows if r["features"] == "untrained"}
    lines = []
    for name, runs in _by_features(rows):
        gains = [
            r["test"] - untrained[r["seed"]] for r in runs if r["seed"] in untrained
        ]
        training = [
            f"{len(r['loss'])} × {r['batch_size']}" for r in runs if "loss" in r
        ]
        lines.append(
            (
                name,
                training[0] if training else "",
                mean_and_spread([row["cv"] for row in runs]),
                each_seed(runs),
                mean_and_spread([row["test"] for row in runs]),
                mean_and_spread(gains, sign="+") if gains else "",
                _mean(runs, "pretraining_seconds", ".0f"),
            )
        )
    header = (
        "Features",
        "Epochs × batch size",
        "Cross-validation",
        "Test [95 % interval], each seed",
        "Test",
        "Gain over untrained",
        "Pretraining, seconds",
    )
    return list_table(header, lines)


def _comparison_table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name, runs in _by_features(rows):
        gained = [row for row in runs if "gain" in row]  # controls have no gain
        n_clear = sum(row["gain_low"] > 0 for row in gained)
        lines.append(
            (
                name,
                each_seed(runs),
                mean_and_spread([row["test"] for row in runs]),
                each_seed(gained, "gain", sign="+"),
                mean_and_spread([r["gain"] for r in gained], "+") if gained else "",
                f"{n_clear} of {len(gained)}" if gained else "",
                _mean(runs, "rankme", ".1f"),
                _mean(runs, "images_per_second", ".0f"),
                _mean(runs, "peak_ram_gb", ".2f"),
            )
        )
    header = (
        "Features",
        "AUC [95 % interval], each seed",
        "AUC",
        "Gain over the stronger control [95 % interval], each seed",
        "Gain",
        "Seeds with interval above 0",
        "Effective rank",
        "Images per second",
        "Peak memory, GB",
    )
    return list_table(header, lines)


def _by_features(
    rows: list[dict[str, Any]],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the rows of each kind of features, in the order of the file."""
    for name in dict.fromkeys(row["features"] for row in rows):
        yield name, [row for row in rows if row["features"] == name]


def each_seed(rows: list[dict[str, Any]], name: str = "test", sign: str = "") -> str:
    """Return a metric of each row with its interval."""
    triples = ([row[name + end] for end in ("", "_low", "_high")] for row in rows)
    return "; ".join(
        f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
        for value, low, high in triples
    )


def _mean(rows: list[dict[str, Any]], metric: str, form: str) -> str:
    """Return the mean over the rows that have a metric, empty if none has."""
    values = [row[metric] for row in rows if metric in row]
    return format(fmean(values), form) if values else ""


def circumstances(measured: dict[str, Any]) -> str:
    """Return the settings and the environment of a measurement."""
    lines = []
    for title, key in (("Settings", "settings"), ("Environment", "environment")):
        items = measured.get(key, {}).items()
        text = ", ".join(
            f"{name} {value}" for name, value in items if value is not None
        )
        if text:
            lines.append(f"{title}: ``{text}``.")
    return "\n\n".join(lines)
