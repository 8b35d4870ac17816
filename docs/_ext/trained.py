"""Tables of results that start from trained weights."""

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from list_tables import list_table
from measured import NOT_MEASURED, circumstances, each_seed, read_results
from scipy.stats import t

from benchmarks._spread import mean_and_spread

_PRETEXTS = {"none": "none", "simclr": "SimCLR", "moco": "MoCo"}
_LEAKY = {"simclr, test slices included": "SimCLR, also on the test slices"}


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
        if measured.get("paired"):
            tables.append(_paired_table(measured["paired"]))
        if measured.get("cross_validation"):
            tables.append(_fold_table(measured["cross_validation"]))
        tables.append(circumstances(measured))
    return "\n\n".join(tables) or NOT_MEASURED


def _fold_table(rows: list[dict[str, Any]]) -> str:
    """Return the AUC of each pretext over folds, and its gain over none."""
    keys = dict.fromkeys((r["procedure"], r["labels"], r["pretext"]) for r in rows)
    folds, names = _complete_folds(rows), _PRETEXTS | _LEAKY
    lines = []
    for procedure, labels, pretext in sorted(keys, key=lambda k: (-k[1], k[0])):
        runs = {
            fold: row["auc"]
            for row in rows
            for fold in [(row["seed"], row["fold"])]
            if fold in folds
            and (row["procedure"], row["labels"], row["pretext"])
            == (procedure, labels, pretext)
        }
        plain = {
            (r["seed"], r["fold"]): r["auc"]
            for r in rows
            if (r["procedure"], r["labels"], r["pretext"])
            == (procedure, labels, "none")
        }
        gains = [runs[fold] - plain[fold] for fold in runs]
        gain = "" if pretext == "none" else _corrected_interval(gains, rows[0])
        aucs = mean_and_spread(list(runs.values()))
        name = f"{procedure}, {labels:.0%} of the labels"
        lines.append((name, names[pretext], aucs, gain, len(runs)))
    header = ("Training", "Pretext after ImageNet", "AUC over folds", "Gain [95 %]")
    return list_table((*header, "Folds"), lines)


def _complete_folds(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return the folds in which every pretext was run."""
    found: dict[str, set] = {}
    for row in rows:
        if (row["procedure"], row["labels"]) == ("fine-tuned", 0.1):  # the last of each
            found.setdefault(row["pretext"], set()).add((row["seed"], row["fold"]))
    return set.intersection(*found.values())


def _corrected_interval(gains: list[float], sizes: dict[str, Any]) -> str:
    """Return mean and interval of paired differences in repeated cross-validation.

    The variance is corrected for overlapping training sets (Nadeau & Bengio, 2003,
    doi:10.1023/A:1024068626366).
    """
    n, mean = len(gains), fmean(gains)
    if n < 2:
        return f"{mean:+.3f}"
    ratio = sizes["n_test"] / sizes["n_train"]
    half = float(t.ppf(0.975, n - 1)) * stdev(gains) * (1 / n + ratio) ** 0.5
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def _paired_table(rows: list[dict[str, Any]]) -> str:
    """Return the gains of Self-Trans over plain ImageNet weights on the test split."""
    lines = [
        (
            row["procedure"],
            f"{row['gain']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            row["n_seeds"],
        )
        for row in rows
    ]
    header = ("Training", "Self-Trans minus ImageNet, test AUC [95 %]", "Seeds")
    return list_table(header, lines)


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
