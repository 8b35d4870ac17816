"""The training of a classifier in phases, as a function from weights to weights."""

from dataclasses import dataclass
from typing import Any

import torch

from skssl._random import isolated_rng
from skssl.data import ImageStore
from skssl.engine.phase import Phase
from skssl.engine.phase_callbacks import EpochKeeper
from skssl.engine.phase_net import PhaseRecord, Row, train_phases
from skssl.engine.precision import deterministic_kernels
from skssl.engine.supervised import ClassifierModule
from skssl.exceptions import TrainingInterrupted
from skssl.nn import Classifier

__all__ = ["TrainedClassifiers", "train_classifier", "untrained"]


@dataclass
class TrainedClassifiers:
    """The classifiers that a training in phases leaves, mostly one.

    Parameters
    ----------
    networks : list of Classifier
    history : list of dict
        A row of values for each finished epoch.
    n_trainable : list of int
        The number of weights that each phase trained.
    selected_epochs : list of int
        The epochs whose weights were kept.
    """

    networks: list[Classifier]
    history: list[Row]
    n_trainable: list[int]
    selected_epochs: list[int]


def untrained(classifier: Classifier) -> TrainedClassifiers:
    """Return a classifier as a training without phases leaves it."""
    return _collect(classifier, PhaseRecord(), None)


def train_classifier(
    module: ClassifierModule,
    phases: list[Phase],
    store: ImageStore,
    *,
    seed: int,
    device: torch.device,
    callbacks: list[Any] | None,
    keeper: EpochKeeper | None = None,
    **options: Any,
) -> TrainedClassifiers:
    """Train a classifier in phases.

    Parameters
    ----------
    module : ClassifierModule
        Trained in place, on the device.
    phases : list of Phase
    store : ImageStore
    seed : int
    device : torch.device
    callbacks : list of skorch callbacks, or None
    keeper : EpochKeeper, optional
        Whose epochs are kept; by default what the last phase leaves.
    **options
        As for `train_phases`.

    Returns
    -------
    TrainedClassifiers

    Raises
    ------
    NonFiniteLossError
        If the loss becomes NaN or infinite.
    TrainingInterrupted
        On Ctrl-C, with the `TrainedClassifiers` so far.
    """
    record = PhaseRecord()
    callbacks = [*(callbacks or []), *([] if keeper is None else [keeper])]
    module.to(device).to(memory_format=torch.channels_last)
    with (
        isolated_rng(seed, device),  # dropout
        deterministic_kernels(device),
        torch.enable_grad(),
    ):
        try:
            train_phases(
                module,
                phases,
                store.to(device),
                record,
                seed=seed,
                callbacks=callbacks,
                device=str(device),
                **options,
            )
        except KeyboardInterrupt as interrupt:
            trained = _collect(module.classifier, record, keeper)
            raise TrainingInterrupted(trained) from interrupt
    return _collect(module.classifier, record, keeper)


def _collect(
    classifier: Classifier, record: PhaseRecord, keeper: EpochKeeper | None
) -> TrainedClassifiers:
    """Return the classifiers that are kept, and the record of their training."""
    if record.history:
        classifier.backbone.weights_origin = "training in phases"
    networks, epochs = [classifier.only_train("all")], record.last_epochs
    if keeper is not None and keeper.states:
        networks = [classifier.copy_with(state) for state in keeper.states]
        epochs = list(keeper.epochs)
    return TrainedClassifiers(networks, record.history, record.n_trainable, epochs)
