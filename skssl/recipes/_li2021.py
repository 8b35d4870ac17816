"""Cross + Transfer and what it is held to: Li, Togo, Ogawa & Haseyama 2021."""

from collections.abc import Callable
from typing import Any

from torch import nn

from skssl._finetune import FineTuneClassifier
from skssl._names import unknown_name
from skssl._pretrain import SelfSupervisedPretrainer
from skssl._random import RandomState
from skssl.engine import Phase
from skssl.pretext import (
    BYOL,
    Cross,
    PIRLJigsaw,
    PIRLRotation,
    PretextTask,
    SimCLR,
    SimSiam,
)
from skssl.recipes._budget import Budget, get_budget
from skssl.recipes._start import published_weights

__all__ = ["cross_transfer"]


def _make_cross() -> PretextTask:
    return Cross(
        momentum=0.996,
        hidden_size=512,
        projection_size=128,
        predictor_size=4096,
        augmentation="cross",
    )


_PRETEXTS: dict[str, Callable[[], PretextTask] | None] = {
    "cross_transfer": _make_cross,
    "transfer": None,
    "cross": _make_cross,
    # With the heads and temperatures of their own papers.
    "byol": lambda: BYOL(
        momentum=0.996,
        hidden_size=4096,
        projection_size=256,
        normalize_output=False,
        augmentation="cross",
    ),
    "simsiam": lambda: SimSiam(
        hidden_size=2048,
        projection_size=2048,
        predictor_size=512,
        augmentation="cross",
    ),
    "simclr": lambda: SimCLR(temperature=0.5, augmentation="cross"),
    "pirl_jigsaw": lambda: PIRLJigsaw(temperature=0.07, normalize_output=False),
    "pirl_rotation": lambda: PIRLRotation(temperature=0.07, normalize_output=False),
    "scratch": None,
}
_WITH_WEIGHTS = ("cross_transfer", "transfer")


def cross_transfer(
    backbone: str | nn.Module | Callable[[], nn.Module] = "resnet50",
    *,
    method: str = "cross_transfer",
    weights: Any = "imagenet",
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> FineTuneClassifier:
    """Return a classifier of Li et al. 2021: Cross + Transfer, or what it is held to.

    Parameters
    ----------
    backbone : str, Module or callable, default="resnet50"
    method : str, default="cross_transfer"
        What comes before the labels are learned. "cross_transfer": ``weights``, then
        Cross on the training images. "transfer": ``weights``. "scratch": random
        weights. And from random weights on the training images "cross", "byol",
        "simsiam", "simclr", "pirl_jigsaw" or "pirl_rotation".
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`; of "cross_transfer" and "transfer" alone.
        "imagenet" is torchvision's IMAGENET1K_V1, which is of the paper's time.
    budget : {"full", "small", "tiny"} or Budget, default="full"
        How much of each training is done.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    FineTuneClassifier
        Not fitted. Its ``networks_`` are those of the last 10 epochs: score each of
        them for the mean and the spread that the paper gives.

    Raises
    ------
    ValueError
        If ``method`` is unknown.

    Notes
    -----
    As published: Cross with τ = 0.996, a projector of 512 and 128, a predictor of 4096;
    SGD at 0.03, momentum 0.9, weight decay 4e-4, batches of 256, views of 112 px, 40
    epochs; labels for 30 epochs, of which the last 10 count.

    **Choices**, where the paper is silent: schedules are constant, without warm-up; the
    other pretexts have the same optimizer and epochs, the same views but for PIRL (the
    default views of skssl, and its tiles or turns), and else the heads and temperatures
    of their own papers (SimCLR τ = 0.5); labels are
    learned by the same optimizer and batches, at 224 px, which is the size of the
    paper's images, and without augmentation. The predictor ends at 128; see
    `skssl.pretext.Cross`. Where a set is smaller than a batch, the batch is the set.

    Differences: views of the pretraining are cut from images that are kept at 128 px,
    not at 224; weight decay spares biases and normalisation layers.

    Few labels: `skssl.model_selection.mask_labels` takes labels away, and the images
    still serve the pretraining, as in the paper's 1 %, 10 % and 50 %.

    References
    ----------
    .. [1] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", International
       Journal of Computer Assisted Radiology and Surgery 18, 2023, first written in
       2021. :doi:`10.1007/s11548-022-02813-x`

    Examples
    --------
    >>> from skssl.recipes import cross_transfer
    >>> cross_transfer(random_state=0).pretrainer.pretext
    Cross(augmentation='cross', momentum=0.996)
    """
    budget = get_budget(budget)
    if not isinstance(method, str) or method not in _PRETEXTS:
        raise unknown_name("method", str(method), _PRETEXTS)
    start = published_weights(weights) if method in _WITH_WEIGHTS else None
    phases = [
        Phase(
            "all",
            optimizer="sgd",
            lr=0.03,
            epochs=budget.n_epochs(30),
            batch_size=256,
            weight_decay=4e-4,
            schedule="constant",
        )
    ]
    of_labels: dict[str, Any] = {
        "phases": phases,
        "head": "linear",
        "augmentation": "identity",
        "selection": "average_last_k",
        "n_average": budget.n_epochs(10),
        "image_size": budget.size_px(224, backbone),
        "random_state": random_state,
    }
    make = _PRETEXTS[method]
    if make is None:
        return FineTuneClassifier(backbone=backbone, weights=start, **of_labels)
    ssl = SelfSupervisedPretrainer(
        make(),
        backbone=backbone,
        weights=start,
        image_size=budget.size_px(112, backbone),
        max_epochs=budget.n_epochs(40),
        batch_size=256,
        optimizer="sgd",
        lr=0.03,
        weight_decay=4e-4,
        schedule="constant",
        warmup_epochs=0,
    )
    return FineTuneClassifier(ssl, **of_labels)
