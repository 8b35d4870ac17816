"""Classifiers in training: their views, losses and scores."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl.augment import Augmentation
from skssl.engine.monitors import eval_outputs
from skssl.nn import Classifier
from skssl.pretext import WhichViewTask, which_view, which_view_loss

__all__ = [
    "ClassifierModule",
    "LabelModule",
    "LabelledViews",
    "Score",
    "VersionModule",
    "score_labels",
    "score_versions",
]


class ClassifierModule(nn.Module):
    """A classifier with the loss that trains it.

    Parameters
    ----------
    classifier : Classifier
        Trained in place.

    Attributes
    ----------
    n_right : Tensor, int64
        Number of images that were classified correctly since it was last set to zero.
        It stays on the device.
    """

    n_right: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        counter = torch.zeros((), dtype=torch.int64)
        self.register_buffer("n_right", counter, persistent=False)

    @torch.no_grad()
    def count(self, logits: Tensor, target: Tensor) -> None:
        """Count the images of a batch whose largest logit is that of their class."""
        self.n_right += (logits.argmax(1) == target).sum()

    def only_train(self, part: str) -> Self:
        """Freeze all but one part; see `Classifier.only_train`."""
        self.classifier.only_train(part)
        return self

    @property
    def n_trainable(self) -> int:
        """Number of trainable weights."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def after_step(self, progress: float) -> None:
        """Do nothing: nothing follows the weights."""


class LabelModule(ClassifierModule):
    r"""Learn labels and, at the same time, an auxiliary pretext.

    Parameters
    ----------
    classifier : Classifier
    target : Tensor of shape (n,), int64
        The class of each image of the store.
    weight : Tensor of shape (n,), float32, optional
        Weight of each image; their mean should be 1.
    label_smoothing : float, default=0.0
        Fraction of the target that is spread evenly over all classes, in [0, 1).
    n_versions : int, optional
        Classes of the auxiliary pretext, which has its own linear head on the same
        features.
    auxiliary_weight : float, default=1.0

    Notes
    -----
    With w the weights and :math:`\lambda` the auxiliary weight, the loss of a batch is

    .. math::
        \frac{1}{b} \sum_i \left( w_i\, \ell(f(x_i), y_i)
        + \lambda\, \ell(g(x_i), v_i) \right)

    where f and g are the two heads on one backbone, v is the version in which the image
    is shown, and :math:`\ell` the cross-entropy. The mean is over the batch, not over
    the weights, so that a batch of small weights changes the network less.
    """

    weight: Tensor | None
    target: Tensor

    def __init__(
        self,
        classifier: Classifier,
        target: Tensor,
        *,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        n_versions: int | None = None,
        auxiliary_weight: float = 1.0,
    ) -> None:
        super().__init__(classifier)
        self.label_smoothing = label_smoothing
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_head = (
            None
            if n_versions is None
            else nn.Linear(classifier.backbone.n_features, n_versions)
        )
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("weight", weight, persistent=False)

    def only_train(self, part: str) -> Self:
        """Freeze all but one part; the auxiliary head belongs to the head."""
        if self.auxiliary_head is not None:
            self.auxiliary_head.requires_grad_(part != "backbone")
        return super().only_train(part)

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:
        """Return the loss of `LabelledViews` (view,) or (view, version)."""
        view, *version = views
        h = self.classifier.backbone(view)  # (b, d)
        logits = self.classifier.head(h)  # (b, n_classes)
        target = self.target[index]
        self.count(logits, target)
        with torch.autocast(logits.device.type, enabled=False):
            losses = functional.cross_entropy(
                logits.float(),
                target,
                label_smoothing=self.label_smoothing,
                reduction="none",
            )  # (b,)
        if self.weight is not None:
            losses = losses * self.weight[index]
        loss = losses.mean()
        if self.auxiliary_head is None:
            return loss
        logits = self.auxiliary_head(h)  # (b, n_versions)
        with torch.autocast(logits.device.type, enabled=False):
            auxiliary = functional.cross_entropy(logits.float(), version[0])
        return loss + self.auxiliary_weight * auxiliary


class VersionModule(ClassifierModule):
    """Recognise the version in which an image is shown; see `WhichViewTask`."""

    def forward(self, views: tuple[Tensor, ...], index: Tensor) -> Tensor:  # noqa: ARG002
        """Return the loss of all versions of a batch, in one forward pass."""
        logits = self.classifier(torch.cat(views))  # (n_versions * b, n_versions)
        self.count(logits, which_view(logits, len(views)))
        return which_view_loss(logits, len(views))


@dataclass(frozen=True)
class LabelledViews:
    """Make the views from which a classifier learns labels.

    Parameters
    ----------
    augmentation : Augmentation
    auxiliary : WhichViewTask, optional
        Each view is then shown in one of its versions, chosen at random.
    """

    augmentation: Augmentation
    auxiliary: WhichViewTask | None = None

    def views(
        self,
        images: Tensor,
        generator: torch.Generator,
        *,
        size: tuple[int, int],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return (view,), or (view, version (n,) int64)."""
        view = self.augmentation(images, generator, size=size)  # (n, C, h, w)
        if self.auxiliary is None:
            return (view,)
        versions = torch.stack(self.auxiliary.versions(view))  # (K, n, C, h, w)
        n = len(view)
        version = torch.randint(
            len(versions), (n,), generator=generator, device=view.device
        )
        return versions[version, torch.arange(n, device=view.device)], version


class Score(Protocol):
    """Evaluate a classifier on held-out images."""

    def __call__(self, classifier: Classifier) -> Tensor:
        """Return the mean cross-entropy and the accuracy, (2,), on its device."""


def score_labels(
    images: Tensor, target: Tensor, size: tuple[int, int], device: torch.device
) -> Score:
    """Return the score of a classifier on labelled images.

    Parameters
    ----------
    images : Tensor of shape (m, C, H, W), uint8
    target : Tensor of shape (m,), int64
    size : (height, width)
        Size of the images that the network sees, pixels.
    device : torch.device
    """

    def score(classifier: Classifier) -> Tensor:
        logits = eval_outputs(classifier, images, size, device)
        return _loss_and_accuracy(logits, target.to(device))

    return score


def score_versions(
    images: Tensor, task: WhichViewTask, size: tuple[int, int], device: torch.device
) -> Score:
    """Return the score of a classifier on images in each version of a task."""

    def score(classifier: Classifier) -> Tensor:
        logits = torch.cat(
            [
                eval_outputs(classifier, version, size, device)
                for version in task.versions(images)
            ]
        )
        return _loss_and_accuracy(logits, which_view(logits, task.n_versions))

    return score


def _loss_and_accuracy(logits: Tensor, target: Tensor) -> Tensor:
    loss = functional.cross_entropy(logits, target)
    right = (logits.argmax(1) == target).float().mean()
    return torch.stack([loss, right])
