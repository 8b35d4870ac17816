"""Cross + Transfer with its baselines: Li, Togo, Ogawa & Haseyama 2021."""

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
    # With the heads and temperatures of the methods' own papers.
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
    """Return a classifier of Li et al. 2021: Cross + Transfer or a baseline.

    Parameters
    ----------
    backbone : str, Module or callable, default="resnet50"
    method : str, default="cross_transfer"
        The training before the labels are learned. "cross_transfer": ``weights``, then
        Cross on the training images. "transfer": ``weights``. "scratch": random
        weights. "cross", "byol", "simsiam", "simclr", "pirl_jigsaw" and
        "pirl_rotation": that pretext on the training images, from random weights.
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`, for "cross_transfer" and "transfer" only.
        "imagenet" is torchvision's IMAGENET1K_V1, the version available when the paper
        was written.
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    FineTuneClassifier
        Not fitted. Its ``networks_`` are those of the last 10 epochs: score each of
        them for the mean and the standard deviation that the paper reports.

    Raises
    ------
    ValueError
        If ``method`` is unknown.

    Notes
    -----
    As published: Cross with τ = 0.996, a projector with layers of 512 and 128 units, a
    predictor with 4096 hidden units; SGD at 0.03, momentum 0.9, weight decay 4e-4,
    batches of 256, views of 112 px, 40 epochs; labels for 30 epochs, of which the last
    10 are evaluated.

    **Choices** where the paper gives no value: schedules are constant, without warm-up.
    The other pretexts use the same optimizer, epochs and views; PIRL uses the default
    views of skssl, with its tiles or rotations. Their heads and temperatures are those
    of their own papers (SimCLR τ = 0.5). Labels are learned with the same optimizer and
    batch size, without augmentation, at 224 px, the size of the paper's images. The
    predictor has 128 outputs; see `skssl.pretext.Cross`. If the set is smaller than a
    batch, the whole set is one batch.

    Differences: views for the pretraining are cropped from images stored at 128 px, not
    at 224; weight decay excludes biases and normalisation layers.

    Fewer labels: `skssl.model_selection.mask_labels` masks labels, and the pretraining
    still uses all images, as in the paper's experiments with 1 %, 10 % and 50 %.

    References
    ----------
    .. [1] G. Li, R. Togo, T. Ogawa, M. Haseyama. "COVID-19 Detection Based on
       Self-Supervised Transfer Learning Using Chest X-Ray Images", International
       Journal of Computer Assisted Radiology and Surgery 18, 2023, first version
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
    start = published_weights(weights, backbone) if method in _WITH_WEIGHTS else None
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
    label_settings: dict[str, Any] = {
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
        return FineTuneClassifier(backbone=backbone, weights=start, **label_settings)
    ssl = SelfSupervisedPretrainer(
        make(),
        backbone=backbone,
        weights=start,
        image_size=budget.pretext_px(112, backbone),
        max_epochs=budget.n_epochs(40),
        batch_size=256,
        optimizer="sgd",
        lr=0.03,
        weight_decay=4e-4,
        schedule="constant",
        warmup_epochs=0,
    )
    return FineTuneClassifier(ssl, **label_settings)
