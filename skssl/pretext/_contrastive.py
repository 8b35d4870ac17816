"""Patients in contrastive methods: which images are no negatives of each other.

Azizi et al. 2021 make the second view from another image of the same patient (MICLe,
:doi:`10.1109/ICCV48922.2021.00346`).
"""

from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl._sklearn import StrOptions
from skssl.nn import Backbone
from skssl.pretext._base import PretextModule, PretextTask, TrainingInfo

__all__ = ["ContrastiveModule", "ContrastiveTask"]


class ContrastiveModule(PretextModule):
    """A module that stores the patients of its training images, if it needs them.

    Parameters
    ----------
    backbone : Backbone
    task : ContrastiveTask
        A resolved task.
    info : TrainingInfo
    """

    groups: Tensor | None

    def __init__(
        self, backbone: Backbone, task: "ContrastiveTask", info: TrainingInfo
    ) -> None:
        super().__init__(backbone)
        groups = None if task.same_group == "negative" else info.groups
        # Not persistent: it describes the training set, and build sets it again.
        self.register_buffer("groups", groups, persistent=False)

    def is_same_group(self, index: Tensor, others: Tensor) -> Tensor | None:
        """Return which other images are of the same patient as each image.

        Parameters
        ----------
        index : Tensor of shape (n,), int64
            Positions of images in the training set.
        others : Tensor of shape (m,), int64
            Positions of other images; -1 stands for no image.

        Returns
        -------
        Tensor of shape (n, m), bool, or None
            None with ``same_group="negative"``, which ignores patients.
        """
        if self.groups is None:
            return None
        same = self.groups[index][:, None] == self.groups[others]  # (n, m)
        return same & (others >= 0)


class ContrastiveTask(PretextTask):
    """A pretext with negatives, which has a parameter ``same_group``.

    "negative" treats other images of the same patient as any other image. "ignore"
    excludes them from the negatives. "positive" makes the second view from another
    image of the patient (from the image itself if there is no other), and also excludes
    the patient's images from the negatives. The last two need ``groups`` in ``fit``.
    """

    group_constraint: ClassVar[dict[str, list]] = {
        "same_group": [StrOptions({"negative", "ignore", "positive"})]
    }

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy, after a check of the patients; see `PretextTask.resolve`."""
        task = super().resolve(info)
        if self.same_group == "negative":
            return task
        setting = f"same_group={self.same_group!r} of {type(self).__name__}"
        if info.groups is None:
            raise ValueError(
                f"{setting} needs the patient of each image: fit(X, groups=...)."
            )
        if not info.groups.any():
            raise ValueError(
                f"{setting} leaves no negatives: the training images (a subset of X if "
                "fraction < 1) are all of one patient."
            )
        return task

    def views(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        size: tuple[int, int],
        partners: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Make two views of each image, or one of the image and one of its partner.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
        size : (height, width)
        partners : Tensor of shape (n, C, H, W), uint8, optional
            Source of the second view, instead of ``images``.

        Returns
        -------
        tuple of 2 Tensors of shape (n, C, height, width), float32 in [0, 1]
        """
        second = images if partners is None else partners
        return (
            self.augment(images, generator, size),
            self.augment(second, generator, size),
        )
