"""Targeted pretraining as a function: settings and images to a result."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skssl._estimator import learn_reader
from skssl._random import isolated_rng, spawn_seeds
from skssl._results import PhasedResult
from skssl._rows import inner_split
from skssl._warn import warn
from skssl.data import ImageReader, ImageSource
from skssl.engine import (
    Phase,
    Score,
    VersionModule,
    get_phases,
    resolve_device,
    resolve_precision,
    score_versions,
    train_classifier,
    untrained,
)
from skssl.exceptions import NothingLearnedWarning, TrainingInterrupted
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.pretext import TrainingInfo, WhichViewTask, targeted_task

__all__ = ["Targeted", "train_targeted"]

_AT_CHANCE = 0.97  # of the logarithm of the number of classes

Rows = np.ndarray


@dataclass
class Targeted(PhasedResult):
    """What a targeted pretraining returns."""

    task: WhichViewTask


def train_targeted(
    settings: Any,
    source: ImageSource,
    n_classes: int | None,
    groups: np.ndarray | None,
) -> Targeted:
    """Pretrain backbone and head on recognising the versions of images.

    Parameters
    ----------
    settings : TargetedPretrainer
        Its parameters are read; nothing is set on it.
    source : ImageSource
        The images.
    n_classes : int or None
        Classes of the later task, where they are known.
    groups : ndarray of shape (n,), or None
        The patient of each image.

    Returns
    -------
    Targeted

    Raises
    ------
    ValueError
        If a parameter or an image is not usable.
    NonFiniteLossError
        If the loss becomes NaN or infinite.
    TrainingInterrupted
        On Ctrl-C, with the result so far.
    """
    device = resolve_device(settings.device)
    task = targeted_task(settings.task, n_classes)
    split_seed, weights_seed, seed = spawn_seeds(settings.random_state, 3)
    train, held = _split(settings, len(source), groups, split_seed)
    shown = train if len(train) else np.arange(len(source))
    reader = learn_reader(settings, source, shown)
    with isolated_rng(weights_seed, device):
        classifier, task, phases = _build(settings, task, reader, len(train))
    precision = resolve_precision(
        settings.precision, device, reader.image_size, classifier.backbone
    )
    store = reader.store(source, shown, n_jobs=settings.n_jobs)
    if not classifier.backbone.is_trained:
        classifier.backbone.set_normalization(*store.pixel_statistics())

    finish = partial(
        Targeted.from_training,
        reader=reader,
        task=task,
        phases=phases,
        sample_indices=train,
        validation_indices=held,
        precision=precision,
    )
    if not len(train):
        return finish(untrained(classifier.to(device)))
    score = _score_on(source, held, task, reader, device=device, n_jobs=settings.n_jobs)
    metric = "loss" if score is None else "val_loss"
    try:
        trained = train_classifier(
            VersionModule(classifier),
            phases,
            store,
            seed=seed,
            device=device,
            callbacks=settings.callbacks,
            image_size=reader.image_size,
            precision=precision,
            show_progress=bool(settings.verbose),
            task=task,
            n_versions=task.n_versions,
            select=lambda row: -row[metric],
            score=score,
        )
    except TrainingInterrupted as interrupt:
        raise TrainingInterrupted(finish(interrupt.result)) from interrupt
    _warn_if_nothing_was_learned(trained.history, metric, task.n_versions)
    return finish(trained)


def _split(
    settings: Any, n_images: int, groups: np.ndarray | None, seed: int
) -> tuple[Rows, Rows]:
    """Return the rows to train on, and those that choose the lowest loss."""
    rows = np.arange(round(settings.fraction * n_images))
    if settings.fraction == 0:
        return rows, rows
    train, held = inner_split(
        rows, settings.validation_fraction, groups=groups, seed=seed
    )
    if len(train) < 2:
        raise ValueError(
            f"fraction={settings.fraction} of {n_images} images leaves {len(train)} to "
            "train on: at least 2 are needed for a batch."
        )
    return train, held


def _build(
    settings: Any, task: WhichViewTask, reader: ImageReader, n_images: int
) -> tuple[Classifier, WhichViewTask, list[Phase]]:
    """Make the classifier, and settle the task and the phases that train it."""
    n_channels = reader.image_format.n_channels
    backbone = build_backbone(
        settings.backbone,
        in_channels=n_channels,
        image_size=reader.image_size,
        weights=settings.weights,
        stem=settings.stem,
    )
    phases = settings.phases
    if phases == "auto":
        phases = "ewen2020_pretext" if backbone.is_trained else "scratch"
    phases = get_phases(phases)
    info = TrainingInfo(
        n_images=max(2, n_images),
        n_channels=n_channels,
        image_size=reader.image_size,
        batch_size=phases[0].batch_size,
    )
    task = _with_augmentation(settings, task).resolve(info)
    head = ClassifierHead(
        backbone.n_features,
        task.n_versions,
        kind=settings.head,
        hidden_size=settings.hidden_size,
        dropout=settings.dropout,
    )
    return Classifier(backbone, head), task, phases


def _with_augmentation(settings: Any, task: WhichViewTask) -> WhichViewTask:
    """Return a copy of the task with the augmentation that was asked for."""
    augmentation = settings.augmentation
    if augmentation is None:
        is_object = isinstance(settings.task, WhichViewTask)
        augmentation = task.augmentation if is_object else "identity"
    return clone(task).set_params(augmentation=augmentation)


def _score_on(
    source: ImageSource,
    held: Rows,
    task: WhichViewTask,
    reader: ImageReader,
    *,
    device: torch.device,
    n_jobs: int | None,
) -> Score | None:
    """Return the score on the validation split, if there is one."""
    if not len(held):
        return None
    store = reader.store(source, held, size=reader.image_size, n_jobs=n_jobs)
    return score_versions(store.images, task, reader.image_size, device)


def _warn_if_nothing_was_learned(
    history: list[dict[str, float]], metric: str, n_versions: int
) -> None:
    lowest = min(row[metric] for row in history)
    chance = float(np.log(n_versions))
    if lowest > _AT_CHANCE * chance:
        warn(
            NothingLearnedWarning(
                f"the pretext was not learned: its {metric} stayed at {lowest:.3f}, "
                f"and guessing has {chance:.3f}. Random weights need "
                "phases='scratch'; the task must change the images."
            )
        )
