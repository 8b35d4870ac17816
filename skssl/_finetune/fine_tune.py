"""Fine-tuning as a function: settings, images, labels and patients to a result."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.class_weight import compute_sample_weight

from skssl._finetune.choices import check_choices, choose_phases, make_views
from skssl._finetune.labelled import Labelled, check_class_weight, to_mean_one
from skssl._finetune.start import (
    fit_pretrainer,
    make_classifier,
    make_reader,
)
from skssl._random import isolated_rng, spawn_seeds
from skssl._results import PhasedResult
from skssl._rows import inner_split, rows_apart
from skssl._sklearn import safe_indexing
from skssl.data import ImageReader, ImageSource
from skssl.engine import (
    EpochKeeper,
    LabelledViews,
    LabelModule,
    Phase,
    TrainedClassifiers,
    get_phases,
    resolve_device,
    resolve_precision,
    score_labels,
    train_classifier,
    untrained,
)
from skssl.exceptions import TrainingInterrupted
from skssl.nn import Classifier
from skssl.pretext import TrainingInfo

__all__ = ["FineTuned", "fine_tune"]

Rows = np.ndarray


class Seeds(NamedTuple):
    """One seed for each thing that is random in a fine-tuning."""

    split: int
    pretraining: int
    weights: int
    training: int


@dataclass
class FineTuned(PhasedResult):
    """What a fine-tuning returns."""

    classes: np.ndarray
    pretrainer: Any


@dataclass
class _Plan:
    """All that is settled before the training begins."""

    device: torch.device
    reader: ImageReader
    precision: str
    classifier: Classifier
    module: LabelModule
    views: LabelledViews
    phases: list[Phase]


def fine_tune(
    settings: Any,
    pretrainer: Any,
    X: Any,
    source: ImageSource,
    *,
    labelled: Labelled,
    groups: np.ndarray | None,
) -> FineTuned:
    """Pretrain, if asked to, and train a classifier.

    Parameters
    ----------
    settings : FineTuneClassifier
        Its parameters are read; nothing is set on it.
    pretrainer : pretrainer or None
        A copy to be fitted, or a frozen one; see `find_pretrainer`.
    X : images, n of them
        For the pretrainer, which reads them itself.
    source : ImageSource
        The same images.
    labelled : Labelled
    groups : ndarray of shape (n,), or None
        The patient of each image.

    Returns
    -------
    FineTuned

    Raises
    ------
    ValueError
        If a parameter or an image is not usable.
    NonFiniteLossError
        If a loss becomes NaN or infinite.
    TrainingInterrupted
        On Ctrl-C, with the result so far.
    """
    device = resolve_device(settings.device)
    check_choices(settings, pretrainer, len(labelled.classes))
    check_class_weight(settings.class_weight, labelled.classes)
    seeds = Seeds(*spawn_seeds(settings.random_state, len(Seeds._fields)))
    train, held = inner_split(
        labelled.rows,
        settings.validation_fraction,
        y=labelled.classes[labelled.target],
        groups=groups,
        seed=seeds.split,
    )
    interrupt = None
    if pretrainer is not None:
        # Neither held-out rows nor other rows of their patients.
        rows = rows_apart(held, len(source), groups)
        seen = [
            None if values is None else safe_indexing(values, rows)
            for values in (X, labelled.y, groups)
        ]
        interrupt = fit_pretrainer(settings, pretrainer, *seen, seed=seeds.pretraining)
    plan = _make_plan(
        settings,
        pretrainer,
        source,
        labelled,
        train=train,
        seed=seeds.weights,
        device=device,
    )
    finish = partial(
        FineTuned.from_training,
        reader=plan.reader,
        classes=labelled.classes,
        pretrainer=pretrainer,
        phases=plan.phases,
        sample_indices=train,
        validation_indices=held,
        precision=plan.precision,
    )
    if interrupt is not None:
        result = finish(untrained(plan.classifier.to(plan.device)))
        raise TrainingInterrupted(result) from interrupt
    try:
        trained = _train(
            settings,
            plan,
            source,
            labelled,
            train=train,
            held=held,
            seed=seeds.training,
        )
    except TrainingInterrupted as stop:
        raise TrainingInterrupted(finish(stop.result)) from stop
    return finish(trained)


def _make_plan(
    settings: Any,
    pretrainer: Any,
    source: ImageSource,
    labelled: Labelled,
    *,
    train: Rows,
    seed: int,
    device: torch.device,
) -> _Plan:
    """Settle reader, views, network and phases."""
    reader = make_reader(settings, pretrainer, source, train)
    info = TrainingInfo(
        n_images=len(train),
        n_channels=reader.image_format.n_channels,
        image_size=reader.image_size,
        batch_size=2,
    )
    views = make_views(settings, pretrainer, info)
    with isolated_rng(seed, device):
        classifier = make_classifier(
            settings, pretrainer, reader, len(labelled.classes)
        )
        module = _make_module(settings, classifier, labelled, train, views)
    return _Plan(
        device=device,
        reader=reader,
        precision=resolve_precision(
            settings.precision, device, reader.image_size, classifier.backbone
        ),
        classifier=classifier,
        module=module,
        views=views,
        phases=get_phases(choose_phases(settings, classifier.backbone.is_trained)),
    )


def _make_module(
    settings: Any,
    classifier: Classifier,
    labelled: Labelled,
    train: Rows,
    views: LabelledViews,
) -> LabelModule:
    """Put the classifier together with the labels that it is to learn."""
    weight = labelled.weight[train]
    if settings.class_weight is not None:
        # Of the training split alone: what is held out changes no weight.
        labels = labelled.classes[labelled.target[train]]
        weight = weight * compute_sample_weight(settings.class_weight, labels)
    auxiliary = views.auxiliary
    return LabelModule(
        classifier,
        torch.from_numpy(labelled.target[train]),
        weight=to_mean_one(weight),
        label_smoothing=settings.label_smoothing,
        n_versions=None if auxiliary is None else auxiliary.n_versions,
        auxiliary_weight=settings.auxiliary_weight,
    )


def _train(
    settings: Any,
    plan: _Plan,
    source: ImageSource,
    labelled: Labelled,
    *,
    train: Rows,
    held: Rows,
    seed: int,
) -> TrainedClassifiers:
    """Decode the images and train in phases."""
    reader, backbone = plan.reader, plan.classifier.backbone
    store = reader.store(source, train, n_jobs=settings.n_jobs)
    if settings.pretrainer is None and not backbone.is_trained:
        backbone.set_normalization(*store.pixel_statistics())
    score = None
    if len(held):
        images = reader.store(
            source, held, size=reader.image_size, n_jobs=settings.n_jobs
        ).images
        target = torch.from_numpy(labelled.target[held])
        score = score_labels(images, target, reader.image_size, plan.device)
    keeper = None
    if settings.selection != "last":
        keeper = EpochKeeper(
            None if settings.selection == "best" else settings.n_average
        )
    return train_classifier(
        plan.module,
        plan.phases,
        store,
        seed=seed,
        device=plan.device,
        callbacks=settings.callbacks,
        keeper=keeper,
        image_size=reader.image_size,
        precision=plan.precision,
        show_progress=bool(settings.verbose),
        task=plan.views,
        score=score,
    )
