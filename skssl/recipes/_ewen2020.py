"""Targeted self supervision: Ewen & Khan 2020."""

from collections.abc import Callable
from typing import Any

from torch import nn

from skssl._finetune import FineTuneClassifier
from skssl._random import RandomState
from skssl._targeted import TargetedFlipPretrainer
from skssl.recipes._budget import Budget, get_budget
from skssl.recipes._start import published_weights

__all__ = ["targeted_flip"]

_SIZE_PX = {"inception_v3": 299}


def targeted_flip(
    backbone: str | nn.Module | Callable[[], nn.Module] = "densenet169",
    *,
    fraction: float = 1.0,
    weights: Any = "imagenet",
    validation_fraction: Any = 0.2,
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> FineTuneClassifier:
    """Return the classifier of Ewen & Khan 2020: flips first, then the labels.

    Parameters
    ----------
    backbone : str, Module or callable, default="densenet169"
        The paper's are "densenet169", at 224 px, and "inception_v3", at 299 px.
    fraction : float, default=1.0
        Share of the training images, the first of X, whose flips are told; in [0, 1].
        The paper's are 0, 0.25, 0.5, 0.75 and 1.
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`; "imagenet" is torchvision's IMAGENET1K_V1,
        which is of the paper's time. None has random weights, which the paper's
        rates hardly move: both trainings then have the phases "scratch".
    validation_fraction : float or splitter, default=0.2
        On what the epoch is chosen whose weights are kept; see the notes.
    budget : {"full", "small", "tiny"} or Budget, default="full"
        How much of the training is done.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    FineTuneClassifier
        Not fitted; its ``pretrainer`` is a `TargetedFlipPretrainer`.

    Notes
    -----
    As published: ImageNet weights; a top of global average pooling and a dense layer of
    1024; flips told by the top alone (RMSprop at 1e-4, 30 epochs), then by all layers
    (SGD at 1e-5, batches of 4, 30 epochs), then at 1e-6; labels by the top alone, then
    by all layers, as in the first two; no augmentation; the most accurate epoch of both
    is kept.

    Differences: the authors' notebook looks for that epoch on the test images. Here it
    is looked for on ``validation_fraction`` of the training images, whole patients if
    ``fit`` gets ``groups``, which are not trained on (**choice**). The lowest loss of
    the flips is that of the training images, since the paper does not say of what. What
    the notebook adds to the paper, and what is left out of it, is in the notes of
    `TargetedPretrainer` and `skssl.nn.ClassifierHead`.

    Shuffle an X that lies sorted by class before, patients as blocks: a fraction takes
    its first images, as the paper's does.

    References
    ----------
    .. [1] N. Ewen, N. Khan. "Targeted Self Supervision for Classification on a Small
       COVID-19 CT Scan Dataset", 2020. :doi:`10.48550/arXiv.2011.10188`

    Examples
    --------
    >>> from skssl.recipes import targeted_flip
    >>> clf = targeted_flip(fraction=0.25, random_state=0)
    >>> clf.pretrainer.backbone, clf.pretrainer.image_size
    ('densenet169', 224)
    """
    budget = get_budget(budget)
    size = _SIZE_PX.get(backbone, 224) if isinstance(backbone, str) else 224
    told, learned = (
        ("scratch", "scratch") if weights is None else ("ewen2020_pretext", "ewen2020")
    )
    flip = TargetedFlipPretrainer(
        backbone=backbone,
        weights=published_weights(weights),
        head="mlp",
        hidden_size=1024,
        dropout=0.5,
        phases=budget.phases(told),
        augmentation="identity",
        fraction=fraction,
        image_size=budget.size_px(size, backbone),
    )
    return FineTuneClassifier(
        flip,
        phases=budget.phases(learned),
        augmentation="identity",
        selection="best" if validation_fraction else "last",
        validation_fraction=validation_fraction,
        random_state=random_state,
    )
