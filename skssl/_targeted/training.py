"""How a targeted pretrainer trains: task, rows, network, phases."""

from typing import Any

import numpy as np
from sklearn.base import clone

from skssl._base import (
    CachedMixin,
    PhasedTrainingMixin,
    inner_split,
)
from skssl._labels import check_groups, check_labels, labels_of
from skssl._random import isolated_rng, spawn_seeds
from skssl._warn import warn
from skssl.engine import (
    Phase,
    PhaseRecord,
    VersionModule,
    get_phases,
    resolve_device,
    score_versions,
)
from skssl.exceptions import NothingLearnedWarning
from skssl.nn import Classifier, ClassifierHead, build_backbone
from skssl.pretext import TrainingInfo, WhichViewTask, targeted_task

_AT_CHANCE = 0.97  # of the logarithm of the number of classes


class TargetedTrainingMixin(CachedMixin, PhasedTrainingMixin):
    """Learn the versions of images, with the parameters of the estimator."""

    def _looked_at(self, y: Any, n: int) -> int | None:
        return self._count_classes(y, n)

    def _fit(self, X: Any, y: Any, groups: Any, **options: Any) -> None:  # noqa: ARG002
        device = resolve_device(self.device)
        source = self._image_source(X, reset=True)
        n = len(source)
        groups = check_groups(groups, n)
        task = targeted_task(self.task, self._count_classes(y, n))
        self.phases_ = get_phases(self._phases())
        split_seed, weights_seed, seed = spawn_seeds(self.random_state, 3)
        train, held = self._split(n, groups, split_seed)
        self.sample_indices_, self.validation_indices_ = train, held
        self._learn_format(source, train if len(train) else np.arange(n))
        self._settle_precision(device)
        info = TrainingInfo(
            n_images=max(2, len(train)),
            n_channels=self._image_format.n_channels,
            image_size=self.image_size_,
            batch_size=self.phases_[0].batch_size,
        )
        self.task_ = self._asked(task).resolve(info)
        with isolated_rng(weights_seed, device):
            classifier = self._make_classifier(info, self.task_.n_versions)
        shown = train if len(train) else np.arange(n)
        store = self._read(source, shown, self._store_size)
        if self._starts_at_random():
            classifier.backbone.set_normalization(*store.pixel_statistics())
        if not len(train):
            self._keep(classifier.to(device), PhaseRecord())
            return
        score, figure = None, "loss"
        if len(held):
            images = self._read(source, held, self.image_size_).images
            score = score_versions(images, self.task_, self.image_size_, device)
            figure = "val_loss"
        self._train(
            VersionModule(classifier),
            store,
            seed=seed,
            device=device,
            task=self.task_,
            n_versions=self.task_.n_versions,
            select=lambda row: -row[figure],
            score=score,
        )
        self._warn_if_nothing_was_learned(figure)

    def _split(
        self, n: int, groups: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to train on, and those that choose the lowest loss."""
        rows = np.arange(round(self.fraction * n))
        if self.fraction == 0:
            return rows, rows
        train, held = inner_split(
            rows, self.validation_fraction, groups=groups, seed=seed
        )
        if len(train) < 2:
            raise ValueError(
                f"fraction={self.fraction} of {n} images leaves {len(train)} to train "
                "on: at least 2 are needed for a batch."
            )
        return train, held

    def _phases(self) -> str | list[Phase]:
        if self.phases != "auto":
            return self.phases
        return "scratch" if self._starts_at_random() else "ewen2020_pretext"

    def _asked(self, task: WhichViewTask) -> WhichViewTask:
        """Return a copy of the task with the augmentation that was asked for."""
        augmentation = self.augmentation
        if augmentation is None:
            given = isinstance(self.task, WhichViewTask)
            augmentation = task.augmentation if given else "identity"
        return clone(task).set_params(augmentation=augmentation)

    def _count_classes(self, y: Any, n: int) -> int | None:
        """Return the classes of the later task, or None if nobody says."""
        if self.n_classes is not None or self.task != "auto":
            return self.n_classes
        labels = check_labels(y, n)
        return None if labels is None else len(np.unique(labels_of(labels)[1]))

    def _make_classifier(self, info: TrainingInfo, n_classes: int) -> Classifier:
        backbone = build_backbone(
            self.backbone,
            in_channels=info.n_channels,
            image_size=info.image_size,
            weights=self.weights,
            stem=self.stem,
        )
        head = ClassifierHead(
            backbone.n_features,
            n_classes,
            kind=self.head,
            hidden_size=self.hidden_size,
            dropout=self.dropout,
        )
        return Classifier(backbone, head)

    def _warn_if_nothing_was_learned(self, figure: str) -> None:
        lowest = min(row[figure] for row in self.history_)
        chance = float(np.log(self.task_.n_versions))
        if lowest > _AT_CHANCE * chance:
            warn(
                NothingLearnedWarning(
                    f"the pretext was not learned: its {figure} stayed at "
                    f"{lowest:.3f}, where guessing has {chance:.3f}. Random weights "
                    "want phases='scratch', and a task wants images that it changes."
                ),
            )
