"""Run what is asked for and not in the file yet, and tell how long it will take."""

import time
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
) -> None:
    """Run all rows with a seed, then with the next, and save each.

    Raises
    ------
    Exception
        What a run raises, after the others of the file were saved.
    """
    left = []
    for row in rows:
        reason = paper.missing(setup, row)
        if reason is not None:
            print(f"{' · '.join(row.labels)}: left out, {reason}", flush=True)
            continue
        left += [(seed, row) for seed in seeds if not results.has(row.key, seed)]
    left.sort(key=lambda job: job[0])
    taken: dict[str, list[float]] = {}
    for done, (seed, row) in enumerate(left):
        print(
            f"[{done + 1}/{len(left)}] {' · '.join(row.labels)}, seed {seed}"
            f"{_time_left(left[done:], taken)}",
            flush=True,
        )
        start = time.perf_counter()
        outcome = paper.run(setup, row.settings, seed)
        seconds = time.perf_counter() - start
        source = None
        if "weights" in row.needs:
            source = setup.source(row.settings["backbone"])
        results.add(row, seed, outcome, seconds, source)
        taken.setdefault(row.key, []).append(seconds)
        figures = ", ".join(f"{k} {v:.3f}" for k, v in outcome.figures.items())
        print(f"    {figures}; {seconds:.0f} s", flush=True)


def _time_left(jobs: list[tuple[int, Row]], taken: dict[str, list[float]]) -> str:
    """Return how long jobs will take: as long as those of the row, or as the mean."""
    if not taken:
        return ""
    mean = fmean(fmean(times) for times in taken.values())
    seconds = sum(fmean(taken.get(row.key, [mean])) for _, row in jobs)
    hours, minutes = divmod(round(seconds / 60), 60)
    return f" (about {hours} h {minutes:02d} min left)"
