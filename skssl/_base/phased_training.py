"""How a classifier is trained in phases: build, read, train, keep."""

from typing import Any

import numpy as np
import torch

from skssl._base.features import BackboneFeaturesMixin
from skssl._random import isolated_rng
from skssl.data import ImageSource, ImageStore
from skssl.engine import (
    EpochKeeper,
    Phase,
    PhaseRecord,
    deterministic_kernels,
    resolve_precision,
    train_phases,
)
from skssl.engine.supervised import ClassifierModule
from skssl.nn import Backbone, Classifier


class PhasedTrainingMixin(BackboneFeaturesMixin):
    """Train a classifier on rows of X, phase by phase, with the estimator's settings.

    ``networks_`` holds the classifiers that are kept, mostly one.
    """

    _modules = ("networks_",)
    networks_: Any  # ModuleList of Classifier
    precision: str
    callbacks: list | None
    verbose: int

    @property
    def backbone_(self) -> Backbone:
        """The trained backbone."""
        return self._network.backbone

    @property
    def head_(self) -> Any:
        """The trained head."""
        return self._network.head

    @property
    def _network(self) -> Any:
        try:
            return self.networks_[-1]
        except AttributeError:
            raise AttributeError(
                f"this {type(self).__name__} is not fitted yet."
            ) from None

    @property
    def _n_features_out(self) -> int:
        return self.head_.n_penultimate

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        kept = [network.penultimate(images) for network in self.networks_]
        return torch.stack(kept).mean(0)  # (b, n_penultimate)

    def _read(
        self, source: ImageSource, rows: np.ndarray, size: tuple[int, int]
    ) -> ImageStore:
        """Decode rows of X."""
        return ImageStore.build(
            source,
            rows,
            image_format=self._image_format,
            size=size,
            n_jobs=self.n_jobs,
        )

    def _train(
        self,
        module: ClassifierModule,
        store: ImageStore,
        *,
        seed: int,
        device: torch.device,
        keeper: EpochKeeper | None = None,
        **options: Any,
    ) -> None:
        """Train in ``phases_``, and keep the networks, also of an interrupted training.

        Parameters
        ----------
        module : ClassifierModule
            Of a classifier on the CPU.
        store : ImageStore
        seed : int
        device : torch.device
        keeper : EpochKeeper, optional
            Whose epochs are kept; by default what the last phase leaves.
        **options
            As for `train_phases`.
        """
        phases: list[Phase] = self.phases_
        record = PhaseRecord()
        callbacks = list(self.callbacks or [])
        if keeper is not None:
            callbacks.append(keeper)
        classifier = module.classifier
        module.to(device).to(memory_format=torch.channels_last)
        with (
            isolated_rng(seed, device),  # dropout
            deterministic_kernels(device),
            torch.enable_grad(),
        ):
            try:
                train_phases(
                    module,
                    phases,
                    store.to(device),
                    record,
                    seed=seed,
                    callbacks=callbacks,
                    image_size=self.image_size_,
                    precision=self.precision_,
                    device=self.device_,
                    show_progress=bool(self.verbose),
                    **options,
                )
            except KeyboardInterrupt:
                self._keep(classifier, record, keeper)
                raise
        self._keep(classifier, record, keeper)

    def _keep(
        self,
        classifier: Classifier,
        record: PhaseRecord,
        keeper: EpochKeeper | None = None,
    ) -> None:
        """Keep the classifiers in eval mode, and the figures of their training."""
        kept = [classifier.only_train("all")]
        self.selected_epochs_ = record.last_epochs
        if keeper is not None and keeper.states:
            self.selected_epochs_ = list(keeper.epochs)
            kept = [classifier.copy_with(state) for state in keeper.states]
        self.networks_ = torch.nn.ModuleList(kept).eval()
        self.history_ = record.history
        self.n_iter_ = len(record.history)
        self.n_trainable_ = record.n_trainable

    def _settle_precision(self, device: torch.device) -> None:
        self.device_ = str(device)
        self.precision_ = resolve_precision(self.precision, device, self.image_size_)
