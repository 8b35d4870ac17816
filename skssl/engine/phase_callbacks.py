"""Callbacks of a training in phases: log, and weights to keep."""

import copy
import math
import time
from collections import deque
from typing import Any

import torch
from skorch.callbacks import Callback

from skssl.engine.callbacks import record_epoch
from skssl.exceptions import NonFiniteLossError

__all__ = ["EpochKeeper", "PhaseLog"]


class PhaseLog(Callback):
    """Record the values of each epoch in the history, with one sync."""

    columns = (
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "lr",
        "images_per_second",
        "seconds",
    )

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.start_ = time.perf_counter()
        net.module_.n_right.zero_()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        accuracy = net.module_.n_right / (net.epoch_images_ * net.n_versions)
        read = [torch.stack([net.epoch_loss_, accuracy])]
        names = ["loss", "accuracy"]
        if net.score is not None:
            read.append(net.score(net.module_.classifier))
            names += ["val_loss", "val_accuracy"]
        values = dict(zip(names, torch.cat(read).tolist(), strict=True))  # sync
        seconds = time.perf_counter() - self.start_
        record_epoch(net, values, seconds)
        if not math.isfinite(values["loss"]):
            raise NonFiniteLossError(
                f"the loss became {values['loss']} in epoch {net.history[-1, 'epoch']}"
                f" of phase {net.number} (learning rate {net.step_lr_:.3g}). Try a "
                "lower lr in phases, or precision='float32'."
            )


class EpochKeeper(Callback):
    """Keep the weights of the last epochs, or of the best one, over all phases.

    Parameters
    ----------
    n_last : int or None
        Number of epochs. None keeps the one with the highest ``val_accuracy``; of
        several, the one with the lowest ``val_loss``.

    Attributes
    ----------
    states : deque of state dicts
        State dicts of the classifier.
    epochs : deque of int
        Their numbers, counted over all phases, from 1.
    """

    def __init__(self, n_last: int | None = None):
        self.n_last = n_last
        self.states: deque[dict[str, torch.Tensor]] = deque(maxlen=n_last or 1)
        self.epochs: deque[int] = deque(maxlen=n_last or 1)
        self.best_ = (-math.inf, -math.inf)
        self.epoch_ = 0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.epoch_ += 1
        if self.n_last is None:
            row = net.history[-1]
            score = (row["val_accuracy"], -row["val_loss"])
            if not score > self.best_:
                return
            self.best_ = score
        self.states.append(copy.deepcopy(net.kept_module_.state_dict()))
        self.epochs.append(self.epoch_)
