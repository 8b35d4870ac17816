"""Plot of the tables of a paper: published values and measured intervals."""

from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.papers.metrics import summarize
from benchmarks.papers.results import Results
from benchmarks.papers.tables import Paper, Row

_NAMES = {"accuracy": "Accuracy", "auc": "AUC"}


def plot(paper: Paper, results: Results, path: Path) -> bool:
    """Plot two panels for each table, accuracy and AUC.

    Returns
    -------
    bool
        False if there are no results, and no file was written.
    """
    tables = [
        (table, rows)
        for table in paper.tables
        for rows in ([row for row in table.rows if results.runs(row.key)],)
        if rows
    ]
    if not tables:
        return False
    heights = [len(rows) + 2.0 for _, rows in tables]
    fig, axes = plt.subplots(
        len(tables),
        2,
        figsize=(9, 0.32 * sum(heights) + 1),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for line, (table, rows) in zip(axes, tables, strict=True):
        for ax, metric in zip(line, _NAMES, strict=True):
            _panel(ax, rows, results, metric)
        line[0].set_title(table.title, fontsize=9, loc="left")
        line[1].tick_params(labelleft=False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    fig.suptitle(paper.title, x=0.01, ha="left", fontsize=11)
    fig.savefig(path, dpi=150)
    plt.close(fig)
    return True


def _panel(ax: plt.Axes, rows: list[Row], results: Results, metric: str) -> None:
    """Plot a metric of the rows, from the top."""
    for i, row in enumerate(rows):
        runs = results.runs(row.key)
        mean = summarize(runs, results.test_images(runs), metric)
        spread = mean.spread or 0.0
        low = mean.value - spread if mean.low is None else mean.low
        high = mean.value + spread if mean.high is None else mean.high
        ax.plot([low, high], [i, i], color="C0", linewidth=2)
        for run in runs:
            ax.plot(run["figures"][metric], i, "|", color="C0", markersize=9)
        label = "measured: mean, seeds, 95 %" if i == 0 else None
        ax.plot(mean.value, i, "o", color="C0", label=label)
        if metric in row.published:
            label = "published" if i == 0 else None
            ax.plot(row.published[metric], i, "D", mfc="none", mec="C3", label=label)
    ax.set_yticks(range(len(rows)), [" · ".join(row.labels) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(right=1)
    ax.axvline(0.5, color="0.8", linewidth=1, zorder=0)
    ax.grid(axis="x", color="0.92")
    ax.set_xlabel(_NAMES[metric])
