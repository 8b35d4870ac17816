"""The results page: published and measured side by side, and what holds."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from benchmarks.papers.figures import compare, summarize
from benchmarks.papers.results import Results
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Claim, Paper, Row, Table, run_key
from skssl.metrics import Interval

_HEADS = {
    "accuracy": "Acc",
    "balanced_accuracy": "Bal. acc",
    "f1": "F1",
    "auc": "AUC",
    "sensitivity": "Sen",
    "specificity": "Spe",
    "harmonic_mean": "HM",
}


class Grid(NamedTuple):
    """A table to be printed: title, heads, and cells by row."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


Reason = Callable[[Row], str | None]


def result_grid(table: Table, results: Results, missing: Reason | None = None) -> Grid:
    """Return a table with the published figures beside those of the file.

    Parameters
    ----------
    table : Table
    results : Results
    missing : callable, optional
        Takes a row; returns why it cannot be run, or None.
    """
    published = [figure for figure in table.figures if _is_published(table, figure)]
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
            cells += [str(len(runs)), f"{minutes:.1f}"]
        else:
            reason = (missing and missing(row)) or "not run"
            cells += [reason, *[""] * (len(table.figures) + 1)]
        rows.append((*row.labels, *cells))
    return Grid(table.title, heads, rows)


def claim_grid(paper: Paper, results: Results) -> Grid | None:
    """Return what can be said of each claim whose rows were run."""
    published = {row.key: row.published for table in paper.tables for row in table.rows}
    rows = []
    for claim in paper.claims:
        better, worse = (results.of(run_key(s)) for s in (claim.better, claim.worse))
        if not better or not worse:
            continue
        found = compare(better, worse, results.test_of(better), claim.figure)
        of_paper = _difference(claim, published)
        rows.append(
            (
                claim.text,
                _HEADS[claim.figure],
                of_paper,
                str(found.difference),
                f"{found.pvalue:.2g}",
                _verdict(found.difference),
            )
        )
    heads = ("Claim", "Figure", "Published", "Here, paired [95 %]", "p", "Verdict")
    return Grid("What holds", heads, rows) if rows else None


def picked_grid(paper: Paper, results: Results) -> Grid | None:
    """Return the honest figures beside those of the epoch that test images pick."""
    rows = []
    for table in paper.tables:
        for row in table.rows:
            runs = [run for run in results.of(row.key) if "picked" in run]
            if not runs:
                continue
            cells = [_number(row.published.get("accuracy"))]
            for figure in ("accuracy", "balanced_accuracy", "f1"):
                honest = fmean(run["figures"][figure] for run in runs)
                picked = fmean(run["picked"][figure] for run in runs)
                cells += [f"{honest:.3f}", f"{picked:.3f}", f"{picked - honest:+.3f}"]
            rows.append((*row.labels, *cells))
    if not rows:
        return None
    heads = (
        *paper.tables[0].columns,
        "Acc, published",
        *(
            f"{_HEADS[figure]}{kind}"
            for figure in ("accuracy", "balanced_accuracy", "f1")
            for kind in (", honest", ", picked on test", ", optimism")
        ),
    )
    return Grid("The same runs, their epoch picked on the test images", heads, rows)


def grids(paper: Paper, results: Results, missing: Reason | None = None) -> list[Grid]:
    """Return all tables of a page."""
    found = [result_grid(table, results, missing) for table in paper.tables]
    more = (claim_grid(paper, results), picked_grid(paper, results))
    return [*found, *(grid for grid in more if grid is not None)]


def circumstances(results: Results) -> str:
    """Return budget, start, data, device, versions and date in one paragraph."""
    content = results.content
    settings, around = content["settings"], content.get("environment", {})
    tests = [
        f"{len(test['y'])} test images"
        + (f" of {len(set(test['groups']))} patients" if test["groups"] else "")
        for test in content["tests"].values()
    ]
    dates = sorted({run["date"] for run in content["runs"]}) or ["no run yet"]
    versions = ", ".join(
        f"{name} {around[name]}" for name in ("skssl", "torch") if name in around
    )
    sources = "; ".join(
        f"{backbone}: {told['source']}, {told['n_images']:,} images of "
        f"{told['image_size']} px, {told['epochs']} epochs, "
        f"{told['test_accuracy']:.3f} of its test images right"
        for backbone, told in content.get("sources", {}).items()
    )
    return (
        f"Budget: {settings['budget']}. Transfer starts at: {settings['init']}"
        f"{f' ({sources})' if sources else ''}. "
        f"Scored on {'; '.join(tests) or 'test images of each row'}. "
        f"{around.get('device', '')}, {versions}, "
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}. Brackets: 95 % by "
        "patients, of the mean over seeds; ±: standard deviation over seeds."
    )


def markdown(
    paper: Paper, setup: Setup, results: Results, picture: str | None = None
) -> str:
    """Return the results page."""
    parts = [
        f"# {paper.title}",
        f"https://doi.org/{paper.doi}",
        circumstances(results),
    ]
    if picture is not None:
        parts.append(f"![Published and measured]({picture})")
    for grid in grids(paper, results, lambda row: paper.missing(setup, row)):
        parts += [f"## {grid.title}", _markdown_table(grid.heads, grid.rows)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _is_published(table: Table, figure: str) -> bool:
    return any(figure in row.published for row in table.rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _difference(claim: Claim, published: Mapping[str, Mapping[str, float]]) -> str:
    better, worse = (
        published.get(run_key(s), {}).get(claim.figure)
        for s in (claim.better, claim.worse)
    )
    return "" if better is None or worse is None else f"{better - worse:+.3f}"


def _verdict(difference: Interval) -> str:
    if difference.low > 0:
        return "holds"
    if difference.high < 0:
        return "the contrary"
    return "cannot be told"
