"""The results page: published and measured values, and verdicts on the claims."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.papers.metrics import compare, summarize
from benchmarks.papers.results import Results
from benchmarks.papers.tables import Claim, Paper, Table, run_key
from skssl.metrics import Interval

_HEADS = {
    "accuracy": "Acc",
    "balanced_accuracy": "Bal. acc",
    "f1": "F1",
    "f1_negative": "F1 (neg.)",
    "auc": "AUC",
    "sensitivity": "Sen",
    "specificity": "Spe",
    "harmonic_mean": "HM",
}
_HOW_TO_READ = (
    "Brackets: 95 % interval of the mean of these networks, by patients if they are "
    "known and by images otherwise. It does not cover the variation between seeds. "
    "±: standard deviation over seeds, or over the last epochs where the paper reports "
    "that. The minutes of a pretraining that rows share count for the first row."
)


class Grid(NamedTuple):
    """A table of the page: title, headers, and cells by row."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def grids(paper: Paper, results: Results) -> list[Grid]:
    """Return all tables of a page; once there are runs, only those that have any."""
    has_runs = [
        any(results.runs(row.key) for row in table.rows) for table in paper.tables
    ]
    tables = [
        result_grid(table, results)
        for table, has_any in zip(paper.tables, has_runs, strict=True)
        if has_any or not any(has_runs)
    ]
    others = (
        claim_grid(paper, results),
        picked_grid(paper, results),
        confusion_grid(paper, results),
        epoch_grid(paper, results),
    )
    return [*tables, *(grid for grid in others if grid is not None)]


def result_grid(table: Table, results: Results) -> Grid:
    """Return a table with published and measured values."""
    published = [
        metric
        for metric in table.metrics
        if any(metric in row.published for row in table.rows)
    ]
    heads = (
        *table.columns,
        *(f"{_HEADS[metric]}, published" for metric in published),
        *(f"{_HEADS[metric]}, measured" for metric in table.metrics),
        "Seeds",
        "Minutes per run",
    )
    rows = []
    for row in table.rows:
        cells = [_number(row.published.get(metric)) for metric in published]
        runs = results.runs(row.key)
        if runs:
            test = results.test_images(runs)
            cells += [str(summarize(runs, test, metric)) for metric in table.metrics]
            minutes = sum(run["seconds"] for run in runs) / len(runs) / 60
            reason = results.why_missing(row)
            cells += [f"{len(runs)}; {reason}" if reason else str(len(runs))]
            cells += [f"{minutes:.1f}"]
        else:
            reason = results.why_missing(row) or "not run"
            cells += [reason, *[""] * (len(table.metrics) + 1)]
        rows.append((*row.labels, *cells))
    return Grid(table.title, heads, rows)


def claim_grid(paper: Paper, results: Results) -> Grid | None:
    """Return a verdict on each claim whose rows were run."""
    published = {row.key: row.published for table in paper.tables for row in table.rows}
    picked = any("picked" in run for run in results.content["runs"])
    rows = []
    for claim in paper.claims:
        better, worse = (results.runs(run_key(s)) for s in (claim.better, claim.worse))
        if not better or not worse:
            continue
        test = results.test_images(better)
        compared = compare(better, worse, test, claim.metric)
        if compared is None:
            continue
        comparison, n_seeds = compared
        rows.append(
            (
                claim.text if claim.claimed else f"{claim.text} (not claimed)",
                _HEADS[claim.metric],
                _difference(claim, published),
                _signed(comparison.difference),
                *([_picked_difference(better, worse, test, claim)] if picked else []),
                f"{comparison.pvalue:.2g}",
                str(n_seeds),
                _verdict(comparison.difference, claimed=claim.claimed),
            )
        )
    heads = (
        *("Claim", "Metric", "Published", "Measured, paired [95 %]"),
        *(["Both with the epoch picked on test"] if picked else []),
        *("p", "Seeds", "Verdict"),
    )
    return Grid("Claims", heads, rows) if rows else None


def _picked_difference(
    better: list[dict[str, Any]],
    worse: list[dict[str, Any]],
    test: dict[str, Any],
    claim: Claim,
) -> str:
    """Return the difference of two rows, both with the epoch picked on test."""
    compared = compare(_as_picked(better), _as_picked(worse), test, claim.metric)
    return "" if compared is None else _signed(compared[0].difference)


def _as_picked(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs with results of the epoch picked on the test images."""
    return [{**run["picked"], "seed": run["seed"]} for run in runs if "picked" in run]


def picked_grid(paper: Paper, results: Results) -> Grid | None:
    """Return metrics of the fitted networks and of epochs picked on test images."""
    rows, all_runs = [], []
    for table in paper.tables:
        for row in table.rows:
            runs = [run for run in results.runs(row.key) if "picked" in run]
            if runs:
                published = _number(row.published.get("accuracy"))
                cells = _picked_cells(runs, results.test_images(runs))
                rows.append((*row.labels, published, *cells))
                all_runs += [{**run, "seed": (row.key, run["seed"])} for run in runs]
    if not rows:
        return None
    n_blank = len(paper.tables[0].columns)
    cells = _picked_cells(all_runs, results.test_images(all_runs))
    rows.append(("mean of all runs", *[""] * n_blank, *cells))
    heads = (
        *paper.tables[0].columns,
        "Acc, published",
        *(
            f"{_HEADS[metric]}{kind}"
            for metric in ("accuracy", "balanced_accuracy", "auc")
            for kind in (", honest", ", picked on test", ", optimism [95 %]")
        ),
    )
    return Grid("The same runs with the epoch picked on the test images", heads, rows)


def _picked_cells(runs: list[dict[str, Any]], test: dict[str, Any]) -> list[str]:
    picked = _as_picked(runs)
    cells = []
    for metric in ("accuracy", "balanced_accuracy", "auc"):
        honest = summarize(runs, test, metric).value
        best = summarize(picked, test, metric).value
        compared = compare(picked, runs, test, metric)
        optimism = "" if compared is None else _signed(compared[0].difference)
        cells += [f"{honest:.3f}", f"{best:.3f}", optimism]
    return cells


def confusion_grid(paper: Paper, results: Results) -> Grid | None:
    """Return the confusion matrix of the first row, the method of the paper."""
    row = paper.tables[0].rows[0]
    matrices = [run["confusion"] for run in results.runs(row.key) if "confusion" in run]
    if not matrices:
        return None
    rows = [
        (name, *(f"{fraction:.3f}" for fraction in fractions))
        for name, fractions in zip(
            paper.classes, np.mean(matrices, axis=0), strict=True
        )
    ]
    heads = ("Class", *(f"predicted {name}" for name in paper.classes))
    return Grid(f"{row.labels[0]}: fractions of each class", heads, rows)


def epoch_grid(paper: Paper, results: Results) -> Grid | None:
    """Return the score of the features after each epoch, where runs have it."""
    rows = []
    for table in paper.tables:
        for row in table.rows:
            runs = [run for run in results.runs(row.key) if "by_epoch" in run]
            if runs:
                means = np.mean([run["by_epoch"] for run in runs], axis=0)
                scores = ", ".join(f"{score:.3f}" for score in means)
                rows.append((*row.labels, scores))
    if not rows:
        return None
    heads = (*paper.tables[0].columns, "Cross-validated AUC after each epoch")
    return Grid("The features during the pretraining", heads, rows)


def circumstances(paper: Paper, results: Results) -> str:
    """Return budget, initial weights, data, devices and dates in one paragraph."""
    content = results.content
    sentences = [f"Budget: {content['settings']['budget']}."]
    if any(row.starts_from_weights for table in paper.tables for row in table.rows):
        sentences.append(_initial_weights(content))
    tests = [_test_images(name, test) for name, test in content["tests"].items()]
    if tests:
        sentences.append(f"Scored on {'; '.join(tests)}.")
    environments = [run["environment"] for run in content["runs"]]
    devices = dict.fromkeys(
        f"{found['device']} (skssl {found['skssl']}, torch {found['torch']})"
        for found in environments
    )
    dates = sorted({run["date"] for run in content["runs"]})
    if not dates:
        return " ".join([*sentences, "No runs yet."])
    span = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return " ".join([*sentences, f"{'; '.join(devices)}, {span}.", _HOW_TO_READ])


def markdown(paper: Paper, results: Results, image: str | None = None) -> str:
    """Return the results page, with the name of the plot's file if there is one."""
    paragraphs = [
        f"# {paper.title}",
        f"https://doi.org/{paper.doi}",
        circumstances(paper, results),
    ]
    if image is not None:
        paragraphs.append(f"![Published and measured]({image})")
    for grid in grids(paper, results):
        paragraphs += [f"## {grid.title}", _markdown_table(grid.heads, grid.rows)]
    return "\n\n".join(paragraphs) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _initial_weights(content: dict[str, Any]) -> str:
    """Return the initial weights of transfer, and how they were trained."""
    sources = "; ".join(
        f"{backbone}: {source['source']}, {source['n_images']:,} images of "
        f"{source['image_size']} px, {source['epochs']} epochs, test accuracy "
        f"{source['test_accuracy']:.3f}"
        for backbone, source in content["sources"].items()
    )
    init = content["settings"]["init"]
    return f"Initial weights of transfer: {init}{f' ({sources})' if sources else ''}."


def _test_images(name: str, test: dict[str, Any]) -> str:
    n, n_patients = len(test["y"]), len(set(test["groups"] or ()))
    patients = f" of {n_patients} patients" if 0 < n_patients < n else ""
    return f"{n} images{patients} ({name})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _signed(interval: Interval) -> str:
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _difference(claim: Claim, published: Mapping[str, Mapping[str, float]]) -> str:
    better, worse = (
        published.get(run_key(s), {}).get(claim.metric)
        for s in (claim.better, claim.worse)
    )
    return "" if better is None or worse is None else f"{better - worse:+.3f}"


def _verdict(difference: Interval, *, claimed: bool) -> str:
    if difference.low > 0:
        return "holds" if claimed else "above"
    if difference.high < 0:
        return "contradicted" if claimed else "below"
    return "inconclusive"
