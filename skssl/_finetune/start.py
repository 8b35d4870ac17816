"""What fine-tuning starts from: a pretrainer or a backbone."""

from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skssl._estimator import ImageEstimator, learn_reader
from skssl._targeted import TargetedPretrainer
from skssl.data import ImageReader, ImageSource
from skssl.exceptions import TrainingInterrupted
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.pretext import PretextTask, targeted_task

__all__ = [
    "check_pretrained_head",
    "check_start",
    "find_pretrainer",
    "fit_pretrainer",
    "last_pretext",
    "make_classifier",
    "make_reader",
    "row_shape",
]

# Parameters of a new head, and those that a pretrainer has itself, with defaults.
_HEAD_PARAMETERS = {"hidden_size": 1024, "dropout": 0.5}
_PRETRAINER_PARAMETERS = {
    "backbone": None,
    "weights": None,
    "stem": "auto",
    "image_shape": None,
    "value_range": "auto",
    "out_of_range": "auto",
    "color": "auto",
    "resize": "squash",
}


def check_start(settings: Any) -> None:
    """Refuse parameters that belong to the pretrainer.

    Raises
    ------
    ValueError
        If one is set beside a pretrainer.
    """
    if settings.pretrainer is None:
        return
    for name, default in _PRETRAINER_PARAMETERS.items():
        value = getattr(settings, name)
        if not (value is default or value == default):
            raise ValueError(
                f"{name}={value!r} and a pretrainer were given, which has its own: "
                f"set pretrainer__{name}, or give no pretrainer."
            )


def find_pretrainer(settings: Any) -> Any:
    """Return a copy of the pretrainer to be fitted, or the fitted one, or None.

    Raises
    ------
    TypeError
        If a frozen estimator is not one of skssl's.
    NotFittedError
        If a frozen estimator is not fitted.
    """
    given = settings.pretrainer
    if not isinstance(given, FrozenEstimator):
        return None if given is None else clone(given)
    fitted = given.estimator
    if not isinstance(fitted, ImageEstimator):
        raise TypeError(
            "pretrainer=FrozenEstimator(...) must hold a fitted estimator of skssl, "
            f"got {type(fitted).__name__}."
        )
    check_is_fitted(fitted)
    return fitted


def row_shape(settings: Any, pretrainer: Any) -> Any:
    """Return how rows of a 2-D X fold into images."""
    if pretrainer is None:
        return settings.image_shape
    if isinstance(settings.pretrainer, FrozenEstimator):
        return pretrainer.encoder_.reader.row_shape
    return pretrainer.image_shape


def check_pretrained_head(settings: Any, pretrainer: Any, n_classes: int) -> None:
    """Refuse a pretext with another number of classes before it is learned.

    Raises
    ------
    ValueError
        If the pretrained head would not fit, or has parameters set for a new one.
    """
    if not _takes_head(settings, pretrainer):
        return
    for name, default in _HEAD_PARAMETERS.items():
        if getattr(settings, name) != default:
            raise ValueError(
                f"{name}={getattr(settings, name)!r} belongs to a new head, but "
                "head='auto' continues with the pretrained one: set "
                f"pretrainer__{name}, or give head='linear' or 'mlp'."
            )
    if isinstance(settings.pretrainer, FrozenEstimator):
        n_pretext = pretrainer.head_.n_classes
    else:
        count = pretrainer.n_classes
        if count is None and pretrainer.task == "auto":
            count = n_classes
        n_pretext = targeted_task(pretrainer.task, count).n_versions
    if n_pretext != n_classes:
        raise ValueError(
            f"the pretrained head has {n_pretext} classes, but y has {n_classes}: use "
            "TargetedPretrainer(task='auto'), or head='linear' or 'mlp' for a new head."
        )


def _takes_head(settings: Any, pretrainer: Any) -> bool:
    return settings.head == "auto" and isinstance(pretrainer, TargetedPretrainer)


def fit_pretrainer(
    settings: Any, pretrainer: Any, X: Any, y: Any, groups: Any, *, seed: int
) -> TrainingInterrupted | None:
    """Fit the pretrainer, unless it is frozen.

    Returns
    -------
    TrainingInterrupted or None
        The Ctrl-C that ended the pretraining after something was learned.
    """
    if isinstance(settings.pretrainer, FrozenEstimator):
        return None
    # With a cache the pretrainer itself refuses random_state=None.
    is_drawn = settings.random_state is None and pretrainer.cache is not None
    if pretrainer.random_state is None and not is_drawn:
        pretrainer.set_params(random_state=seed % 2**32)
    try:
        pretrainer.fit(X, y, groups=groups)
    except TrainingInterrupted as interrupt:
        return interrupt
    return None


def make_reader(
    settings: Any, pretrainer: Any, source: ImageSource, train: np.ndarray
) -> ImageReader:
    """Learn from the training rows how images are read, or take the pretrainer's."""
    if pretrainer is None:
        return learn_reader(settings, source, train)
    return pretrainer.encoder_.reader.for_training_on(
        source,
        train,
        image_size=settings.image_size,
        n_jobs=settings.n_jobs,
    )


def last_pretext(pretrainer: Any) -> PretextTask | None:
    """Return the pretext that the backbone learned last, if any."""
    while getattr(pretrainer, "pretrainer_", None) is not None:
        pretrainer = pretrainer.pretrainer_
    return getattr(pretrainer, "task_", None) or getattr(pretrainer, "pretext_", None)


def make_classifier(
    settings: Any, pretrainer: Any, reader: ImageReader, n_classes: int
) -> Classifier:
    """Make backbone and head of the first step, on the CPU."""
    sizes: dict[str, Any] = {
        "in_channels": reader.image_format.n_channels,
        "image_size": reader.image_size,
    }
    if pretrainer is None:
        backbone = build_backbone(
            "resnet18" if settings.backbone is None else settings.backbone,
            weights=settings.weights,
            stem=settings.stem,
            **sizes,
        )
    else:
        backbone = build_backbone(pretrainer.backbone_, **sizes).cpu()
    if _takes_head(settings, pretrainer):
        head = deepcopy(pretrainer.head_).cpu()
        if head.n_features != backbone.n_features:
            raise ValueError(
                f"image_size={settings.image_size}: {backbone.name!r} has "
                f"{backbone.n_features} features there, and the pretrained head takes "
                f"{head.n_features}: leave image_size to the pretrainer, or give "
                "head='linear' or 'mlp' for a new head."
            )
        return Classifier(backbone, head)
    head = ClassifierHead(
        backbone.n_features,
        n_classes,
        kind="linear" if settings.head == "auto" else settings.head,
        hidden_size=settings.hidden_size,
        dropout=settings.dropout,
    )
    return Classifier(backbone, head)
