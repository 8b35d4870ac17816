"""How a classifier is fine-tuned: labels, split, pretraining, phases."""

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.class_weight import compute_sample_weight

from skssl._base import choose_image_size, inner_split
from skssl._finetune.labelled import (
    Labelled,
    check_class_weight,
    read_labelled,
    relative,
)
from skssl._finetune.starting_point import StartingPointMixin
from skssl._labels import check_groups
from skssl._random import isolated_rng, spawn_seeds
from skssl._sklearn import safe_indexing
from skssl.augment import resolve_augmentation
from skssl.data import ImageSource
from skssl.engine import (
    EpochKeeper,
    LabelledViews,
    LabelModule,
    PhaseRecord,
    get_phases,
    resolve_device,
    score_labels,
)
from skssl.nn import Classifier
from skssl.pretext import TARGETED_TASKS, TrainingInfo, WhichViewTask

_SQUARE = (8, 8)  # stands for a size that the images have yet to tell


class Seeds(NamedTuple):
    """One seed for each thing that is random in a fine-tuning."""

    split: int
    pretraining: int
    weights: int
    training: int


class FineTuningMixin(StartingPointMixin):
    """Fit pretrainer, head and backbone, with the parameters of the estimator."""

    def _fit(
        self, X: Any, y: Any, groups: Any, *, sample_weight: Any = None, **_: Any
    ) -> None:
        device = resolve_device(self.device)
        pretrainer = self._new_pretrainer()
        source = self._image_source(X, reset=True)
        n = len(source)
        groups = check_groups(groups, n)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        self.classes_, labelled = read_labelled(y, sample_weight, n)
        self._check_choices(pretrainer)
        check_class_weight(self.class_weight, self.classes_)
        seeds = Seeds(*spawn_seeds(self.random_state, len(Seeds._fields)))
        train, held = self._split(labelled, groups, seeds.split)
        stop = None
        if pretrainer is not None:
            self.pretrainer_ = pretrainer
            seen = _not_of(held, n, groups)
            stop = self._pretrain_on(
                seen, X, labelled.y, groups, seed=seeds.pretraining
            )
        self._settle_images(source, train)
        self._settle_precision(device)
        info = TrainingInfo(
            n_images=len(train),
            n_channels=self._image_format.n_channels,
            image_size=self.image_size_,
            batch_size=2,
        )
        views = self._views(info)
        self.phases_ = get_phases(self._phases())
        with isolated_rng(seeds.weights, device):
            classifier = Classifier(*self._build(info))
            module = self._module(classifier, labelled, train, views)
        if stop is not None:
            self._keep(classifier.to(device), PhaseRecord())
            raise stop
        store = self._read(source, train, self._store_size)
        if self.pretrainer is None and self._starts_at_random():
            classifier.backbone.set_normalization(*store.pixel_statistics())
        self._train(
            module,
            store,
            seed=seeds.training,
            device=device,
            task=views,
            keeper=self._keeper(),
            score=self._score_of(source, labelled.target, held, device),
        )

    def _pretrain_on(
        self, rows: np.ndarray, X: Any, y: Any, groups: Any, *, seed: int
    ) -> KeyboardInterrupt | None:
        """Pretrain on rows of X; return the Ctrl-C after which something was kept."""
        parts = [None if a is None else safe_indexing(a, rows) for a in (X, y, groups)]
        try:
            self._pretrain(*parts, seed=seed)
        except KeyboardInterrupt as interrupt:
            if not hasattr(self.pretrainer_, "backbone_"):
                raise
            return interrupt
        return None

    def _split(
        self, labelled: Labelled, groups: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Hold the validation part out, and keep which rows are in which part."""
        train, held = inner_split(
            labelled.rows,
            self.validation_fraction,
            y=self.classes_[labelled.target],
            groups=groups,
            seed=seed,
        )
        self.sample_indices_, self.validation_indices_ = train, held
        return train, held

    def _check_choices(self, pretrainer: Any) -> None:
        """Refuse what cannot work before anything is trained."""
        self._check_start()
        self._check_pretrained_head(pretrainer)
        size = self.image_size
        if size is None and pretrainer is not None:
            size = getattr(pretrainer, "image_size_", pretrainer.image_size)
        size = choose_image_size(size, _SQUARE)
        self._views(
            TrainingInfo(n_images=2, n_channels=3, image_size=size, batch_size=2)
        )
        if self.selection == "best" and not self.validation_fraction:
            raise ValueError(
                "selection='best' needs held-out images to choose by: set "
                "validation_fraction, such as 0.2."
            )
        named = "frozen" if self.frozen and self.phases == "auto" else self.phases
        if named == "auto":
            return
        trained = {phase.train for phase in get_phases(named)}
        if self.auxiliary is not None and trained == {"head"}:
            raise ValueError(
                "auxiliary would teach nothing: the backbone, which both heads share, "
                "is held still by frozen=True or by phases that train the head alone."
            )
        if self.frozen and trained != {"head"}:
            raise ValueError(
                "frozen=True holds the backbone still, but phases are to train "
                f"{sorted(trained - {'head'})}: give phases with train='head', or "
                "frozen=False."
            )

    def _phases(self) -> Any:
        if self.phases != "auto":
            return self.phases
        if self.frozen:
            return "frozen"
        return "scratch" if self._starts_at_random() else "finetune"

    def _views(self, info: TrainingInfo) -> LabelledViews:
        """Settle the augmentation: nothing in it may undo a pretext."""
        auxiliary = self.auxiliary
        if isinstance(auxiliary, str):
            auxiliary = auxiliary_task(auxiliary)
        elif auxiliary is not None and auxiliary.augmentation != "auto":
            raise ValueError(
                f"auxiliary={auxiliary!r} shares the views of the labels: set the "
                "classifier's augmentation instead of its own."
            )
        augmentation = resolve_augmentation(
            "self_trans_finetune" if self.augmentation == "auto" else self.augmentation,
            info.n_channels,
        )
        if self.augmentation == "auto":
            for task in (self._pretext(), auxiliary):
                if task is not None:
                    augmentation = augmentation.without(*task.forbidden_augmentations)
        if auxiliary is not None:
            auxiliary = clone(auxiliary).set_params(augmentation=augmentation)
            auxiliary = auxiliary.resolve(info)
        return LabelledViews(augmentation, auxiliary)

    def _module(
        self,
        classifier: Classifier,
        labelled: Labelled,
        train: np.ndarray,
        views: LabelledViews,
    ) -> LabelModule:
        """Put the classifier together with the labels that it is to learn."""
        weight = labelled.weight[train]
        if self.class_weight is not None:
            # Of the training part alone: what is held out changes no weight.
            labels = self.classes_[labelled.target[train]]
            weight = weight * compute_sample_weight(self.class_weight, labels)
        auxiliary = views.auxiliary
        return LabelModule(
            classifier,
            torch.from_numpy(labelled.target[train]),
            weight=relative(weight),
            label_smoothing=self.label_smoothing,
            n_versions=None if auxiliary is None else auxiliary.n_versions,
            auxiliary_weight=self.auxiliary_weight,
        )

    def _keeper(self) -> EpochKeeper | None:
        if self.selection == "last":
            return None
        return EpochKeeper(None if self.selection == "best" else self.n_average)

    def _score_of(
        self,
        source: ImageSource,
        target: np.ndarray,
        held: np.ndarray,
        device: torch.device,
    ) -> Any:
        if len(held) == 0:
            return None
        images = self._read(source, held, self.image_size_).images
        of_held = torch.from_numpy(target[held])
        return score_labels(images, of_held, self.image_size_, device)


def auxiliary_task(name: str) -> WhichViewTask:
    """Return the auxiliary pretext of a name."""
    if name not in ("flip", "rotation"):
        raise ValueError(
            f"auxiliary must be 'flip', 'rotation' or a task, got {name!r}."
        )
    return TARGETED_TASKS[name]()


def _not_of(held: np.ndarray, n: int, groups: np.ndarray | None) -> np.ndarray:
    """Return the rows that are neither held out nor of a patient who is."""
    out = np.zeros(n, dtype=bool)
    out[held] = True
    if groups is not None:
        out |= np.isin(groups, groups[held])
    return np.flatnonzero(~out)
