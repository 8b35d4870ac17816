"""Pretraining as a function: settings, images, labels and patients to a result."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from skssl._estimator import learn_reader
from skssl._labels import labelled_rows
from skssl._pretrain.defaults import Lengths, choose_lengths
from skssl._pretrain.probe import Probe
from skssl._random import isolated_rng, spawn_seeds
from skssl._rows import draw_rows
from skssl._warn import warn
from skssl.data import ImageReader, ImageSource, ImageStore
from skssl.encoder import Encoder
from skssl.engine import (
    PretextNet,
    ProbeLog,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)
from skssl.exceptions import SelectionWarning, TrainingInterrupted
from skssl.nn import Backbone, build_backbone, get_schedule
from skssl.pretext import PretextModule, PretextTask, TrainingInfo, get_pretext

__all__ = ["Pretrained", "pretrain"]

Row = dict[str, float]
EpochScore = Callable[[Row], float | None]


class Seeds(NamedTuple):
    """One seed for each thing that is random in a pretraining."""

    rows: int
    weights: int
    order: int
    views: int
    monitors: int


@dataclass
class Pretrained:
    """What a pretraining returns; fields are the attributes of the estimator."""

    encoder: Encoder
    pretext: PretextTask
    history: list[Row]
    n_iter: int
    sample_indices: np.ndarray
    selected_epoch: int
    max_epochs: int
    batch_size: int
    warmup_epochs: int
    optimizer: Any
    lr: float
    precision: str
    initial_probe_score: float | None
    pretext_module: PretextModule | None


def pretrain(
    settings: Any,
    source: ImageSource,
    y: np.ndarray | None,
    groups: np.ndarray | None,
) -> Pretrained:
    """Pretrain a backbone.

    Parameters
    ----------
    settings : SelfSupervisedPretrainer
        Its parameters are read; nothing is set on it.
    source : ImageSource
        The images.
    y : ndarray of shape (n,), or None
        Labels for the probe.
    groups : ndarray of shape (n,), or None
        The patient of each image.

    Returns
    -------
    Pretrained

    Raises
    ------
    ValueError
        If a parameter or an image is not usable.
    NonFiniteLossError
        If the loss becomes NaN or infinite.
    TrainingInterrupted
        On Ctrl-C after a step, with the result so far.
    """
    if settings.select == "probe" and y is None:
        raise ValueError("select='probe' needs probe=... and labels, fit(X, y).")
    device = resolve_device(settings.device)
    seeds = Seeds(*spawn_seeds(settings.random_state, len(Seeds._fields)))
    rows = draw_rows(len(source), settings.fraction, groups, seeds.rows)
    reader = learn_reader(settings, source, rows)
    lengths = choose_lengths(settings, len(rows), reader.image_size, device)
    info = TrainingInfo(
        n_images=len(rows),
        n_channels=reader.image_format.n_channels,
        image_size=reader.image_size,
        batch_size=lengths.batch_size,
        max_epochs=lengths.max_epochs,
        groups=None if groups is None else _numbered(groups[rows]),
    )
    probe = _make_probe_log(
        settings.probe, y, groups, rows=rows, seed=seeds.monitors, device=device
    )
    with (
        isolated_rng(seeds.weights, device),
        deterministic_kernels(device),
        torch.enable_grad(),
    ):
        # Every name is resolved before the images are decoded.
        net = _make_net(
            settings,
            info,
            device=device,
            seeds=seeds,
            warmup_epochs=lengths.warmup_epochs,
            probe=probe,
        )
        store = reader.store(source, rows, groups=groups, n_jobs=settings.n_jobs)
        store = store.to(device)
        _normalize_as(store, net.module_)
        finish = partial(_finish, settings, net, reader, rows, lengths)
        try:
            net.partial_fit(store)
        except KeyboardInterrupt as interrupt:
            if not net.step_:
                raise
            raise TrainingInterrupted(finish()) from interrupt
    return finish()


def _numbered(groups: np.ndarray) -> torch.Tensor:
    """Return the number of each image's patient, from 0."""
    return torch.from_numpy(np.unique(groups, return_inverse=True)[1])


def _make_probe_log(
    probe: Any,
    y: np.ndarray | None,
    groups: np.ndarray | None,
    *,
    rows: np.ndarray,
    seed: int,
    device: torch.device,
) -> ProbeLog | None:
    """Draw the folds of the probe among the labelled rows of the store."""
    if probe is None or y is None:
        return None
    probe = probe if isinstance(probe, Probe) else Probe(probe)
    with_label = labelled_rows(y[rows], probe.estimator)
    labels = np.array(y[rows][with_label].tolist())  # objects become what they are
    patients = None if groups is None else groups[rows][with_label]
    with isolated_rng(seed):  # a splitter may have no random_state
        splits = probe.draw_folds(labels, patients, seed)

    def score(h: np.ndarray) -> np.ndarray:
        with isolated_rng(seed, device):  # nor may the estimator
            return probe.evaluate(h, labels, splits)

    return ProbeLog(with_label, score, probe.every)


def _make_net(
    settings: Any,
    info: TrainingInfo,
    *,
    device: torch.device,
    seeds: Seeds,
    warmup_epochs: int,
    probe: ProbeLog | None,
) -> PretextNet:
    """Put task, backbone, module and training settings together."""
    task = get_pretext(settings.pretext).resolve(info)
    backbone = build_backbone(
        settings.backbone,
        in_channels=info.n_channels,
        image_size=info.image_size,
        weights=settings.weights,
        stem=settings.stem,
    )
    precision = resolve_precision(
        settings.precision, device, task.input_size(info.image_size), backbone
    )
    module = task.build(backbone.only_train(settings.trainable), info)
    optimizer, lr = settings.optimizer, settings.lr
    if optimizer == "auto":
        optimizer = task.default_optimizer
        lr = task.default_lr if lr is None else lr
    return PretextNet(
        module.to(device).to(memory_format=torch.channels_last),
        task=task,
        image_size=info.image_size,
        schedule=get_schedule(settings.schedule),
        warmup=min(1.0, warmup_epochs / max(1, info.max_epochs)),
        precision=precision,
        seeds=(seeds.order, seeds.views, seeds.monitors),
        optimizer=optimizer,
        lr=lr,
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        partner_groups=info.groups if task.same_group == "positive" else None,
        probe=probe,
        select=_epoch_score(settings.select),
        max_epochs=info.max_epochs,
        batch_size=info.batch_size,
        device=str(device),
        callbacks=settings.callbacks,
        show_progress=bool(settings.verbose),
    ).initialize()


def _epoch_score(select: str | EpochScore) -> EpochScore | None:
    """Return the score of an epoch that ``select`` stands for; None keeps the last."""
    if select == "last":
        return None
    if isinstance(select, str):
        metric = {"rankme": "rankme", "probe": "probe_score"}[select]
        return lambda row: row.get(metric)
    return select


def _normalize_as(store: ImageStore, module: PretextModule) -> None:
    """Give backbones with random weights the pixel statistics of the set."""
    if module.backbone.is_trained:
        return
    statistics = store.pixel_statistics()
    for part in module.modules():
        if isinstance(part, Backbone):  # target networks, too
            part.set_normalization(*statistics)


def _finish(
    settings: Any,
    net: PretextNet,
    reader: ImageReader,
    rows: np.ndarray,
    lengths: Lengths,
) -> Pretrained:
    """Return what a training, finished or interrupted, has learned."""
    history, module, task = net.rows(), net.module_, net.task
    if settings.select != "last" and history and net.selected_epoch_ is None:
        warn(
            SelectionWarning(
                f"select={settings.select!r} gave no epoch a score, so the last "
                "weights are kept."
            )
        )
    if net.step_:
        module.backbone.weights_origin = f"{type(task).__name__} pretraining"
    module.forget_step()
    module.backbone.only_train("all")
    return Pretrained(
        encoder=Encoder(reader, module.backbone),
        pretext=task,
        pretext_module=module if settings.keep_module else None,
        history=history,
        n_iter=len(history),
        selected_epoch=net.selected_epoch_ or len(history),
        sample_indices=rows,
        max_epochs=lengths.max_epochs,
        batch_size=lengths.batch_size,
        warmup_epochs=lengths.warmup_epochs,
        optimizer=net.optimizer,
        lr=net.base_lrs_[0],
        precision=net.precision,
        initial_probe_score=None if net.probe is None else net.probe.initial_score_,
    )
