"""Run the requested rows that are not in the file yet, and estimate the time left."""

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
    """Return the rows of the given tables and networks, one per run."""
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
    """Run all rows, seed by seed, and save each run.

    Returns
    -------
    list of str
        The runs that failed. A failure does not stop the other runs.

    Raises
    ------
    ValueError
        If a run in the file had other images or weights.
    """
    ready = _runnable(paper, setup, results, rows)
    jobs = [
        (seed, row) for seed in seeds for row in ready if not results.has(row.key, seed)
    ]
    durations = _durations(results)
    failed = []
    for i, (seed, row) in enumerate(jobs):
        name = f"{' · '.join(row.labels)}, seed {seed}"
        left = _time_left(jobs[i:], durations)
        print(f"[{i + 1}/{len(jobs)}] {name}{left}", flush=True)
        start = time.perf_counter()
        try:
            outcome = paper.run(setup, row.settings, seed)
        except Exception as error:
            traceback.print_exc()
            failed.append(name)
            results.record_failure(row, seed, error)
            continue
        seconds = time.perf_counter() - start
        results.add(row, seed, outcome, seconds=seconds, setup=setup)
        durations.setdefault(row.key, []).append(seconds)
        metrics = ", ".join(f"{k} {v:.3f}" for k, v in outcome.metrics.items())
        print(f"    {metrics}; {seconds:.0f} s", flush=True)
    return failed


def _runnable(
    paper: Paper, setup: Setup, results: Results, rows: list[Row]
) -> list[Row]:
    """Return the rows whose data and weights are available, and record the others.

    The inputs of finished runs are checked before anything is run.
    """
    reasons = {row.key: paper.missing(setup, row) for row in rows}
    for row in rows:
        reason = reasons[row.key]
        if reason is not None:
            print(f"{' · '.join(row.labels)}: skipped, {reason}", flush=True)
        else:
            results.check_inputs(row, setup.inputs(row.settings["backbone"], row.needs))
    runnable = [row for row in rows if reasons[row.key] is None]
    backbones = {r.settings["backbone"] for r in runnable if r.starts_from_weights}
    sources = {backbone: setup.source(backbone) for backbone in sorted(backbones)}
    results.record_availability(
        {name: source for name, source in sources.items() if source is not None},
        reasons,
    )
    return runnable


def _durations(results: Results) -> dict[str, list[float]]:
    """Return the durations of the runs in the file, in seconds, by key."""
    durations: dict[str, list[float]] = {}
    for run in results.content["runs"]:
        durations.setdefault(run["key"], []).append(run["seconds"])
    return durations


def _time_left(jobs: list[tuple[int, Row]], durations: dict[str, list[float]]) -> str:
    """Estimate the time of jobs by earlier runs of the row, or else of all rows."""
    if not durations:
        return ""
    mean = fmean(fmean(seconds) for seconds in durations.values())
    seconds = sum(fmean(durations.get(row.key, [mean])) for _, row in jobs)
    hours, minutes = divmod(round(seconds / 60), 60)
    return f" (about {hours} h {minutes:02d} min left)"
