"""Methods whose label is the transformation that was applied to the image."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl.augment import Augmentation
from skssl.nn import Backbone
from skssl.pretext._base import PretextModule, PretextTask, TrainingInfo

__all__ = [
    "WhichViewModule",
    "WhichViewTask",
    "which_view",
    "which_view_loss",
]


def which_view_loss(logits: Tensor, n_views: int) -> Tensor:
    """Return the mean cross-entropy of predicting which view each row belongs to.

    Parameters
    ----------
    logits : Tensor of shape (n_views * n, n_views)
        Rows of the first view of all n images, then those of the second, and so on.
    n_views : int

    Returns
    -------
    Tensor, scalar float32
    """
    with torch.autocast(logits.device.type, enabled=False):
        return functional.cross_entropy(logits.float(), which_view(logits, n_views))


def which_view(rows: Tensor, n_views: int) -> Tensor:
    """Return the label of each row: the view that it belongs to.

    Parameters
    ----------
    rows : Tensor of shape (n_views * n, ...)
        As in `which_view_loss`.
    n_views : int

    Returns
    -------
    Tensor of shape (n_views * n,), int64

    Examples
    --------
    >>> which_view(torch.zeros(4, 2), 2)
    tensor([0, 0, 1, 1])
    """
    view = torch.arange(n_views, device=rows.device)
    return view.repeat_interleave(len(rows) // n_views)


class WhichViewModule(PretextModule):
    """A backbone with a linear head that classifies the views of an image.

    All views pass as one batch, so that BatchNorm's statistics do not reveal the view.

    Parameters
    ----------
    backbone : Backbone
    n_views : int
        Number of views, and of classes.
    """

    def __init__(self, backbone: Backbone, n_views: int) -> None:
        super().__init__(backbone)
        self.head = nn.Linear(backbone.n_features, n_views)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        h = self.backbone(torch.cat(views))  # (n_views * n, d)
        logits = self.head(h)  # (n_views * n, n_views)
        return which_view_loss(logits, len(views))


class WhichViewTask(PretextTask):
    """A pretext that predicts which of several transformations was applied.

    Subclasses define ``n_versions`` and ``versions``.

    Attributes
    ----------
    n_versions : int
        Number of transformations, and of classes.
    """

    n_versions: int
    default_augmentation = "cross"

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "augmentation": [str, Augmentation],
    }

    def __init__(self, *, augmentation: str | Augmentation = "auto"):
        self.augmentation = augmentation

    @abstractmethod
    def versions(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images in each version, exactly, without resampling.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), any dtype

        Returns
        -------
        tuple of n_versions Tensors of shape (n, C, H, W)
            Label k is the position in this tuple; the first is ``images`` unchanged.
        """

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make one view of each image, in each version.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)

        Returns
        -------
        tuple of n_versions Tensors of shape (n, C, height, width), float32 in [0, 1]
        """
        return self.versions(self.augment(images, generator, size))

    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:  # noqa: ARG002
        """Return the backbone with a linear head; see `PretextTask.build`."""
        return WhichViewModule(backbone, self.n_versions)
