"""The contract of a pretext method: a task of hyperparameters, a module of weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

from skssl._params import set_params
from skssl.augment import Augmentation, get_recipe, resolve_augmentation
from skssl.nn import Backbone

__all__ = [
    "REGISTRY",
    "MethodCard",
    "PretextModule",
    "PretextTask",
    "TrainingInfo",
    "settled",
]

REGISTRY: dict[str, type["PretextTask"]] = {}


@dataclass(frozen=True)
class MethodCard:
    """Facts about a pretext for the method table and the user guide.

    Parameters
    ----------
    title : str
        Name of the method in the literature.
    paper : str
        Authors and year.
    doi : str
        DOI of the paper.
    n_views : int
        Forward passes per training image and step, through the backbone or a copy.
    compares_batch : bool
        Whether the loss compares the images of a batch, so that batch size matters.
    keeps : {"nothing", "queue", "memory bank"}
        Features of earlier steps that the method stores.
    momentum_encoder : bool
        Whether a second, moving-average network is held in memory.
    advice : str
        When to use it on a few hundred images.
    backbones : {"any", "any size", "ViT"}, default="any"
        "any size" means networks that also accept images of other sizes than
        ``image_size``. Most do; CRNet and MaxViT do not, Inception not small ones.
    """

    title: str
    paper: str
    doi: str
    n_views: int
    compares_batch: bool
    keeps: str
    momentum_encoder: bool
    advice: str
    backbones: str = "any"


@dataclass(frozen=True)
class TrainingInfo:
    """What a method knows about a training before it begins.

    Parameters
    ----------
    n_images : int
        Size of the training set.
    n_channels : int
        Channels of the images.
    image_size : (height, width)
        Size of the views, pixels.
    batch_size : int
        Largest number of images in a step (one more where an odd number is paired).
    max_epochs : int, default=1
        Number of epochs; 0 for an untrained control.
    groups : Tensor of shape (n_images,), int64, optional
        The patient of each training image, numbered from 0.
    """

    n_images: int
    n_channels: int
    image_size: tuple[int, int]
    batch_size: int
    max_epochs: int = 1
    groups: Tensor | None = None


class PretextModule(nn.Module, ABC):
    """A backbone with the heads, copies and queues of a pretext.

    Parameters
    ----------
    backbone : Backbone
        Trained in place. Pretraining keeps the backbone and discards the rest.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        self._step: Any = None

    @abstractmethod
    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        """Return the loss of one batch.

        Parameters
        ----------
        views : tuple of Tensor
            The views that `PretextTask.views` made of the batch.
        index : Tensor of shape (n,), int64
            Position of each image in the training set.

        Returns
        -------
        Tensor, scalar float32
            The call must not change any state: the same batch gives the same loss.
            What `after_step` needs is stored, without gradients, in ``self._step``.
        """

    def after_step(self, progress: float) -> None:
        """Update copies and queues after an optimizer step.

        Parameters
        ----------
        progress : float
            Fraction of all steps that are done, in (0, 1].
        """

    def forget_step(self) -> None:
        """Delete what the last step stored for `after_step`."""
        self._step = None


class PretextTask(BaseEstimator, ABC):
    """Hyperparameters of a pretext; a subclass with a ``name`` registers itself.

    Subclasses are scikit-learn estimators: keyword-only constructors that only
    assign, so that clone, repr and searches over ``pretext__temperature`` work.

    Attributes
    ----------
    name : str
        Value of ``pretext=`` that selects the method.
    card : MethodCard
        Facts for the documentation.
    default_augmentation : str
        Recipe that ``augmentation="auto"`` selects for colour images.
    default_optimizer : str
        Optimizer that ``optimizer="auto"`` selects.
    default_lr : float or None
        Its peak learning rate; None is the optimizer's own default.
    forbidden_augmentations : dict of str to str
        Augmentations that would undo the task, such as "horizontal_flip", each with
        the reason. "auto" leaves them out; requesting them is an error.
    auto_leaves_out : tuple of str
        Further augmentations that "auto" leaves out; requesting them is allowed.
    same_group : str
        How a contrastive method treats other images of the same patient. Only
        contrastive methods have the parameter; see `ContrastiveTask`.
    """

    name: ClassVar[str]
    card: ClassVar[MethodCard]
    default_augmentation: ClassVar[str] = "moco_v2"
    default_optimizer: ClassVar[str] = "adamw"
    default_lr: ClassVar[float | None] = None
    forbidden_augmentations: ClassVar[dict[str, str]] = {}
    auto_leaves_out: ClassVar[tuple[str, ...]] = ()
    augmentation: str | Augmentation = "auto"
    same_group: str = "negative"

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            REGISTRY[cls.name] = cls

    def resolve(self, info: TrainingInfo) -> Self:
        """Return a copy in which None and "auto" are replaced by values.

        Parameters
        ----------
        info : TrainingInfo

        Returns
        -------
        PretextTask

        Raises
        ------
        ValueError
            If a parameter is out of range, or an augmentation undoes the task.
        """
        self._validate_params()
        task = clone(self)
        task.augmentation = resolve_augmentation(
            self.augmentation, info.n_channels, default=self.default_augmentation
        )
        task.augmentation.validate()
        unwanted = (*self.forbidden_augmentations, *self.auto_leaves_out)
        if self.augmentation == "auto":
            task.augmentation = task.augmentation.without(*unwanted)
        for active in sorted(task.augmentation.active()):
            if active in self.forbidden_augmentations:
                raise ValueError(
                    f"augmentation: {active} would undo what {type(self).__name__} "
                    f"asks of the network, since {self.forbidden_augmentations[active]}"
                    "; switch it off, or use augmentation='auto'."
                )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make the views of a batch, two independent augmentations by default.

        Called on a resolved task (see `resolve`), after `build`. All randomness comes
        from ``generator``.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
            On the device of the images.
        size : (height, width)
            Size of the views, pixels.

        Returns
        -------
        tuple of Tensor
            Views of shape (n, C, height, width), float32 in [0, 1]. A method may add
            other draws, such as labels (n,), int64.
        """
        return self.augment(images, generator, size), self.augment(
            images, generator, size
        )

    def augment(
        self, images: Tensor, generator: torch.Generator, size: tuple[int, int]
    ) -> Tensor:
        """Return one augmented view of each image, (n, C, height, width) float32."""
        augmentation: Augmentation = self.augmentation  # type: ignore[assignment]
        return augmentation(images, generator, size=size)

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the smallest images that the backbone receives, pixels."""
        return image_size

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``augmentation__*`` replaces a recipe's name by the recipe.

        If one of them is invalid, the task is not changed.
        """
        makers = {"augmentation": get_recipe}
        return set_params(self, params, super().set_params, makers)

    @abstractmethod
    def build(self, backbone: Backbone, info: TrainingInfo) -> PretextModule:
        """Put heads, copies and queues around a backbone.

        Called once for each training, on a resolved task (see `resolve`), before
        `views`, and inside ``skssl._random.isolated_rng``, since heads are initialised
        from torch's global generator. A task whose views depend on the backbone stores
        what they need on itself here, in an attribute that ends in an underscore, as
        `MAE` stores the patch size.

        Parameters
        ----------
        backbone : Backbone
            Used as it is, not copied.
        info : TrainingInfo
            The one that the task was resolved with.

        Returns
        -------
        PretextModule

        Raises
        ------
        ValueError
            If the method cannot train this backbone.
        """


def settled(value: int | None, name: str) -> int:
    """Return a parameter that `PretextTask.resolve` sets; raise if it is still None."""
    if value is None:
        raise ValueError(f"{name} is open: call resolve() first.")
    return value
