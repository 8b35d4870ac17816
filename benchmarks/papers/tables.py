"""Tables of a paper and the claims that it makes about their rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.papers.setup import WEIGHTS, Setup, needs_weights

Settings = Mapping[str, Any]


def run_key(settings: Settings) -> str:
    """Return the name of a run. Rows with equal settings share their runs.

    Examples
    --------
    >>> run_key({"backbone": "resnet50", "method": 2})
    'backbone=resnet50 method=2'
    """
    return " ".join(f"{name}={value}" for name, value in settings.items())


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    labels : tuple of str
        The first cells.
    settings : mapping
        Settings for ``run`` of the paper.
    published : mapping of str to float
        Published values, by metric.
    needs : tuple of str
        Requirements of a run: "weights" (initial weights, which ``--init none`` does
        not provide), "start" (initial weights, or ``--init none``), "external", or the
        name of a data set.
    """

    labels: tuple[str, ...]
    settings: Settings
    published: Mapping[str, float]
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of the run."""
        return run_key(self.settings)

    @property
    def starts_from_weights(self) -> bool:
        """Whether a run reads initial weights."""
        return needs_weights(self.needs)


@dataclass(frozen=True)
class Table:
    """A table: title, headers of the first columns, metrics and rows."""

    title: str
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Claim:
    """The paper claims that one row is above another in a metric.

    ``claimed`` is False for a comparison that the paper does not make.
    """

    text: str
    better: Settings
    worse: Settings
    metric: str = "auc"
    claimed: bool = True


@dataclass
class Outcome:
    """The result of a run.

    Parameters
    ----------
    metrics : dict of str to float
    scores : ndarray of shape (n_test,), optional
        Scores of two classes; above 0 predicts the second. Needed for intervals and
        comparisons.
    test : dict, optional
        ``y`` and ``groups`` of the test images that were scored.
    test_name : str
        Name of these images. Runs are compared if they have the same name.
    picked : dict, optional
        The best epoch on the test images: its number ``epoch``, its metrics ``figures``
        and its ``scores``.
    confusion : ndarray of shape (n_classes, n_classes), optional
        Fraction of each class (row) by predicted class (column).
    by_epoch : list of float, optional
        A score of the features after each epoch of a pretraining.
    """

    metrics: dict[str, float]
    scores: np.ndarray | None = None
    test: dict[str, np.ndarray | None] | None = None
    test_name: str = "test"
    picked: dict[str, Any] | None = None
    confusion: np.ndarray | None = None
    by_epoch: list[float] | None = None


@dataclass(frozen=True)
class Paper:
    """A paper: its tables and claims, and how a row is run.

    Parameters
    ----------
    name : str
        Name on the command line and in results files.
    title, doi : str
    data : str
        Content of ``--data``, for the help text.
    external : str or None
        Content of ``--external``, for the help text.
    tables : tuple of Table
    run : callable
        Takes (setup, settings, seed) and returns an Outcome.
    why_unavailable : callable
        Takes (setup, need); returns why the need is not available, or None.
    claims : tuple of Claim
    classes : tuple of str
        Classes of the confusion matrix, if runs have one.
    """

    name: str
    title: str
    doi: str
    data: str
    external: str | None
    tables: tuple[Table, ...]
    run: Callable[[Setup, Settings, int], Outcome]
    why_unavailable: Callable[[Setup, str], str | None]
    claims: tuple[Claim, ...] = field(default=())
    classes: tuple[str, ...] = ()

    def missing(self, setup: Setup, row: Row) -> str | None:
        """Return why a row cannot be run, or None."""
        for need in row.needs:
            if need == "start" and setup.init == "none":
                continue
            reason = (
                setup.missing_weights(row.settings["backbone"])
                if need in WEIGHTS
                else self.why_unavailable(setup, need)
            )
            if reason is not None:
                return reason
        return None
