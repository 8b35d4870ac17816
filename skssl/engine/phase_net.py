"""The training of a classifier, phase by phase."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from skssl._random import spawn_seeds
from skssl.data import ImageStore
from skssl.engine.callbacks import ProgressBar, WeightSelection
from skssl.engine.loop import StoreNet, ViewsOf
from skssl.engine.phase import Phase
from skssl.engine.phase_callbacks import PhaseLog
from skssl.engine.supervised import ClassifierModule, Score
from skssl.nn import get_schedule

__all__ = ["PhaseNet", "PhaseRecord", "train_phases"]

Row = dict[str, float]


class PhaseNet(StoreNet):
    """Train a classifier for one phase.

    Parameters
    ----------
    module : ClassifierModule
        Trained in place.
    phase : Phase
    number : int
        Number of the phase, from 1, for the history.
    score : Score, optional
        Evaluates the classifier after each epoch.
    n_versions : int
        Versions of each image that a step shows.
    select : callable, optional
        See `WeightSelection`.
    show_progress : bool
    **options
        As for `StoreNet`.
    """

    module_: ClassifierModule
    choice_is_made_by = "selection"

    def __init__(
        self,
        module: ClassifierModule,
        *,
        phase: Phase,
        number: int = 1,
        score: Score | None = None,
        n_versions: int = 1,
        select: Callable[[Row], float | None] | None = None,
        show_progress: bool = False,
        **options: Any,
    ):
        self.phase = phase
        self.number = number
        self.score = score
        self.n_versions = n_versions
        self.select = select
        self.show_progress = show_progress
        super().__init__(
            module,
            schedule=get_schedule(phase.schedule),
            warmup=phase.warmup,
            optimizer=phase.optimizer,
            lr=phase.lr,
            weight_decay=phase.weight_decay,
            layer_decay=phase.layer_decay,
            max_epochs=phase.epochs,
            # An image counts once for each version.
            batch_size=max(2, phase.batch_size // n_versions),
            **options,
        )

    @property
    def kept_module_(self) -> nn.Module:
        """The classifier, without an auxiliary head."""
        return self.module_.classifier

    @property
    def network_(self) -> nn.Module:
        """The network of the backbone."""
        return self.module_.classifier.backbone.network

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        callbacks: list[tuple[str, Any]] = [("phase_log", PhaseLog())]
        if self.select is not None:
            callbacks.append(("weight_selection", WeightSelection(self.select)))
        if self.show_progress:
            bar = ProgressBar(f"phase {self.number}", ("loss", "accuracy"))
            callbacks.append(("progress_bar", bar))
        return callbacks

    def rows(self) -> list[Row]:
        """Return the history as one dictionary for each finished epoch."""
        return [
            {
                "phase": self.number,
                **{k: row[k] for k in ("epoch", *PhaseLog.columns) if k in row},
            }
            for row in self.history
            if "lr" in row
        ]


@dataclass
class PhaseRecord:
    """The record of a training in phases, also of an interrupted one.

    Parameters
    ----------
    history : list of dict
        A row of values for each finished epoch.
    n_trainable : list of int
        The number of weights that each phase trained.
    last_epochs : list of int
        For each phase, the epoch whose weights it ended with.
    """

    history: list[Row] = field(default_factory=list)
    n_trainable: list[int] = field(default_factory=list)
    last_epochs: list[int] = field(default_factory=list)


def train_phases(
    module: ClassifierModule,
    phases: list[Phase],
    store: ImageStore,
    record: PhaseRecord,
    *,
    seed: int,
    callbacks: list[Any],
    task: ViewsOf,
    **options: Any,
) -> None:
    """Train a classifier in phases, each starting from the result of the previous one.

    Parameters
    ----------
    module : ClassifierModule
        Trained in place.
    phases : list of Phase
    store : ImageStore
    record : PhaseRecord
        Updated during the training.
    seed : int
        Determines the order of the images and the views of all phases.
    callbacks : list of skorch callbacks
    task : ViewsOf
    **options
        As for `PhaseNet`.

    Raises
    ------
    ValueError
        If a phase trains nothing.
    NonFiniteLossError
        If the loss becomes NaN or infinite.
    """
    seeds = spawn_seeds(seed, 2 * len(phases))
    n_trainable = [module.only_train(phase.train).n_trainable for phase in phases]
    for i, phase in enumerate(phases):
        if n_trainable[i] == 0:
            raise ValueError(
                f"phases: phase {i + 1} trains nothing: the {phase.train} has no "
                "parameters."
            )
    for i, phase in enumerate(phases):
        module.only_train(phase.train)
        record.n_trainable.append(n_trainable[i])
        n_before = len(record.history)
        net = PhaseNet(
            module,
            phase=phase,
            number=i + 1,
            seeds=seeds[2 * i : 2 * i + 2],
            callbacks=callbacks,
            task=task,
            **options,
        ).initialize()
        try:
            net.partial_fit(store)
        finally:
            for row in net.rows():
                record.history.append({**row, "epoch": n_before + row["epoch"]})
            selected = getattr(net, "selected_epoch_", None)
            last = len(record.history)
            record.last_epochs.append(n_before + selected if selected else last)
