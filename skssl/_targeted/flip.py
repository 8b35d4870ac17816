"""TargetedFlipPretrainer: the targeted pretraining of Ewen & Khan 2020."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from skssl._random import RandomState
from skssl._targeted.pretrainer import TargetedPretrainer
from skssl.augment import Augmentation, get_recipe
from skssl.data import Color, Resize
from skssl.engine import Phase


class TargetedFlipPretrainer(TargetedPretrainer):
    """Pretrain backbone and head to distinguish images from their mirror images.

    This is `TargetedPretrainer` with ``task="flip"`` and, by default, the three phases
    of Ewen & Khan 2020, :doi:`10.48550/arXiv.2011.10188`. Their low learning rates are
    for ImageNet weights; use ``phases="scratch"`` for random ones.

    Parameters
    ----------
    backbone, weights, stem, head, hidden_size, dropout, phases, augmentation
        As in `TargetedPretrainer`, but ``phases="ewen2020_pretext"`` by default.
    fraction, validation_fraction
        As in `TargetedPretrainer`.
    image_size, image_shape, value_range, out_of_range, color, resize
        As in `SelfSupervisedPretrainer`.
    precision, device, callbacks, cache, n_jobs, random_state, verbose
        As in `SelfSupervisedPretrainer`.

    Examples
    --------
    >>> from skssl import TargetedFlipPretrainer
    >>> TargetedFlipPretrainer(backbone="densenet169", weights="imagenet")
    TargetedFlipPretrainer(backbone='densenet169', weights='imagenet')
    """

    _makers: ClassVar[dict[str, Callable]] = {"augmentation": get_recipe}
    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: constraint
        for name, constraint in TargetedPretrainer._parameter_constraints.items()
        if name not in ("task", "n_classes")
    }
    task = "flip"
    n_classes = 2

    def __init__(
        self,
        *,
        backbone: str | nn.Module | Callable[[], nn.Module] = "resnet18",
        weights: Any = None,
        stem: str = "auto",
        head: str = "mlp",
        hidden_size: int = 1024,
        dropout: float = 0.5,
        phases: str | list[Phase] = "ewen2020_pretext",
        augmentation: str | Augmentation | None = None,
        fraction: float = 1.0,
        validation_fraction: Any = 0.0,
        image_size: int | Sequence[int] | None = None,
        image_shape: Sequence[int] | str | None = None,
        value_range: Sequence[float] | str = "auto",
        out_of_range: str = "auto",
        color: Color = "auto",
        resize: Resize = "squash",
        precision: str = "auto",
        device: str | torch.device = "auto",
        callbacks: list | None = None,
        cache: Any = None,
        n_jobs: int | None = -1,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        super().__init__(
            self.task,
            n_classes=self.n_classes,
            backbone=backbone,
            weights=weights,
            stem=stem,
            head=head,
            hidden_size=hidden_size,
            dropout=dropout,
            phases=phases,
            augmentation=augmentation,
            fraction=fraction,
            validation_fraction=validation_fraction,
            image_size=image_size,
            image_shape=image_shape,
            value_range=value_range,
            out_of_range=out_of_range,
            color=color,
            resize=resize,
            precision=precision,
            device=device,
            callbacks=callbacks,
            cache=cache,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )
