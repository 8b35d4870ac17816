"""Self-Trans with its ablations and baselines: He, Yang et al. 2020."""

from collections.abc import Callable
from os import PathLike
from typing import Any

from torch import nn

from skssl._finetune import FineTuneClassifier
from skssl._pretrain import SelfSupervisedPretrainer
from skssl._random import RandomState
from skssl.pretext import MoCo
from skssl.recipes._budget import Budget, get_budget
from skssl.recipes._start import as_stage, published_weights

__all__ = ["self_trans", "self_trans_pretrainer"]

_METHODS = ("self_trans", 1, 2, 3, 4, "transfer", "scratch")
_SIZE_PX = 224


def self_trans_pretrainer(
    backbone: str | nn.Module | Callable[[], nn.Module] = "densenet169",
    *,
    weights: Any = "imagenet",
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> SelfSupervisedPretrainer:
    """Return the self-supervised pretraining of Self-Trans.

    Parameters
    ----------
    backbone : str, Module or callable, default="densenet169"
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`; "imagenet" is torchvision's IMAGENET1K_V1,
        the version available when the paper was written.
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    SelfSupervisedPretrainer
        Not fitted.

    Notes
    -----
    As published: MoCo with m = 0.999, a queue of 512, a projector with 2048 hidden
    units; SGD at 0.015, momentum 0.9, weight decay 1e-4, batches of 128, a cosine
    schedule; the augmentation "self_trans".

    **Choices**: τ = 0.2 and 200 epochs are those of MoCo v2, since the paper gives
    neither. ``exclude_same_image`` removes views of an image from its own negatives,
    which occur if the queue is longer than the set (as published:
    ``pretext__exclude_same_image=False``). Weight decay excludes biases and
    normalisation layers. Gray images stay gray, so changes of saturation and hue and
    conversion to gray have no effect.

    References
    ----------
    .. [1] X. He, X. Yang, et al. "Sample-Efficient Deep Learning for COVID-19
       Diagnosis Based on CT Scans", 2020. :doi:`10.1101/2020.04.13.20063941`

    Examples
    --------
    >>> from skssl.recipes import self_trans_pretrainer
    >>> ssl = self_trans_pretrainer("resnet50", weights=None)
    >>> ssl.pretext.momentum, ssl.pretext.queue_size
    (0.999, 512)
    """
    budget = get_budget(budget)
    return SelfSupervisedPretrainer(
        MoCo(
            temperature=0.2,
            queue_size=512,
            momentum=0.999,
            in_batch_negatives=False,
            exclude_same_image=True,
            batch_norm=False,
            hidden_size=2048,
            projection_size=128,
            augmentation="self_trans",
        ),
        backbone=backbone,
        weights=published_weights(weights, backbone),
        image_size=budget.pretext_px(_SIZE_PX, backbone),
        max_epochs=budget.n_epochs(200),
        batch_size=128,
        optimizer="sgd",
        lr=0.015,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=0,
        random_state=random_state,
    )


def self_trans(
    backbone: str | nn.Module | Callable[[], nn.Module] = "densenet169",
    *,
    method: str | int = "self_trans",
    external: Any = None,
    weights: Any = "imagenet",
    frozen: bool = False,
    budget: str | Budget = "full",
    random_state: RandomState = None,
) -> FineTuneClassifier:
    """Return a classifier of He, Yang et al. 2020: Self-Trans or a baseline.

    Parameters
    ----------
    backbone : str, Module or callable, default="densenet169"
        The paper uses vgg16, resnet18, resnet50, densenet121, densenet169,
        efficientnet_b0, efficientnet_b1 and crnet.
    method : {"self_trans", 1, 2, 3, 4, "transfer", "scratch"}, default="self_trans"
        The training before the labels are learned:

        ============== ==============================================================
        "self_trans"   pretraining on other images (``external``, which has its own
                       ``weights``), then on the training images
        1              random weights, pretraining on the training images
        2              ``weights``, pretraining on the training images
        3              pretraining on other images (``external``)
        4              ``weights``; rotations are predicted together with the labels
        "transfer"     ``weights``
        "scratch"      random weights
        ============== ==============================================================
    external : fitted pretrainer, FrozenEstimator, str or Path, optional
        The pretraining on other images, which "self_trans" and 3 need; the paper uses
        slices of LUNA. Either ``self_trans_pretrainer(...)`` fitted to them, or a file
        of its weights. In a file, a ResNet must have torchvision's stem; below 64 px,
        where randomly initialised ResNets have another stem, pass the fitted object.
    weights : default="imagenet"
        As in `SelfSupervisedPretrainer`, for methods 2, 4 and "transfer". "imagenet" is
        torchvision's IMAGENET1K_V1, the version available when the paper was written.
    frozen : bool, default=False
        Train only the head on the labels (Table VII).
    budget : {"full", "medium", "small", "tiny"} or Budget, default="full"
        Fraction of the epochs, and limit on the image size.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    FineTuneClassifier
        Not fitted.

    Raises
    ------
    ValueError
        If ``method`` is unknown, ``external`` is missing but needed or given but not
        used, or ``frozen`` is combined with method 4.
    TypeError
        If ``external`` is neither a fitted pretrainer nor a path.

    Notes
    -----
    As published, labels are learned at 224 px by Adam at 1e-4, batches of 16, 50
    epochs, cosine annealing with a period of 10; the augmentation is
    "self_trans_finetune". Method 4 has one backbone and two heads, whose losses are
    added.

    **Choices**: the weights of the last epoch are used, since the paper does not state
    which; the schedule restarts at its peak after each period; the aspect ratio of the
    crops is that of MoCo v2. The paper tunes its hyperparameters on the validation set;
    here they are fixed to the published values, so both the training and the validation
    set may be used for training. Random weights follow torchvision's initialisation,
    which is Kaiming's for convolutions.

    References
    ----------
    .. [1] X. He, X. Yang, et al. "Sample-Efficient Deep Learning for COVID-19
       Diagnosis Based on CT Scans", 2020. :doi:`10.1101/2020.04.13.20063941`

    Examples
    --------
    >>> from skssl.recipes import self_trans
    >>> self_trans("resnet50", method=4, random_state=0).auxiliary
    'rotation'
    """
    budget = get_budget(budget)
    if isinstance(method, bool) or method not in _METHODS:
        raise ValueError(f"method must be one of {list(_METHODS)}, got {method!r}.")
    start = None if method in (1, "scratch") else published_weights(weights, backbone)
    if method in ("self_trans", 3):
        start = _external_weights(external, method)
    elif external is not None:
        raise ValueError(
            f"method={method!r} does not use external: set external=None, or use "
            "method='self_trans' or 3."
        )
    if frozen and method == 4:
        raise ValueError(
            "method=4 trains the backbone to predict rotations, which frozen=True "
            "prevents: use only one of them."
        )
    phases = budget.phases("self_trans")
    if frozen:
        phases = [phase.set_params(train="head") for phase in phases]
    label_settings: dict[str, Any] = {
        "phases": phases,
        "frozen": frozen,
        "head": "linear",
        "augmentation": "self_trans_finetune",
        "random_state": random_state,
    }
    if method in ("self_trans", 1, 2):
        ssl = self_trans_pretrainer(backbone, weights=start, budget=budget)
        return FineTuneClassifier(ssl, **label_settings)
    return FineTuneClassifier(
        backbone=backbone,
        weights=start,
        image_size=budget.size_px(_SIZE_PX, backbone),
        auxiliary="rotation" if method == 4 else None,
        auxiliary_weight=1.0,
        **label_settings,
    )


def _external_weights(external: Any, method: object) -> Any:
    """Return the weights of the pretraining on other images."""
    if external is None:
        raise ValueError(
            f"method={method!r} needs external: self_trans_pretrainer(...) fitted to "
            "other images, such as LUNA's, or a file of its weights."
        )
    if isinstance(external, (str, PathLike)):
        return external
    return as_stage(external, "self_trans_pretrainer")
