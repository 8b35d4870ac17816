"""How a pretraining estimator trains: settle, read, train, keep."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from skssl._base import CachedMixin, draw_rows
from skssl._labels import check_groups, check_labels, labelled_rows
from skssl._pretrain.defaults import (
    default_batch_size,
    default_max_epochs,
    default_warmup_epochs,
)
from skssl._pretrain.probe import Probe
from skssl._random import isolated_rng, spawn_seeds
from skssl._warn import warn
from skssl.data import ImageStore
from skssl.engine import (
    PretextNet,
    ProbeLog,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)
from skssl.exceptions import SelectionWarning
from skssl.nn import Backbone, build_backbone, get_schedule
from skssl.pretext import TrainingInfo, get_pretext


class Seeds(NamedTuple):
    """One seed for each thing that is random in a training."""

    rows: int
    weights: int
    order: int
    views: int
    monitors: int


class PretrainingMixin(CachedMixin):
    """Train a pretext on the images of X, with the parameters of the estimator."""

    def _looked_at(self, y: Any, n: int) -> Any:
        return None if self.probe is None else check_labels(y, n)

    def _fit(self, X: Any, y: Any, groups: Any, **options: Any) -> None:  # noqa: ARG002
        """Read, train and keep; an earlier fit is forgotten before."""
        device = resolve_device(self.device)
        source = self._image_source(X, reset=True)
        n = len(source)
        groups = check_groups(groups, n)
        y = None if self.probe is None else check_labels(y, n)
        if self.select == "probe" and y is None:
            raise ValueError("select='probe' needs probe=... and labels, fit(X, y).")
        seeds = Seeds(*spawn_seeds(self.random_state, len(Seeds._fields)))
        rows = draw_rows(n, self.fraction, groups, seeds.rows)
        self._learn_format(source, rows)
        self._settle_lengths(len(rows), device)
        info = self._training_info(None if groups is None else groups[rows], len(rows))
        probe = self._probe_log(y, groups, rows, seeds.monitors, device)
        with (
            isolated_rng(seeds.weights, device),
            deterministic_kernels(device),
            torch.enable_grad(),
        ):
            # Everything named is looked up before the images are decoded.
            net = self._build_net(info, device, seeds, probe)
            store = ImageStore.build(
                source,
                rows,
                image_format=self._image_format,
                size=self._store_size,
                groups=groups,
                n_jobs=self.n_jobs,
            ).to(device)
            if self._starts_at_random():
                statistics = store.pixel_statistics()
                for part in net.module_.modules():
                    if isinstance(part, Backbone):  # the target networks, too
                        part.set_normalization(*statistics)
            self.sample_indices_ = rows
            try:
                net.partial_fit(store)
            except KeyboardInterrupt:
                if net.step_:
                    self._keep(net)
                raise
        self._keep(net)

    def _settle_lengths(self, n_images: int, device: torch.device) -> None:
        """Derive batch size, epochs and warm-up where they are not given."""
        self.batch_size_ = (
            default_batch_size(n_images, self.image_size_, device)
            if self.batch_size is None
            else self.batch_size
        )
        if self.batch_size_ > n_images:
            if self.fraction < 1:
                raise ValueError(
                    f"fraction={self.fraction} leaves {n_images} images, fewer than "
                    f"one batch of batch_size={self.batch_size}."
                )
            self.batch_size_ = n_images
        self.max_epochs_ = (
            default_max_epochs(n_images, self.batch_size_)
            if self.max_epochs is None
            else self.max_epochs
        )
        self.warmup_epochs_ = (
            default_warmup_epochs(self.max_epochs_)
            if self.warmup_epochs is None
            else self.warmup_epochs
        )

    def _training_info(self, groups: np.ndarray | None, n_images: int) -> TrainingInfo:
        """Say what the pretext may know; patients are numbered."""
        codes = None
        if groups is not None:
            codes = torch.from_numpy(np.unique(groups, return_inverse=True)[1])
        return TrainingInfo(
            n_images=n_images,
            n_channels=self._image_format.n_channels,
            image_size=self.image_size_,
            batch_size=self.batch_size_,
            max_epochs=self.max_epochs_,
            groups=codes,
        )

    def _probe_log(
        self,
        y: np.ndarray | None,
        groups: np.ndarray | None,
        rows: np.ndarray,
        seed: int,
        device: torch.device,
    ) -> ProbeLog | None:
        """Draw the folds of the probe among the labelled rows of the store."""
        if self.probe is None or y is None:
            return None
        probe = self.probe if isinstance(self.probe, Probe) else Probe(self.probe)
        labelled = labelled_rows(y[rows], probe.estimator)
        y = np.array(y[rows][labelled].tolist())  # objects become what they are
        if groups is not None:
            groups = groups[rows][labelled]
        with isolated_rng(seed):  # a splitter may have no random_state
            splits = probe.draw_folds(y, groups, seed)

        def score(h: np.ndarray) -> np.ndarray:
            with isolated_rng(seed, device):  # nor may the estimator
                return probe.evaluate(h, y, splits)

        return ProbeLog(labelled, score, probe.every)

    def _build_net(
        self,
        info: TrainingInfo,
        device: torch.device,
        seeds: Seeds,
        probe: ProbeLog | None,
    ) -> PretextNet:
        """Put backbone, task and training settings together."""
        self.device_ = str(device)
        self.pretext_ = get_pretext(self.pretext).resolve(info)
        self.precision_ = resolve_precision(
            self.precision, device, self.pretext_.input_size(self.image_size_)
        )
        backbone = build_backbone(
            self.backbone,
            in_channels=info.n_channels,
            image_size=self.image_size_,
            weights=self.weights,
            stem=self.stem,
        )
        module = self.pretext_.build(backbone, info)
        self.optimizer_, lr = self.optimizer, self.lr
        if self.optimizer == "auto":
            self.optimizer_ = self.pretext_.default_optimizer
            lr = self.pretext_.default_lr if lr is None else lr
        paired = self.pretext_.same_group == "positive"
        net = PretextNet(
            module.to(device).to(memory_format=torch.channels_last),
            task=self.pretext_,
            image_size=self.image_size_,
            schedule=get_schedule(self.schedule),
            warmup=min(1.0, self.warmup_epochs_ / max(1, self.max_epochs_)),
            precision=self.precision_,
            seeds=(seeds.order, seeds.views, seeds.monitors),
            optimizer=self.optimizer_,
            lr=lr,
            weight_decay=self.weight_decay,
            partner_groups=info.groups if paired else None,
            probe=probe,
            select=_selection(self.select),
            max_epochs=self.max_epochs_,
            batch_size=self.batch_size_,
            device=self.device_,
            callbacks=self.callbacks,
            show_progress=bool(self.verbose),
        ).initialize()
        self.lr_ = net.base_lrs_[0]
        return net

    def _keep(self, net: PretextNet) -> None:
        """Keep the backbone and the figures of a training; drop the rest."""
        self.backbone_ = net.module_.backbone.eval()
        self.history_ = net.rows()
        self.n_iter_ = len(self.history_)
        self.selected_epoch_ = net.selected_epoch_ or self.n_iter_
        if self.select != "last" and self.n_iter_ and net.selected_epoch_ is None:
            warn(
                SelectionWarning(
                    f"select={self.select!r} gave no epoch a score, so the last "
                    "weights are kept."
                ),
            )
        if net.probe is not None:
            self.initial_probe_score_ = net.probe.initial_score_
        net.module_.forget_step()
        if self.keep_module:
            self.pretext_module_ = net.module_


def _selection(
    select: str | Callable[[dict[str, float]], float | None],
) -> Callable[[dict[str, float]], float | None] | None:
    """Return the score of an epoch that ``select`` stands for; None keeps the last."""
    if select == "last":
        return None
    if isinstance(select, str):
        figure = {"rankme": "rankme", "probe": "probe_score"}[select]
        return lambda row: row.get(figure)
    return select
