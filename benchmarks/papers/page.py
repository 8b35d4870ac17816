"""The results page: published and measured side by side, and what holds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.papers.figures import compare, summarize
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
    "Brackets: 95 %, by patients where they are known and else by images, of the mean "
    "of these networks; ±: standard deviation over seeds, which the brackets leave "
    "out, or over the last epochs where the paper has it so. "
    "A pretraining that rows share counts in the minutes of the first."
)


class Grid(NamedTuple):
    """A table to be printed: title, heads, and cells by row."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def grids(paper: Paper, results: Results) -> list[Grid]:
    """Return all tables of a page."""
    found = [result_grid(table, results) for table in paper.tables]
    more = (
        claim_grid(paper, results),
        picked_grid(paper, results),
        confusion_grid(paper, results),
    )
    return [*found, *(grid for grid in more if grid is not None)]


def result_grid(table: Table, results: Results) -> Grid:
    """Return a table with the published figures beside those of the file."""
    published = [
        figure
        for figure in table.figures
        if any(figure in row.published for row in table.rows)
    ]
    heads = (
        *table.columns,
        *(f"{_HEADS[figure]}, published" for figure in published),
        *(f"{_HEADS[figure]}, here" for figure in table.figures),
        "Seeds",
        "Minutes a run",
    )
    rows = []
    for row in table.rows:
        cells = [_number(row.published.get(figure)) for figure in published]
        runs = results.of(row.key)
        if runs:
            test = results.test_of(runs)
            cells += [str(summarize(runs, test, figure)) for figure in table.figures]
            minutes = sum(run["seconds"] for run in runs) / len(runs) / 60
            more = results.why_missing(row)
            cells += [f"{len(runs)}; {more}" if more else str(len(runs))]
            cells += [f"{minutes:.1f}"]
        else:
            reason = results.why_missing(row) or "not run"
            cells += [reason, *[""] * (len(table.figures) + 1)]
        rows.append((*row.labels, *cells))
    return Grid(table.title, heads, rows)


def claim_grid(paper: Paper, results: Results) -> Grid | None:
    """Return what can be said of each claim whose rows were run."""
    published = {row.key: row.published for table in paper.tables for row in table.rows}
    picked = any("picked" in run for run in results.content["runs"])
    rows = []
    for claim in paper.claims:
        better, worse = (results.of(run_key(s)) for s in (claim.better, claim.worse))
        if not better or not worse:
            continue
        test = results.test_of(better)
        found = compare(better, worse, test, claim.figure)
        if found is None:
            continue
        comparison, n_seeds = found
        rows.append(
            (
                claim.text if claim.claimed else f"{claim.text} (not claimed)",
                _HEADS[claim.figure],
                _difference(claim, published),
                _signed(comparison.difference),
                *([_picked_difference(better, worse, test, claim)] if picked else []),
                f"{comparison.pvalue:.2g}",
                str(n_seeds),
                _verdict(comparison.difference, claimed=claim.claimed),
            )
        )
    heads = (
        *("Claim", "Figure", "Published", "Here, paired [95 %]"),
        *(["Both picked on test"] if picked else []),
        *("p", "Seeds", "Verdict"),
    )
    return Grid("What holds", heads, rows) if rows else None


def _picked_difference(
    better: list[dict[str, Any]],
    worse: list[dict[str, Any]],
    test: dict[str, Any],
    claim: Claim,
) -> str:
    """Return the difference of two rows whose epochs are both picked on test."""
    found = compare(_as_picked(better), _as_picked(worse), test, claim.figure)
    return "" if found is None else _signed(found[0].difference)


def _as_picked(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs that have it with the epoch that the test images pick."""
    return [{**run["picked"], "seed": run["seed"]} for run in runs if "picked" in run]


def picked_grid(paper: Paper, results: Results) -> Grid | None:
    """Return the honest figures beside those of the epoch that test images pick."""
    rows, all_runs = [], []
    for table in paper.tables:
        for row in table.rows:
            runs = [run for run in results.of(row.key) if "picked" in run]
            if runs:
                published = _number(row.published.get("accuracy"))
                cells = _picked_cells(runs, results.test_of(runs))
                rows.append((*row.labels, published, *cells))
                all_runs += [{**run, "seed": (row.key, run["seed"])} for run in runs]
    if not rows:
        return None
    n_blank = len(paper.tables[0].columns)
    cells = _picked_cells(all_runs, results.test_of(all_runs))
    rows.append(("mean of all runs", *[""] * n_blank, *cells))
    heads = (
        *paper.tables[0].columns,
        "Acc, published",
        *(
            f"{_HEADS[figure]}{kind}"
            for figure in ("accuracy", "balanced_accuracy", "auc")
            for kind in (", honest", ", picked on test", ", optimism [95 %]")
        ),
    )
    return Grid("The same runs, their epoch picked on the test images", heads, rows)


def _picked_cells(runs: list[dict[str, Any]], test: dict[str, Any]) -> list[str]:
    picked = _as_picked(runs)
    cells = []
    for figure in ("accuracy", "balanced_accuracy", "auc"):
        honest, best = (summarize(of, test, figure).value for of in (runs, picked))
        found = compare(picked, runs, test, figure)
        optimism = "" if found is None else _signed(found[0].difference)
        cells += [f"{honest:.3f}", f"{best:.3f}", optimism]
    return cells


def confusion_grid(paper: Paper, results: Results) -> Grid | None:
    """Return how the classes are told by the first row, the paper's own method."""
    row = paper.tables[0].rows[0]
    found = [run["confusion"] for run in results.of(row.key) if "confusion" in run]
    if not found:
        return None
    rows = [
        (name, *(f"{share:.3f}" for share in shares))
        for name, shares in zip(paper.classes, np.mean(found, axis=0), strict=True)
    ]
    heads = ("Class", *(f"told {name}" for name in paper.classes))
    return Grid(f"{row.labels[0]}: shares of each class", heads, rows)


def circumstances(paper: Paper, results: Results) -> str:
    """Return budget, start, data, devices, versions and dates in one paragraph."""
    content = results.content
    parts = [f"Budget: {content['settings']['budget']}."]
    if any(row.starts_from_weights for table in paper.tables for row in table.rows):
        parts.append(_start(content))
    tests = [_test_images(name, test) for name, test in content["tests"].items()]
    if tests:
        parts.append(f"Scored on {'; '.join(tests)}.")
    around = [run["environment"] for run in content["runs"]]
    devices = dict.fromkeys(
        f"{one['device']} (skssl {one['skssl']}, torch {one['torch']})"
        for one in around
    )
    dates = sorted({run["date"] for run in content["runs"]})
    if not dates:
        return " ".join([*parts, "No run yet."])
    span = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return " ".join([*parts, f"{'; '.join(devices)}, {span}.", _HOW_TO_READ])


def markdown(paper: Paper, results: Results, picture: str | None = None) -> str:
    """Return the results page."""
    parts = [
        f"# {paper.title}",
        f"https://doi.org/{paper.doi}",
        circumstances(paper, results),
    ]
    if picture is not None:
        parts.append(f"![Published and measured]({picture})")
    for grid in grids(paper, results):
        parts += [f"## {grid.title}", _markdown_table(grid.heads, grid.rows)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _start(content: dict[str, Any]) -> str:
    """Return where transfer starts, and what is known of these weights."""
    sources = "; ".join(
        f"{backbone}: {told['source']}, {told['n_images']:,} images of "
        f"{told['image_size']} px, {told['epochs']} epochs, "
        f"{told['test_accuracy']:.3f} of its test images right"
        for backbone, told in content["sources"].items()
    )
    init = content["settings"]["init"]
    return f"Transfer starts at: {init}{f' ({sources})' if sources else ''}."


def _test_images(name: str, test: dict[str, Any]) -> str:
    n, n_patients = len(test["y"]), len(set(test["groups"] or ()))
    of_patients = f" of {n_patients} patients" if 0 < n_patients < n else ""
    return f"{n} images{of_patients} ({name})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _signed(interval: Interval) -> str:
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _difference(claim: Claim, published: Mapping[str, Mapping[str, float]]) -> str:
    better, worse = (
        published.get(run_key(s), {}).get(claim.figure)
        for s in (claim.better, claim.worse)
    )
    return "" if better is None or worse is None else f"{better - worse:+.3f}"


def _verdict(difference: Interval, *, claimed: bool) -> str:
    if difference.low > 0:
        return "holds" if claimed else "above"
    if difference.high < 0:
        return "the contrary" if claimed else "below"
    return "cannot be told"
