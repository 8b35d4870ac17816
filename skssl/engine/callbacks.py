"""What happens at the ends of steps and epochs of a pretraining."""

import math
import time
import warnings
from typing import Any

import torch
from skorch.callbacks import Callback
from tqdm import tqdm

from skssl.exceptions import CollapseWarning, NonFiniteLossError

__all__ = ["CollapseMonitor", "EpochLog", "ProgressBar", "collapse_figure"]

# Healthy features of trained networks have 0.2 to 1, collapsed ones less than 0.01.
_COLLAPSED_BELOW = 0.02


def collapse_figure(features: torch.Tensor) -> torch.Tensor:
    """Return the mean standard deviation of unit-norm features, times √d.

    Parameters
    ----------
    features : Tensor of shape (n, d)

    Returns
    -------
    Tensor, scalar
        0 if all rows point the same way; 1 if directions are uniform on the sphere
        (Chen & He 2021, :doi:`10.1109/CVPR46437.2021.01549`, section 4.1).

    Examples
    --------
    >>> collapse_figure(torch.ones(8, 4))
    tensor(0.)
    """
    unit = torch.nn.functional.normalize(features, dim=1)  # (n, d)
    return unit.std(dim=0, correction=0).mean() * features.shape[1] ** 0.5


class EpochLog(Callback):
    """Write loss, learning rate, speed and collapse figure of each epoch to history.

    The host waits for the device once an epoch, here.
    """

    figures = ("loss", "lr", "images_per_second", "seconds", "feature_std")

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.start_ = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        loss, feature_std = torch.stack(
            [net.epoch_loss_, collapse_figure(net.module_.features)]
        ).tolist()  # sync: once an epoch
        seconds = time.perf_counter() - self.start_
        row = {
            "loss": loss,
            "lr": net.step_lr_,
            "images_per_second": net.epoch_images_ / seconds,
            "seconds": seconds,
            "feature_std": feature_std,
        }
        for name in self.figures:
            net.history.record(name, row[name])
        if not math.isfinite(loss):
            raise NonFiniteLossError(
                f"the pretext loss became {loss} in epoch {net.history[-1, 'epoch']} "
                f"(learning rate {row['lr']:.3g}). Try a lower lr, a longer warm-up "
                "(warmup_epochs), precision='float32', or a higher temperature."
            )


class CollapseMonitor(Callback):
    """Warn after training if all images ended with nearly the same features."""

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        # An interrupted epoch has no figures.
        figure = net.history[-1].get("feature_std", 1.0) if net.history else 1.0
        if figure < _COLLAPSED_BELOW:
            warnings.warn(
                f"the features have collapsed: their spread is {figure:.2g} (0 means "
                "that all images look the same to the backbone). Try a lower lr, "
                "another pretext, or stronger augmentation.",
                CollapseWarning,
                stacklevel=2,
            )


class ProgressBar(Callback):
    """Show steps done and, after each epoch, the figures of its history."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_ = tqdm(total=net.n_steps_, unit="step", desc="pretraining")

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        row = net.history[-1]
        self.bar_.set_postfix(
            epoch=row["epoch"],
            loss=f"{row['loss']:.3f}",
            images_s=f"{row['images_per_second']:.0f}",
            spread=f"{row['feature_std']:.2f}",
        )

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.bar_.close()
