"""A callback that reports epochs to a listener."""

from collections.abc import Callable, Iterable
from typing import Any, Self

from skorch.callbacks import Callback

__all__ = ["EpochReport"]


class EpochReport(Callback):
    """Report one value of each epoch to a function.

    It does not change the training: to a `skssl.DiskCache`, trainings with and without
    it are the same. If a training is recalled, its epochs are reported then.

    Parameters
    ----------
    figure : str
        A key of ``history_``, such as "probe_score". Epochs without it are skipped.
    tell : callable
        Called with the epoch, from 1, and the value. What it raises ends the training.
    """

    def __init__(self, figure: str, tell: Callable[[int, float], None]):
        self.figure = figure
        self.tell = tell

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.report([net.history[-1]])

    def report(self, history: Iterable[dict[str, Any]]) -> None:
        """Report the epochs of a history."""
        for row in history:
            if self.figure in row:
                self.tell(row["epoch"], row[self.figure])

    def __deepcopy__(self, memo: dict) -> Self:
        return self  # clones of an estimator report to the same listener
