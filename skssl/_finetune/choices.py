"""The parameters of a fine-tuning, and what they mean together."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn

from skssl._estimator import IMAGE_PARAMETERS
from skssl._finetune.start import check_pretrained_head, check_start, last_pretext
from skssl._pretrain import SelfSupervisedPretrainer
from skssl._sklearn import HasMethods, Interval, StrOptions
from skssl._targeted import TargetedPretrainer
from skssl.augment import Augmentation, get_recipe, resolve_augmentation
from skssl.data import choose_image_size
from skssl.engine import LabelledViews, Phase, get_phases
from skssl.pretext import TARGETED_TASKS, TrainingInfo, WhichViewTask

__all__ = [
    "MAKERS",
    "PARAMETERS",
    "check_choices",
    "choose_phases",
    "make_views",
]

#: Constraints of the parameters of `FineTuneClassifier`.
PARAMETERS: dict[str, list] = {
    "pretrainer": [
        SelfSupervisedPretrainer,
        TargetedPretrainer,
        FrozenEstimator,
        None,
    ],
    "backbone": [str, nn.Module, callable, None],
    "head": [StrOptions({"auto", "linear", "mlp"})],
    "hidden_size": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "frozen": ["boolean"],
    "phases": [str, list, tuple],
    "augmentation": [str, Augmentation],
    "auxiliary": [str, WhichViewTask, None],
    "auxiliary_weight": [Interval(Real, 0, None, closed="left")],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "validation_fraction": [
        Interval(Real, 0, 0.5, closed="both"),
        HasMethods("split"),
    ],
    "selection": [StrOptions({"last", "best", "average_last_k"})],
    "n_average": [Interval(Integral, 1, None, closed="left")],
    **IMAGE_PARAMETERS,
}

_UNKNOWN_SIZE = (8, 8)  # stands for the size of images that were not surveyed yet


def auxiliary_task(name: str) -> WhichViewTask:
    """Return the auxiliary pretext of a name."""
    if name not in ("flip", "rotation"):
        raise ValueError(
            f"auxiliary must be 'flip', 'rotation' or a task, got {name!r}."
        )
    return TARGETED_TASKS[name]()


#: For the parameters that may be a name: what makes the object of a name.
MAKERS: dict[str, Callable] = {"augmentation": get_recipe, "auxiliary": auxiliary_task}


def check_choices(settings: Any, pretrainer: Any, n_classes: int) -> None:
    """Refuse parameters that cannot work together.

    Parameters
    ----------
    settings : FineTuneClassifier
    pretrainer : pretrainer or None
        To be fitted, or frozen.
    n_classes : int

    Raises
    ------
    ValueError
        Naming the parameter.
    """
    check_start(settings)
    check_pretrained_head(settings, pretrainer, n_classes)
    size = settings.image_size
    if size is None and pretrainer is not None:
        size = getattr(pretrainer, "image_size_", pretrainer.image_size)
    size = choose_image_size(size, _UNKNOWN_SIZE)
    info = TrainingInfo(n_images=2, n_channels=3, image_size=size, batch_size=2)
    make_views(settings, pretrainer, info)
    if settings.selection == "best" and not settings.validation_fraction:
        raise ValueError(
            "selection='best' needs held-out images to choose by: set "
            "validation_fraction, such as 0.2."
        )
    _check_phases(settings)


def _check_phases(settings: Any) -> None:
    """Refuse phases that contradict ``frozen`` or teach an auxiliary nothing."""
    named = settings.phases
    if named == "auto":
        if not settings.frozen:
            return
        named = "frozen"
    trained = {phase.train for phase in get_phases(named)}
    if settings.auxiliary is not None and trained == {"head"}:
        raise ValueError(
            "auxiliary would teach nothing: the backbone, which both heads share, is "
            "held still by frozen=True or by phases that train the head alone."
        )
    if settings.frozen and trained != {"head"}:
        raise ValueError(
            "frozen=True holds the backbone still, but phases are to train "
            f"{sorted(trained - {'head'})}: give phases with train='head', or "
            "frozen=False."
        )


def choose_phases(settings: Any, is_trained: bool) -> str | list[Phase]:
    """Return the phases, which follow from the weights where they are "auto"."""
    if settings.phases != "auto":
        return settings.phases
    if settings.frozen:
        return "frozen"
    return "finetune" if is_trained else "scratch"


def make_views(settings: Any, pretrainer: Any, info: TrainingInfo) -> LabelledViews:
    """Settle the augmentation: nothing in it may undo a pretext.

    Raises
    ------
    ValueError
        If it would, or if ``auxiliary`` has an augmentation of its own.
    """
    auxiliary = settings.auxiliary
    if isinstance(auxiliary, str):
        auxiliary = auxiliary_task(auxiliary)
    elif auxiliary is not None and auxiliary.augmentation != "auto":
        raise ValueError(
            f"auxiliary={auxiliary!r} shares the views of the labels: set the "
            "classifier's augmentation instead of its own."
        )
    is_auto = settings.augmentation == "auto"
    augmentation = resolve_augmentation(
        "self_trans_finetune" if is_auto else settings.augmentation, info.n_channels
    )
    if is_auto:
        for task in (last_pretext(pretrainer), auxiliary):
            if task is not None:
                augmentation = augmentation.without(*task.forbidden_augmentations)
    if auxiliary is not None:
        auxiliary = clone(auxiliary).set_params(augmentation=augmentation)
        auxiliary = auxiliary.resolve(info)
    return LabelledViews(augmentation, auxiliary)
