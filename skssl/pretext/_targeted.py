"""Pretexts with as many classes as the later task, for targeted pretraining.

Ewen & Khan 2020.
"""

from functools import lru_cache
from numbers import Integral
from typing import ClassVar, Self

import torch
from torch import Tensor

from skssl._names import unknown_name
from skssl._sklearn import Interval
from skssl.augment import Augmentation
from skssl.augment.tiles import maximal_hamming_permutations
from skssl.pretext._base import TrainingInfo
from skssl.pretext._labelled import WhichViewTask
from skssl.pretext.flip import Flip
from skssl.pretext.rotation import Rotation

__all__ = ["TARGETED_TASKS", "Dihedral", "Quadrants", "targeted_task"]

_MOST_ORDERS = 24  # of four quadrants


class Dihedral(WhichViewTask):
    """Predict which of eight poses a square image has: four turns, mirrored or not.

    Parameters
    ----------
    augmentation : str or Augmentation, default="auto"
        As for `Rotation`, and without flips.

    Notes
    -----
    Class k is a rotation by k mod 4 quarter turns counter-clockwise, of the mirror
    image if k is 4 or more. It combines the flip of Ewen & Khan and the rotations of
    Gidaris et al.

    Examples
    --------
    >>> import torch
    >>> from skssl.pretext import Dihedral
    >>> len(Dihedral().versions(torch.zeros(1, 1, 8, 8)))
    8
    """

    n_versions = 8
    forbidden_augmentations: ClassVar[dict[str, str]] = {
        **Rotation.forbidden_augmentations,
        **Flip.forbidden_augmentations,
    }

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy for square images; see `PretextTask.resolve`."""
        Rotation().resolve(info)  # refuses what is not square
        return super().resolve(info)

    def versions(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images in each pose; see `WhichViewTask.versions`."""
        quarter_turns = Rotation().versions
        return *quarter_turns(images), *quarter_turns(images.flip(3))


class Quadrants(WhichViewTask):
    """Predict the order in which the four quadrants of an image were arranged.

    Parameters
    ----------
    n_orders : int, default=3
        Number of orders, and of classes, 2 to 24.
    augmentation : str or Augmentation, default="auto"
        Recipe of the view whose quadrants are then moved.

    Notes
    -----
    Class 0 is the unchanged image. The orders are chosen such that any two have as few
    quadrants as possible in the same position. If a side has an odd length, its last
    row or column is not moved. The whole image passes the network, as in Carlucci et
    al. 2019 [1]_, who move nine tiles: the network is then that of the later task.

    References
    ----------
    .. [1] F. M. Carlucci, A. D'Innocente, S. Bucci, B. Caputo, T. Tommasi. "Domain
       Generalization by Solving Jigsaw Puzzles", CVPR 2019.
       :doi:`10.1109/CVPR.2019.00233`

    Examples
    --------
    >>> import torch
    >>> from skssl.pretext import Quadrants
    >>> versions = Quadrants(n_orders=2).versions(torch.arange(4.0).view(1, 1, 2, 2))
    >>> [version.flatten().tolist() for version in versions]
    [[0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 0.0]]
    """

    forbidden_augmentations: ClassVar[dict[str, str]] = {
        "horizontal_flip": "the label is where the left and right quadrants are",
        "vertical_flip": "the label is where the top and bottom quadrants are",
    }

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **WhichViewTask._parameter_constraints,
        "n_orders": [Interval(Integral, 2, _MOST_ORDERS, closed="both")],
    }

    def __init__(self, *, n_orders: int = 3, augmentation: str | Augmentation = "auto"):
        self.n_orders = n_orders
        self.augmentation = augmentation

    @property
    def n_versions(self) -> int:  # type: ignore[override]
        """The number of orders."""
        return self.n_orders

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy for images that have quadrants; see `PretextTask.resolve`."""
        if min(info.image_size) < 2:
            raise ValueError(
                "image_size must be at least 2 px in height and width for Quadrants, "
                f"got {info.image_size}."
            )
        return super().resolve(info)

    def versions(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the images in each order; see `WhichViewTask.versions`."""
        return tuple(
            _reorder(images, order) for order in _quadrant_orders(self.n_orders)
        )


@lru_cache(maxsize=32)
def _quadrant_orders(n_orders: int) -> tuple[tuple[int, ...], ...]:
    """Return orders that differ in many positions; the first moves nothing."""
    orders = maximal_hamming_permutations(n_orders, 4)  # (n_orders, 4)
    undo = orders[0].argsort()
    return tuple(tuple(order) for order in orders[:, undo].tolist())


def _reorder(images: Tensor, order: tuple[int, ...]) -> Tensor:
    """Put quadrant ``order[k]`` at position k.

    Positions are top left, top right, bottom left and bottom right.
    """
    h, w = images.shape[2] // 2, images.shape[3] // 2
    quadrants = [
        (slice(top, top + h), slice(left, left + w))
        for top in (0, h)
        for left in (0, w)
    ]
    moved = images.clone(memory_format=torch.preserve_format)
    for quadrant, source in zip(quadrants, order, strict=True):
        moved[:, :, *quadrant] = images[:, :, *quadrants[source]]
    return moved


#: Tasks of `TargetedPretrainer` by name.
TARGETED_TASKS: dict[str, type[WhichViewTask]] = {
    "flip": Flip,
    "rotation": Rotation,
    "dihedral": Dihedral,
    "quadrants": Quadrants,
}


def targeted_task(task: str | WhichViewTask, n_classes: int | None) -> WhichViewTask:
    """Return the pretext with as many classes as the later task.

    Parameters
    ----------
    task : {"auto", "flip", "rotation", "dihedral", "quadrants"} or WhichViewTask
        "auto" is flip for 2 classes, rotation for 4, dihedral for 8 and quadrants for
        any other number up to 24.
    n_classes : int or None
        Classes of the later task. None means those of ``task``.

    Returns
    -------
    WhichViewTask
        Not resolved.

    Raises
    ------
    ValueError
        If the name is unknown, the numbers of classes differ, there is no pretext with
        so many classes, or "auto" is used without a number of classes.

    Examples
    --------
    >>> from skssl.pretext import targeted_task
    >>> targeted_task("auto", 2), targeted_task("auto", 5)
    (Flip(), Quadrants(n_orders=5))
    """
    if task == "auto":
        if n_classes is None:
            raise ValueError(
                "task='auto' goes by the number of classes: fit(X, y), or n_classes."
            )
        task = {2: "flip", 4: "rotation", 8: "dihedral"}.get(n_classes, "quadrants")
    if isinstance(task, str):
        if task not in TARGETED_TASKS:
            raise unknown_name("task", task, ["auto", *TARGETED_TASKS])
        if task == "quadrants":
            n_orders = Quadrants().n_orders if n_classes is None else n_classes
            if not 2 <= n_orders <= _MOST_ORDERS:
                raise ValueError(
                    f"no targeted pretext has {n_orders} classes: quadrants have 2 to "
                    f"{_MOST_ORDERS} orders. Use SelfSupervisedPretrainer instead."
                )
            task = Quadrants(n_orders=n_orders)
        else:
            task = TARGETED_TASKS[task]()
    if n_classes is not None and task.n_versions != n_classes:
        raise ValueError(
            f"task {type(task).__name__} has {task.n_versions} classes, but the later "
            f"task has {n_classes}: the head would not fit. Use task='auto'."
        )
    return task
