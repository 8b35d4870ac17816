"""Tables of results that start from trained weights."""

from pathlib import Path
from typing import Any

from list_tables import list_table
from measured import NOT_MEASURED, circumstances, each_seed, read_results

from benchmarks._spread import mean_and_spread

_PRETEXTS = {"none": "none", "simclr": "SimCLR", "moco": "MoCo"}


def weights_tables(results: Path) -> str:
    """Return the tables of ``weights_*.json`` of ``benchmarks/bench_weights.py``."""
    tables = []
    for measured in read_results(results, "weights_*.json"):
        rows = measured["test"]
        keys = dict.fromkeys((row["procedure"], row["start"]) for row in rows)
        lines = [
            (
                f"{procedure}, {start}",
                each_seed(runs, "auc"),
                mean_and_spread([run["auc"] for run in runs]),
                mean_and_spread([run["accuracy"] for run in runs]),
            )
            for procedure, start in keys
            for runs in [
                [r for r in rows if (r["procedure"], r["start"]) == (procedure, start)]
            ]
        ]
        header = ("Training, weights", "Test AUC [95 %], each seed", "AUC", "Accuracy")
        tables.append(list_table(header, lines))
        if measured.get("cross_validation"):
            tables.append(_fold_table(measured["cross_validation"]))
        tables.append(circumstances(measured))
    return "\n\n".join(tables) or NOT_MEASURED


def _fold_table(rows: list[dict[str, Any]]) -> str:
    """Return the AUC of each pretext over folds, and its gain over none."""
    plain = {(r["seed"], r["fold"]): r["auc"] for r in rows if r["pretext"] == "none"}
    lines = []
    for pretext in dict.fromkeys(row["pretext"] for row in rows):
        runs = [row for row in rows if row["pretext"] == pretext]
        gains = [run["auc"] - plain[run["seed"], run["fold"]] for run in runs]
        gain = "" if pretext == "none" else mean_and_spread(gains, "+")
        aucs = mean_and_spread([run["auc"] for run in runs])
        lines.append((_PRETEXTS[pretext], aucs, gain, len(runs)))
    header = ("Pretext after ImageNet", "AUC over folds", "Gain in the same fold")
    return list_table((*header, "Folds"), lines)


def precision_table(results: Path) -> str:
    """Return the table of ``bench_precision.json``."""
    tables = []
    for measured in read_results(results, "bench_precision*.json"):
        lines = [
            (
                row["network"].removeprefix("timm/"),
                row["px"],
                f"{row['ratio']:.2f}",
                f"{row['depthwise']:.2f}",
                row["auto"],
            )
            for row in measured["rows"]
        ]
        header = (
            "Network",
            "Image size, px",
            "Speed of bfloat16 relative to float32",
            "Depthwise fraction",
            '``"auto"``',
        )
        tables.append(f"{list_table(header, lines)}\n\n{circumstances(measured)}")
    return "\n\n".join(tables) or NOT_MEASURED
