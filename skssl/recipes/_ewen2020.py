"""Targeted self-supervision: Ewen & Khan 2020."""

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
    """Return the classifier of Ewen & Khan 2020: pretrained to predict flips.

    Parameters
    ----------
    backbone : str, Module or callable, default="densenet169"
        The paper uses "densenet169" at 224 px and "inception_v3" at 299 px.
    fraction : float, default=1.0
        Fraction of the training images to pretrain on, in [0, 1]; the first of X. The
        paper uses 0, 0.25, 0.5, 0.75 and 1.
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`; "imagenet" is torchvision's IMAGENET1K_V1,
        the version available when the paper was written. With None, weights are random;
        the published learning rates are too low for them, so both trainings use the
        phases "scratch".
    validation_fraction : float or splitter, default=0.2
        Training images on which the best epoch is selected; see the notes.
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    FineTuneClassifier
        Not fitted; its ``pretrainer`` is a `TargetedFlipPretrainer`.

    Notes
    -----
    As published: ImageNet weights; a head of global average pooling and a dense layer
    of 1024 units. Flips are learned in three phases: the head only (RMSprop at 1e-4, 30
    epochs), all layers (SGD at 1e-5, batches of 4, 30 epochs), and all layers at 1e-6.
    Labels are learned in the first two of these phases. There is no augmentation. The
    most accurate epoch of both label phases is selected.

    Differences: the authors' notebook selects that epoch on the test images. Here it is
    selected on ``validation_fraction`` of the training images, which are held out from
    the training; whole patients if ``fit`` gets ``groups`` (**choice**). For the flips,
    the epoch with the lowest loss on the training images is selected, since the paper
    does not state which images are used. The notes of `TargetedPretrainer` and
    `skssl.nn.ClassifierHead` list where the notebook differs from the paper.

    ``fraction`` takes the first images of X, as in the paper. If X is sorted by class,
    shuffle it before, keeping the images of each patient together.

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
    pretext_phases, label_phases = (
        ("scratch", "scratch") if weights is None else ("ewen2020_pretext", "ewen2020")
    )
    flip = TargetedFlipPretrainer(
        backbone=backbone,
        weights=published_weights(weights, backbone),
        head="mlp",
        hidden_size=1024,
        dropout=0.5,
        phases=budget.phases(pretext_phases),
        augmentation="identity",
        fraction=fraction,
        image_size=budget.size_px(size, backbone),
    )
    return FineTuneClassifier(
        flip,
        phases=budget.phases(label_phases),
        augmentation="identity",
        selection="best" if validation_fraction else "last",
        validation_fraction=validation_fraction,
        random_state=random_state,
    )
