"""Run what is asked for and not in the file yet, and tell how long it will take."""

import time
import traceback
from collections.abc import Sequence
from statistics import fmean

from benchmarks.papers.results import Results
from benchmarks.papers.setup import Setup
from benchmarks.papers.tables import Paper, Row


def choose_rows(
    paper: Paper, tables: Sequence[int], networks: Sequence[str]
) -> list[Row]:
    """Return the rows of the asked tables and networks, each run once."""
    rows: dict[str, Row] = {}
    for number, table in enumerate(paper.tables, start=1):
        if tables and number not in tables:
            continue
        for row in table.rows:
            if not networks or row.settings["backbone"] in networks:
                rows.setdefault(row.key, row)
    return list(rows.values())


def run_rows(
    paper: Paper, setup: Setup, results: Results, rows: list[Row], seeds: Sequence[int]
) -> list[str]:
    """Run all rows with a seed, then with the next, and save each.

    Returns
    -------
    list of str
        The runs that failed; the others are run all the same.

    Raises
    ------
    ValueError
        If a row of the file had other images or weights.
    """
    ready = _ready(paper, setup, results, rows)
    jobs = [
        (seed, row) for seed in seeds for row in ready if not results.has(row.key, seed)
    ]
    taken = _times(results)
    failed = []
    for place, (seed, row) in enumerate(jobs):
        name = f"{' · '.join(row.labels)}, seed {seed}"
        left = _time_left(jobs[place:], taken)
        print(f"[{place + 1}/{len(jobs)}] {name}{left}", flush=True)
        start = time.perf_counter()
        try:
            outcome = paper.run(setup, row.settings, seed)
        except Exception as error:
            traceback.print_exc()
            failed.append(name)
            results.note_failed(row, seed, error)
            continue
        seconds = time.perf_counter() - start
        results.add(row, seed, outcome, seconds=seconds, setup=setup)
        taken.setdefault(row.key, []).append(seconds)
        figures = ", ".join(f"{k} {v:.3f}" for k, v in outcome.figures.items())
        print(f"    {figures}; {seconds:.0f} s", flush=True)
    return failed


def _ready(paper: Paper, setup: Setup, results: Results, rows: list[Row]) -> list[Row]:
    """Return the rows whose data and weights are at hand, and note why others' are not.

    The inputs of finished runs are compared before anything is run.
    """
    reasons = {row.key: paper.missing(setup, row) for row in rows}
    for row in rows:
        reason = reasons[row.key]
        if reason is not None:
            print(f"{' · '.join(row.labels)}: left out, {reason}", flush=True)
        else:
            results.check_inputs(row, setup.inputs(row.settings["backbone"], row.needs))
    ready = [row for row in rows if reasons[row.key] is None]
    starts = {row.settings["backbone"] for row in ready if row.starts_from_weights}
    found = {backbone: setup.source(backbone) for backbone in sorted(starts)}
    sources = {backbone: told for backbone, told in found.items() if told is not None}
    results.note_at_hand(sources, reasons)
    return ready


def _times(results: Results) -> dict[str, list[float]]:
    """Return how long the runs of the file took, s, by key."""
    taken: dict[str, list[float]] = {}
    for run in results.content["runs"]:
        taken.setdefault(run["key"], []).append(run["seconds"])
    return taken


def _time_left(jobs: list[tuple[int, Row]], taken: dict[str, list[float]]) -> str:
    """Return how long jobs will take: as long as those of the row, or as the mean."""
    if not taken:
        return ""
    mean = fmean(fmean(times) for times in taken.values())
    seconds = sum(fmean(taken.get(row.key, [mean])) for _, row in jobs)
    hours, minutes = divmod(round(seconds / 60), 60)
    return f" (about {hours} h {minutes:02d} min left)"
