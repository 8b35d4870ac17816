"""The training of a pretext module."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from skssl.engine.callbacks import (
    CollapseMonitor,
    EpochLog,
    ProbeLog,
    ProgressBar,
    WeightSelection,
)
from skssl.engine.loop import StoreNet
from skssl.pretext import PretextModule, PretextTask

__all__ = ["PretextNet"]


class PretextNet(StoreNet):
    """Train a pretext module on an image store, with its monitors.

    Parameters
    ----------
    module : PretextModule
        Trained in place.
    task : PretextTask
        A resolved task; makes the views.
    seeds : (int, int, int)
        Seeds of the order of the images, of the views and of the monitors.
    partner_groups : Tensor of shape (n_images,), int64, optional
        Patients of the images. Second views are then made from another image of the
        same patient.
    probe : ProbeLog, optional
    select : callable, optional
        See `WeightSelection`. Default: keep the last weights.
    show_progress : bool
    **options
        As for `StoreNet`.
    """

    module_: PretextModule
    task: PretextTask

    def __init__(
        self,
        module: PretextModule,
        *,
        task: PretextTask,
        seeds: tuple[int, int, int] = (0, 1, 2),
        partner_groups: Tensor | None = None,
        probe: ProbeLog | None = None,
        select: Callable[[dict[str, float]], float | None] | None = None,
        show_progress: bool = False,
        **options: Any,
    ):
        self.partner_groups = partner_groups
        self.probe = probe
        self.select = select
        self.show_progress = show_progress
        super().__init__(module, task=task, seeds=seeds, **options)

    @property
    def kept_module_(self) -> nn.Module:
        """The backbone, without heads, copies and queues."""
        return self.module_.backbone

    @property
    def network_(self) -> nn.Module:
        """The network of the backbone."""
        return self.module_.backbone.network

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        callbacks: list[tuple[str, Any]] = [("epoch_log", EpochLog(self.seeds[2]))]
        if self.probe is not None:
            callbacks.append(("probe_log", self.probe))
        if self.select is not None:
            callbacks.append(("weight_selection", WeightSelection(self.select)))
        callbacks.append(("collapse_monitor", CollapseMonitor()))
        if self.show_progress:
            callbacks.append(("progress_bar", ProgressBar()))
        return callbacks

    def rows(self) -> list[dict[str, float]]:
        """Return the history as one dictionary for each finished epoch."""
        keys = ("epoch", *EpochLog.columns, *ProbeLog.columns)
        return [
            {key: row[key] for key in keys if key in row}
            for row in self.history
            if "feature_std" in row
        ]
