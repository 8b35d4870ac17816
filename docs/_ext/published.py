"""Published and measured results of the papers, from ``benchmarks/results/papers``."""

from pathlib import Path

from list_tables import list_table

from benchmarks.papers.__main__ import PAPERS
from benchmarks.papers.page import circumstances, grids
from benchmarks.papers.results import Results

NOT_MEASURED = "Not measured yet.\n"


def paper_tables(results: Path, name: str) -> str:
    """Return the tables of a paper, one set per results file."""
    pieces = []
    for path in sorted((results / "papers").glob(f"{name}_*.json")):
        measured = Results.read(path)
        pieces.append(circumstances(PAPERS[name], measured))
        for grid in grids(PAPERS[name], measured):
            pieces.append(f".. rubric:: {grid.title}")
            pieces.append(list_table(grid.heads, grid.rows))
    return "\n\n".join(pieces) or NOT_MEASURED
