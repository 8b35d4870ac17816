"""What the tables of a paper hold, and what the paper claims of their rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.papers.setup import WEIGHTS, Setup, needs_weights

Settings = Mapping[str, Any]


def run_key(settings: Settings) -> str:
    """Return the name of a run; rows of equal settings share it.

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
        Its first cells.
    settings : mapping
        What the paper's ``run`` takes.
    published : mapping of str to float
        What the paper gives, by figure.
    needs : tuple of str
        What must be at hand: "weights" (which ``--init none`` does not give), "start"
        (which it does), "external", or the name of a data set.
    """

    labels: tuple[str, ...]
    settings: Settings
    published: Mapping[str, float]
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of its run."""
        return run_key(self.settings)

    @property
    def starts_from_weights(self) -> bool:
        """Whether it reads weights of its network."""
        return needs_weights(self.needs)


@dataclass(frozen=True)
class Table:
    """A table: its title, the heads of its first columns, its figures, its rows."""

    title: str
    columns: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Claim:
    """One row is said to be above another in a figure; or is compared all the same."""

    text: str
    better: Settings
    worse: Settings
    figure: str = "auc"
    claimed: bool = True


@dataclass
class Outcome:
    """What a run gives.

    Parameters
    ----------
    figures : dict of str to float
    scores : ndarray of shape (n_test,), optional
        Of two classes: above 0 means the second. Intervals and comparisons need it.
    test : dict, optional
        ``y`` and ``groups`` of the test images that scores belong to.
    test_name : str
        Of these images; runs of one name are compared with one another.
    picked : dict, optional
        Of the epoch that is the best on the test images: its number ``epoch``, its
        ``figures`` and its ``scores``.
    confusion : ndarray of shape (n_classes, n_classes), optional
        The share of each class (row) that is told to be of each.
    """

    figures: dict[str, float]
    scores: np.ndarray | None = None
    test: dict[str, np.ndarray | None] | None = None
    test_name: str = "test"
    picked: dict[str, Any] | None = None
    confusion: np.ndarray | None = None


@dataclass(frozen=True)
class Paper:
    """A paper: where it is, its tables and claims, and how a row is run.

    Parameters
    ----------
    name : str
        Of the command line and of the results.
    title, doi : str
    data : str
        What ``--data`` is to hold, for the help.
    external : str or None
        What ``--external`` is to hold.
    tables : tuple of Table
    run : callable
        Takes (setup, settings, seed); returns an Outcome.
    claims : tuple of Claim
    find : callable
        Takes (setup, name of a need); returns why it is not at hand, or None.
    classes : tuple of str
        Of the confusion matrix, if runs give one.
    """

    name: str
    title: str
    doi: str
    data: str
    external: str | None
    tables: tuple[Table, ...]
    run: Callable[[Setup, Settings, int], Outcome]
    find: Callable[[Setup, str], str | None]
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
                else self.find(setup, need)
            )
            if reason is not None:
                return reason
        return None
