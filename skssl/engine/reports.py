"""Epochs told to who listens."""

from collections.abc import Callable, Iterable
from typing import Any, Self

from skorch.callbacks import Callback


class EpochReport(Callback):
    """Tell a figure of each epoch that has it to a function.

    It changes nothing in the training, so that trainings with and without it are one to
    a `skssl.DiskCache`; where a training is recalled, its epochs are told then.

    Parameters
    ----------
    figure : str
        A key of ``history_``, such as "probe_score".
    tell : callable
        Called with epoch (from 1) and figure. What it raises ends the training.
    """

    def __init__(self, figure: str, tell: Callable[[int, float], None]):
        self.figure = figure
        self.tell = tell

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.tell_all([net.history[-1]])

    def tell_all(self, history: Iterable[dict[str, Any]]) -> None:
        """Tell epochs that have been."""
        for row in history:
            if self.figure in row:
                self.tell(row["epoch"], row[self.figure])

    def __deepcopy__(self, memo: dict) -> Self:
        return self  # clones of an estimator report to the same listener
