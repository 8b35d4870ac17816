"""What fine-tuning starts from: a pretrainer or a backbone, and its images."""

from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skssl._base import (
    BackboneFeaturesMixin,
    PhasedTrainingMixin,
    choose_image_size,
    choose_store_size,
)
from skssl._targeted import TargetedPretrainer
from skssl.data import ImageSource, survey_images
from skssl.nn import Backbone, ClassifierHead, build_backbone
from skssl.pretext import PretextTask, TrainingInfo, targeted_task

_OF_THE_PRETRAINED_HEAD = {"hidden_size": 1024, "dropout": 0.5}
_OF_THE_PRETRAINER = {
    "backbone": None,
    "weights": None,
    "stem": "auto",
    "image_shape": None,
    "value_range": "auto",
    "out_of_range": "auto",
    "color": "auto",
    "resize": "squash",
}


class StartingPointMixin(PhasedTrainingMixin):
    """Make the network of the first step, with the parameters of the estimator."""

    classes_: np.ndarray

    def _check_start(self) -> None:
        """Refuse parameters that belong to the pretrainer."""
        if self.pretrainer is None:
            return
        for name, default in _OF_THE_PRETRAINER.items():
            value = getattr(self, name)
            if not (value is default or value == default):
                raise ValueError(
                    f"{name}={value!r} and a pretrainer were given, which has its own: "
                    f"set pretrainer__{name}, or give no pretrainer."
                )

    def _new_pretrainer(self) -> Any:
        """Return what is to be fitted, or the fitted one, or None."""
        given = self.pretrainer
        if not isinstance(given, FrozenEstimator):
            return None if given is None else clone(given)
        fitted = given.estimator
        if not isinstance(fitted, BackboneFeaturesMixin):
            raise TypeError(
                "pretrainer=FrozenEstimator(...) must hold a fitted estimator of "
                f"skssl, got {type(fitted).__name__}."
            )
        check_is_fitted(fitted)
        return fitted

    def _check_pretrained_head(self, pretrainer: Any) -> None:
        """Refuse a pretext with other classes before it is learned."""
        if not self._takes_head_of(pretrainer):
            return
        for name, default in _OF_THE_PRETRAINED_HEAD.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is of a new head, but head='auto' "
                    f"goes on with the pretrained one: set pretrainer__{name}, or give "
                    "head='linear' or 'mlp'."
                )
        n_classes = len(self.classes_)
        if isinstance(self.pretrainer, FrozenEstimator):
            n_pretext = pretrainer.head_.n_classes
        else:
            asked = pretrainer.n_classes
            count = n_classes if asked is None and pretrainer.task == "auto" else asked
            n_pretext = targeted_task(pretrainer.task, count).n_versions
        if n_pretext != n_classes:
            raise ValueError(
                f"the pretrained head tells {n_pretext} classes, but y has "
                f"{n_classes}: use TargetedPretrainer(task='auto'), or head='linear' "
                "or 'mlp' for a new head."
            )

    def _takes_head_of(self, pretrainer: Any) -> bool:
        return self.head == "auto" and isinstance(pretrainer, TargetedPretrainer)

    def _pretrain(self, X: Any, y: Any, groups: Any, *, seed: int) -> None:
        """Fit ``pretrainer_`` to the rows that it may see, unless it is frozen."""
        if isinstance(self.pretrainer, FrozenEstimator):
            return
        of_chance = self.random_state is None and self.pretrainer_.cache is not None
        if self.pretrainer_.random_state is None and not of_chance:
            self.pretrainer_.set_params(random_state=seed % 2**32)
        self.pretrainer_.fit(X, y, groups=groups)

    def _settle_images(self, source: ImageSource, train: np.ndarray) -> None:
        """Learn the format from the training rows, or take the pretrainer's."""
        if self.pretrainer is None:
            self._learn_format(source, train)
            return
        of = self.pretrainer_
        survey = survey_images(
            source,
            train,
            color=of.color,
            value_range="auto" if of.value_range_ is None else of.value_range_,
            n_jobs=self.n_jobs,
        )
        if of.value_range_ is None and survey.value_range is not None:
            raise ValueError(
                "the pretrainer learned from uint8 images, and these are others: "
                "convert X to uint8, as it was there."
            )
        self._image_format = of._image_format
        self.value_range_ = of.value_range_
        self.image_shape_ = (*(survey.size or (None, None)), of.image_shape_[2])
        self.image_size_ = (
            of.image_size_
            if self.image_size is None
            else choose_image_size(self.image_size, None)
        )
        self._store_size = choose_store_size(self.image_size_, survey.size)

    def _fold_shape(self) -> Any:
        if self.pretrainer is None:
            return self.image_shape
        given: Any = self.pretrainer
        return getattr(given, "estimator", given).image_shape

    def _starts_at_random(self) -> bool:
        """Tell whether nobody has trained the backbone."""
        if self.pretrainer is not None:
            given = self.pretrainer_
            return given.n_iter_ == 0 and given._starts_at_random()
        return super()._starts_at_random()

    def _pretext(self) -> PretextTask | None:
        """Return the pretext that the backbone learned last, if any."""
        last: Any = getattr(self, "pretrainer_", None)
        while hasattr(last, "pretrainer_"):
            last = last.pretrainer_
        return getattr(last, "task_", None) or getattr(last, "pretext_", None)

    def _build(self, info: TrainingInfo) -> tuple[Backbone, ClassifierHead]:
        """Make backbone and head of the first step."""
        if self.pretrainer is None:
            backbone = build_backbone(
                "resnet18" if self.backbone is None else self.backbone,
                in_channels=info.n_channels,
                image_size=info.image_size,
                weights=self.weights,
                stem=self.stem,
            )
        else:
            backbone = build_backbone(
                self.pretrainer_.backbone_,
                in_channels=info.n_channels,
                image_size=info.image_size,
            ).cpu()
            if self._takes_head_of(self.pretrainer_):
                head = deepcopy(self.pretrainer_.head_).cpu()
                if head.n_features != backbone.n_features:
                    raise ValueError(
                        f"image_size={self.image_size}: {backbone.name!r} has "
                        f"{backbone.n_features} features there, and the pretrained "
                        f"head takes {head.n_features}: leave image_size to the "
                        "pretrainer, or give head='linear' or 'mlp' for a new head."
                    )
                return backbone, head
        head = ClassifierHead(
            backbone.n_features,
            len(self.classes_),
            kind="linear" if self.head == "auto" else self.head,
            hidden_size=self.hidden_size,
            dropout=self.dropout,
        )
        return backbone, head
