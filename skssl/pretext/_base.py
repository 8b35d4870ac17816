"""The contract of a pretext method: a task of hyperparameters, a module of weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

from skssl._names import unknown_name
from skssl.augment import Augmentation, get_recipe, resolve_augmentation
from skssl.nn import Backbone

_REGISTRY: dict[str, type["PretextTask"]] = {}


@dataclass(frozen=True)
class MethodCard:
    """What the method table and the user guide say about a pretext.

    Parameters
    ----------
    title : str
        The name that the literature uses.
    paper : str
        Authors and year.
    doi : str
        DOI of the paper.
    n_views : int
        Images that pass the backbone per training image and step.
    negatives : {"batch", "queue", "batch and queue", "none"}
        Where the negatives come from; "batch" alone wants large batches.
    momentum_encoder : bool
        Whether a second, moving-average network is held in memory.
    advice : str
        When to use it on a few hundred images.
    """

    title: str
    paper: str
    doi: str
    n_views: int
    negatives: str
    momentum_encoder: bool
    advice: str


class PretextModule(nn.Module, ABC):
    """A backbone with the heads, copies and queues that a pretext trains it with.

    Parameters
    ----------
    backbone : Backbone
        Trained in place; what is kept of the module after pretraining.

    Attributes
    ----------
    features : Tensor of shape (n, n_features), float32
        Backbone features of the last step's first view, detached: what monitors
        read without a pass of their own.
    """

    features: Tensor

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone

    def encode(self, images: Tensor, *, n_first_view: int) -> Tensor:
        """Return backbone features, and keep the first view's for the monitors.

        Parameters
        ----------
        images : Tensor of shape (m, C, H, W)
        n_first_view : int
            How many of the rows belong to the first view.

        Returns
        -------
        Tensor of shape (m, n_features)
        """
        h = self.backbone(images)  # (m, d)
        self.features = h.detach()[:n_first_view].float()
        return h

    def forget_step(self) -> None:
        """Drop what the last step left for monitors and for `after_step`."""
        vars(self).pop("features", None)

    @abstractmethod
    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        """Return the loss of one batch.

        Parameters
        ----------
        views : tuple of Tensor of shape (n, C, H, W)
            What `PretextTask.views` made of the batch.
        index : Tensor of shape (n,), int64
            The number of each image in the training set.

        Returns
        -------
        Tensor, scalar float32
            Must not change any state, so that the same batch gives the same loss;
            what a step leaves behind is done in `after_step`.
        """

    def after_step(self, progress: float) -> None:
        """Update what follows the weights (copies, queues) after an optimizer step.

        Parameters
        ----------
        progress : float
            Share of all steps that are done, in (0, 1].
        """


class PretextTask(BaseEstimator, ABC):
    """Hyperparameters of a pretext; a subclass with a ``name`` registers itself.

    Subclasses are scikit-learn estimators: keyword-only constructors that only
    assign, so that clone, repr and searches over ``pretext__temperature`` work.

    Attributes
    ----------
    name : str
        What ``pretext=`` takes.
    card : MethodCard
        What the documentation says about it.
    default_augmentation : str
        The recipe that ``augmentation="auto"`` means for colour images.
    default_optimizer : str
        What ``optimizer="auto"`` means.
    default_lr : float or None
        Peak learning rate that goes with it; None is the optimizer's own default.
    forbidden_augmentations : frozenset of str
        Augmentations that would undo the task, such as "horizontal_flip".
    """

    name: ClassVar[str]
    card: ClassVar[MethodCard]
    default_augmentation: ClassVar[str] = "moco_v2"
    default_optimizer: ClassVar[str] = "adamw"
    default_lr: ClassVar[float | None] = None
    forbidden_augmentations: ClassVar[frozenset[str]] = frozenset()
    augmentation: str | Augmentation = "auto"

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "name" in cls.__dict__:
            _REGISTRY[cls.name] = cls

    def resolve(self, *, n_images: int, n_channels: int, batch_size: int) -> Self:  # noqa: ARG002
        """Return a copy whose open choices (None, "auto") are settled for a set.

        Parameters
        ----------
        n_images : int
            Size of the training set.
        n_channels : int
            Channels of its images.
        batch_size : int
            Images a step.

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
            self.augmentation, n_channels, default=self.default_augmentation
        )
        task.augmentation.validate()
        undone = task.augmentation.active() & self.forbidden_augmentations
        if undone:
            raise ValueError(
                f"augmentation: {', '.join(sorted(undone))} would undo what "
                f"{type(self).__name__} asks of the network; switch it off."
            )
        return task

    def views(
        self, images: Tensor, generator: torch.Generator, *, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Make the views of a batch, two independent augmentations by default.

        To be called on a resolved task (see `resolve`).

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), uint8
        generator : torch.Generator
            On the device of the images.
        size : (height, width)
            Size of the views, pixels.

        Returns
        -------
        tuple of Tensor of shape (n, C, height, width), float32 in [0, 1]
        """
        augment: Augmentation = self.augmentation  # type: ignore[assignment]
        return tuple(augment(images, generator, size=size) for _ in range(2))

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``augmentation__*`` on a recipe's name makes that recipe."""
        recipe = params.get("augmentation", self.augmentation)
        nested = any(name.startswith("augmentation__") for name in params)
        if nested and isinstance(recipe, str):
            if recipe == "auto":
                raise ValueError(
                    "augmentation='auto' has no parameters to set: name a recipe "
                    "first, such as augmentation='medical_gray'."
                )
            params["augmentation"] = get_recipe(recipe)
        return super().set_params(**params)

    @abstractmethod
    def build(self, backbone: Backbone, *, n_images: int) -> PretextModule:
        """Put heads, copies and queues around a backbone.

        To be called on a resolved task (see `resolve`), and inside
        ``skssl._random.isolated_torch_rng``, since heads are initialised from torch's
        global generator.

        Parameters
        ----------
        backbone : Backbone
            Used as it is, not copied.
        n_images : int
            Size of the training set.

        Returns
        -------
        PretextModule
        """


def list_pretexts() -> list[str]:
    """Return the names of all registered pretexts, sorted.

    Examples
    --------
    >>> from skssl.pretext import list_pretexts
    >>> "simclr" in list_pretexts()
    True
    """
    return sorted(_REGISTRY)


def get_pretext(pretext: str | PretextTask) -> PretextTask:
    """Return a task from its name; a task is returned as it is.

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the nearest ones.
    TypeError
        If it is neither a name nor a task.

    Examples
    --------
    >>> from skssl.pretext import get_pretext
    >>> get_pretext("moco")
    MoCo()
    """
    if isinstance(pretext, PretextTask):
        return pretext
    if not isinstance(pretext, str):
        raise TypeError(
            "pretext must be a name or a PretextTask such as SimCLR(temperature=0.2), "
            f"got {pretext!r}."
        )
    if pretext not in _REGISTRY:
        raise unknown_name("pretext", pretext, _REGISTRY)
    return _REGISTRY[pretext]()
