"""Callbacks of a pretraining: log, probe, weight selection, collapse, progress."""

import copy
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

from skssl._random import make_generator
from skssl._warn import warn
from skssl.engine.monitors import (
    alignment,
    eval_outputs,
    feature_rank,
    feature_spread,
    uniformity,
)
from skssl.engine.precision import autocast
from skssl.exceptions import CollapseWarning, NonFiniteLossError

__all__ = ["CollapseMonitor", "EpochLog", "ProbeLog", "ProgressBar", "WeightSelection"]

# Healthy features of trained networks have 0.2 to 1, collapsed ones less than 0.01.
_COLLAPSED_BELOW = 0.02
# Images that the monitors use: a sixteenth costs 2 % of an epoch of SimCLR.
_FEWEST, _MOST = 32, 128


class EpochLog(Callback):
    """Record loss, learning rate, speed and monitors of each epoch in the history.

    The monitors use the same few images and views after every epoch. The host waits
    for the device here, once an epoch.

    Parameters
    ----------
    seed : int
        Draws the images and their views.
    """

    columns = (
        "loss",
        "lr",
        "images_per_second",
        "seconds",
        "feature_std",
        "rankme",
        "alignment",
        "uniformity",
    )

    def __init__(self, seed: int = 0):
        self.seed = seed

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        n = len(X)
        n_drawn = min(n, max(_FEWEST, min(_MOST, n // 16)))
        drawn = torch.randperm(n, generator=make_generator(self.seed))[:n_drawn]
        device = torch.device(net.device)
        images = X.take(drawn.to(X.device)).to(device)  # (m, C, H, W)
        self.images_ = images
        self.views_ = net.task.augment(
            images, make_generator(self.seed, device), net.image_size
        )  # (m, C, h, w)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.start_ = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        device = torch.device(net.device)
        backbone = net.module_.backbone
        with autocast(net.precision, device):
            h, h_views = (
                eval_outputs(backbone, images, net.image_size, device)
                for images in (self.images_, self.views_)
            )  # (m, d) each
        loss = net.epoch_loss_.expand(h.shape[1])
        read = torch.cat([h, h_views, loss[None]]).cpu()  # sync: once an epoch
        seconds = time.perf_counter() - self.start_
        values = _epoch_values(*read.split([len(h), len(h_views), 1]))
        record_epoch(net, values, seconds)
        if not math.isfinite(values["loss"]):
            raise NonFiniteLossError(
                f"the pretext loss became {values['loss']} in epoch "
                f"{net.history[-1, 'epoch']} (learning rate {net.step_lr_:.3g}). Try a "
                "lower lr, a longer warm-up (warmup_epochs), precision='float32', or a "
                "higher temperature."
            )


def record_epoch(net: Any, values: dict[str, float], seconds: float) -> None:
    """Record the values of an epoch, its learning rate and its speed."""
    for name, value in {
        "lr": net.step_lr_,
        "seconds": seconds,
        "images_per_second": net.epoch_images_ / seconds,
        **values,
    }.items():
        net.history.record(name, value)


def _epoch_values(h: Tensor, h_views: Tensor, loss: Tensor) -> dict[str, float]:
    """Return the loss and the monitors; NaN where features are not finite."""
    is_finite = torch.cat([h, h_views]).isfinite().all()
    h, h_views = h.nan_to_num(0, 0, 0), h_views.nan_to_num(0, 0, 0)
    monitors = {
        "feature_std": feature_spread(h),
        "rankme": feature_rank(h),
        "alignment": alignment(h, h_views),
        "uniformity": uniformity(h),
    }
    values = torch.stack(list(monitors.values()))
    values = torch.where(is_finite, values, math.nan)
    numbers = torch.cat([loss[0, :1], values]).tolist()
    return dict(zip(("loss", *monitors), numbers, strict=True))


class ProbeLog(Callback):
    """Score the features of labelled images every few epochs, and after ``max_epochs``.

    Parameters
    ----------
    rows : ndarray of int
        The labelled images of the store.
    score : callable
        Takes their features (m, d), float32, and returns the scores of the folds.
    every : int
        Epochs from one probe to the next.
    """

    columns = ("probe_score", "probe_std")

    def __init__(
        self,
        rows: np.ndarray,
        score: Callable[[np.ndarray], np.ndarray],
        every: int = 1,
    ):
        self.rows = rows
        self.score = score
        self.every = every
        self.initial_score_: float | None = None

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        rows = torch.from_numpy(self.rows).to(X.device)
        self.images_ = X.images if len(rows) == len(X) else X.take(rows)
        # A probe that cannot work fails now, and not after hours.
        try:
            scores = self._scores(net)
        except ValueError as error:
            raise ValueError(
                f"probe: the features before training cannot be scored: {error}"
            ) from error
        if not np.isfinite(scores).all():
            raise ValueError(
                f"probe: the scores of the folds are {scores}: a fold may hold one "
                "class only. Use fewer folds, or another scoring."
            )
        self.initial_score_ = float(np.mean(scores))

    def _scores(self, net: Any) -> np.ndarray:
        h = eval_outputs(
            net.module_.backbone,
            self.images_,
            net.image_size,
            torch.device(net.device),
        )
        return self.score(h.cpu().numpy())  # sync: once a probe

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        epoch = net.history[-1, "epoch"]
        if epoch % self.every and epoch != net.max_epochs:
            return
        scores = self._scores(net)
        net.history.record("probe_score", float(np.mean(scores)))
        net.history.record("probe_std", float(np.std(scores)))


class WeightSelection(Callback):
    """Keep the weights of the epoch whose history row scores highest.

    Parameters
    ----------
    score : callable
        Takes the row, a dictionary of numbers, and returns a number; higher is better.
        None or NaN skips the epoch.

    Raises
    ------
    ValueError
        After the first epoch, if ``score`` fails or returns something else.
    """

    def __init__(self, score: Callable[[dict[str, float]], float | None]):
        self.score = score

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.best_: float = -math.inf
        self.epoch_: int | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        row = net.rows()[-1]
        try:
            score = self.score(row)
            score = None if score is None else float(score)
        except Exception as error:
            raise ValueError(
                f"select: the callable must return a number or None for a row with "
                f"{', '.join(row)}, but it raised {error!r}."
            ) from error
        if score is not None and score > self.best_:  # never true of NaN
            self.best_ = score
            self.epoch_ = row["epoch"]
            self.weights_ = copy.deepcopy(net.kept_module_.state_dict())

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        if self.epoch_ is not None:
            net.kept_module_.load_state_dict(self.weights_)
            net.selected_epoch_ = self.epoch_
            del self.weights_


class CollapseMonitor(Callback):
    """Warn after training if all images have nearly the same features.

    It checks the epoch whose weights are kept; `WeightSelection` must come first.
    """

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        if not net.history:
            return
        # An interrupted epoch has no values.
        kept = net.history[(net.selected_epoch_ or 0) - 1]  # -1, the last, if none is
        std = kept.get("feature_std", 1.0)
        if std < _COLLAPSED_BELOW:
            warn(
                CollapseWarning(
                    "the features have collapsed: their standard deviation is "
                    f"{std:.2g} (0 means that all images have the same features). Try "
                    "a lower lr, another pretext, or stronger augmentation."
                ),
            )


class ProgressBar(Callback):
    """Show the steps done and, after each epoch, values of its history row.

    Parameters
    ----------
    title : str
    columns : tuple of str
        Keys of the row; missing ones are skipped.
    """

    def __init__(
        self,
        title: str = "pretraining",
        columns: tuple[str, ...] = ("loss", "images_per_second", "rankme"),
    ):
        self.title = title
        self.columns = columns

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_ = tqdm(total=net.n_steps_, unit="step", desc=self.title)

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        row = net.history[-1]
        keys = (*self.columns, "probe_score", "val_accuracy")
        shown = {key: f"{row[key]:.4g}" for key in keys if key in row}
        self.bar_.set_postfix({"epoch": row["epoch"], **shown})

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_.close()
