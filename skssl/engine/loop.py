"""The training loop: skorch's, without its host syncs, and with views on the device."""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from skssl._random import make_generator
from skssl.data import Batch, DeviceLoader, ImageStore
from skssl.engine.optimizers import OptimizerLike, layer_factors, make_optimizer
from skssl.engine.precision import autocast
from skssl.exceptions import NonFiniteLossError

__all__ = ["StoreNet", "ViewsOf"]


class _CallbackStop(Exception):  # noqa: N818
    """A callback asked for the end of training, as skorch's EarlyStopping does."""


def _is_raised_by_skorch(error: BaseException) -> bool:
    """Return whether a callback asked for the stop, and not Ctrl-C."""
    innermost = None
    for innermost, _ in traceback.walk_tb(error.__traceback__):  # noqa: B007
        pass
    module = innermost.f_globals.get("__name__", "") if innermost else ""
    return module.startswith("skorch.callbacks")


class ViewsOf(Protocol):
    """An object that makes the views of a batch, as `PretextTask.views` does."""

    def views(
        self, images: Tensor, generator: torch.Generator, **options: Any
    ) -> tuple[Tensor, ...]:
        """Make the views of images (n, C, H, W), uint8."""


class StoreNet(NeuralNet):
    """Train a module on an image store.

    Differences from skorch's loop: the loss stays on the device and is read once an
    epoch; the batches come from a `DeviceLoader`; the learning rate follows a schedule
    over steps; there is no validation split; Ctrl-C is re-raised once the callbacks
    have closed.

    Parameters
    ----------
    module : Module
        Trained in place. Maps (views, index) to the loss, where ``index`` holds the
        numbers of the images in the store. It has ``after_step(progress)``.
    task : ViewsOf
    image_size : (height, width)
        Size of the views, pixels.
    schedule : callable
        Factor on the learning rate at (progress, warmup), both in [0, 1].
    warmup : float
        Fraction of the steps.
    precision : {"float32", "bfloat16"}
    seeds : sequence of int
        Seeds of the order of the images and of the views.
    optimizer : str or callable
    lr : float or None
    weight_decay : float
    layer_decay : float, default=1.0
        Factor between the learning rates of a block of the network and the next one.
    **options
        ``max_epochs``, ``batch_size``, ``device``, ``callbacks`` as in skorch.
    """

    #: Name of the parameter that chooses which weights are kept.
    choice_is_made_by = "select"
    #: Patients of the images (n_images,), int64, where batches need partners.
    partner_groups: Tensor | None = None

    def __init__(
        self,
        module: nn.Module,
        *,
        task: ViewsOf,
        image_size: tuple[int, int],
        schedule: Callable[[float, float], float],
        warmup: float = 0.0,
        precision: str = "float32",
        seeds: Sequence[int] = (0, 1),
        optimizer: OptimizerLike = "adamw",
        lr: float | None = None,
        weight_decay: float = 1e-4,
        layer_decay: float = 1.0,
        **options: Any,
    ):
        self.task = task
        self.image_size = image_size
        self.schedule = schedule
        self.warmup = warmup
        self.precision = precision
        self.seeds = seeds
        self.weight_decay = weight_decay
        self.layer_decay = layer_decay
        super().__init__(
            module,
            criterion=None,
            optimizer=optimizer,
            lr=lr,
            train_split=None,
            verbose=0,
            **options,
        )

    @property
    def kept_module_(self) -> nn.Module:
        """The part of the module that is kept after training."""
        return self.module_

    @property
    def network_(self) -> nn.Module:
        """The network whose blocks have learning rates of their own."""
        return self.module_

    def initialize_callbacks(self) -> "StoreNet":
        """Refuse objects that are no callbacks; skorch would raise AttributeError."""
        for item in self.callbacks or []:
            callback = item[-1] if isinstance(item, tuple) else item
            if not hasattr(callback, "on_epoch_end"):
                raise TypeError(f"callbacks: {item!r} is not a skorch callback.")
        return super().initialize_callbacks()

    def initialize_criterion(self) -> "StoreNet":
        """Do nothing: the pretext module returns its own loss."""
        self.criterion_ = None
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> "StoreNet":  # noqa: ARG002
        """Build the optimizer, without weight decay on norms and biases."""
        self.optimizer_ = make_optimizer(
            self.optimizer,
            self.module_,
            lr=self.lr,
            weight_decay=self.weight_decay,
            lr_factors=layer_factors(self.network_, self.layer_decay),
        )
        self.base_lrs_ = [group["lr"] for group in self.optimizer_.param_groups]
        return self

    def check_data(self, X: ImageStore, y: Any = None) -> None:
        """Do nothing: the store has been checked when it was built."""

    def get_split_datasets(
        self,
        X: ImageStore,
        y: Any = None,  # noqa: ARG002
        **params: Any,  # noqa: ARG002
    ) -> tuple[ImageStore, None]:
        """Return the whole store for training, and nothing for validation."""
        return X, None

    def get_iterator(self, dataset: ImageStore, training: bool = False) -> DeviceLoader:  # noqa: ARG002
        """Return the loader, with a generator of its own for the order."""
        return DeviceLoader(
            dataset,
            self.batch_size,
            make_generator(self.seeds[0]),
            torch.device(self.device),
            partner_groups=self.partner_groups,
        )

    def fit_loop(self, X: ImageStore, y: Any = None, **params: Any) -> "StoreNet":
        """Run the epochs; a callback that stops them ends the training normally."""
        with suppress(_CallbackStop):
            super().fit_loop(X, y, **params)
        return self

    def partial_fit(self, X: ImageStore, y: Any = None, **params: Any) -> "StoreNet":
        """Train; whatever ends the training, callbacks see ``on_train_end``."""
        if not self.initialized_:
            self.initialize()
        self.view_generator_ = make_generator(self.seeds[1], self.device)
        self.n_steps_ = self.max_epochs * len(self.get_iterator(X, training=True))
        self.step_ = 0
        self.selected_epoch_: int | None = None
        for name, callback in self.callbacks_:
            if isinstance(callback, LRScheduler):
                raise ValueError(
                    f"callbacks: {name} would be overridden by the schedule: set "
                    "schedule to a name or a callable instead."
                )
            if getattr(callback, "load_best", False):
                raise ValueError(
                    f"callbacks: {name} has load_best=True, but which epoch's weights "
                    f"are kept is decided by {self.choice_is_made_by}."
                )
        self.notify("on_train_begin", X=X, y=y)
        try:
            self.fit_loop(X, y, **params)
            self._check_weights()
        finally:
            self.notify("on_train_end", X=X, y=y)
        return self

    def _check_weights(self) -> None:
        """Raise if the last steps made the weights NaN or infinite."""
        finite = [
            weight.isfinite().all()
            for weight in self.kept_module_.state_dict().values()
            if weight.is_floating_point()
        ]
        if finite and not torch.stack(finite).all():  # sync: once a training
            raise NonFiniteLossError(
                "the last steps made the weights NaN or infinite. Try a lower lr, a "
                "longer warm-up, or precision='float32'."
            )

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; EarlyStopping raises KeyboardInterrupt to stop."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            if _is_raised_by_skorch(stop):
                raise _CallbackStop from stop
            raise  # Ctrl-C, while a callback ran

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **params: Any
    ) -> None:
        """Train one epoch; the mean loss per image stays on the device."""
        if iterator is None:
            return
        self.module_.train()
        total = torch.zeros((), device=self.device)
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **params)
            total += step["loss"] * len(batch.index)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.epoch_images_ = len(iterator.store)
        self.epoch_loss_ = total / self.epoch_images_
        self.history.record(f"{prefix}_batch_count", len(iterator))

    def train_step(
        self,
        batch: Batch,
        **params: Any,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Do one step: views, loss, gradient, update of weights and copies."""
        device = torch.device(self.device)
        # The middle of the step, so that neither the first nor the last has rate 0.
        factor = float(self.schedule((self.step_ + 0.5) / self.n_steps_, self.warmup))
        for group, base_lr in zip(
            self.optimizer_.param_groups, self.base_lrs_, strict=True
        ):
            group["lr"] = base_lr * factor
        self.step_lr_ = self.optimizer_.param_groups[0]["lr"]
        with torch.no_grad():
            # Only tasks that need partners get them.
            partners = {} if batch.partners is None else {"partners": batch.partners}
            views = self.task.views(
                batch.images, self.view_generator_, size=self.image_size, **partners
            )
        self.optimizer_.zero_grad(set_to_none=True)
        with autocast(self.precision, device):
            loss = self.module_(views, batch.index)
        loss.backward()
        self.notify(
            "on_grad_computed",
            named_parameters=TeeGenerator(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )
        self.optimizer_.step()
        self.step_ += 1
        self.module_.after_step(self.step_ / self.n_steps_)
        return {"loss": loss.detach(), "y_pred": None}
