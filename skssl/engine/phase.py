"""The phases of a training: trained part, optimizer, length."""

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, clone

from skssl._names import unknown_name
from skssl._params import set_params
from skssl._sklearn import Interval
from skssl.engine.optimizers import OptimizerLike, find_optimizer
from skssl.nn import cosine_restarts, get_schedule
from skssl.nn.blocks import check_trainable

__all__ = ["PHASES", "Phase", "get_phases"]


class Phase(BaseEstimator):
    """One phase of a training: trained layers, optimizer and number of epochs.

    Parameters
    ----------
    train : {"all", "head", "backbone", "last:K", "norms"}, default="all"
        The part that is trained. The rest keeps its weights and batch statistics.
        "last:K" is the head and the last K blocks of the backbone (`skssl.nn.blocks`),
        "norms" the head and the normalisation layers.
    optimizer : {"sgd", "adam", "adamw", "rmsprop"} or callable, default="adamw"
        SGD has momentum 0.9. A callable takes (parameter groups, lr=, weight_decay=).
    lr : float, optional
        Peak learning rate of the head. Default: the optimizer's, 0.03 for SGD, 5e-4
        for Adam, 1e-4 for RMSprop, 1e-3 for others.
    epochs : int, default=30
    batch_size : int, default=16
        Images a step, at least 2.
    weight_decay : float, default=1e-4
        Not applied to biases and normalisation layers.
    schedule : {"constant", "cosine"} or callable, default="constant"
        Factor on ``lr`` as a function of (progress of the phase, warmup).
    warmup : float, default=0.0
        Fraction of the phase in which ``lr`` rises linearly, in [0, 1].
    layer_decay : float, default=1.0
        Factor between the learning rates of a block of the backbone and the next one,
        and between those of the last block and the head; in (0, 1].

    Examples
    --------
    >>> from skssl import Phase
    >>> Phase(train="head", optimizer="rmsprop", lr=1e-4)
    Phase(lr=0.0001, optimizer='rmsprop', train='head')
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "train": [str],
        "optimizer": [str, callable],
        "lr": [Interval(Real, 0, None, closed="neither"), None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "schedule": [str, callable],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        train: str = "all",
        *,
        optimizer: OptimizerLike = "adamw",
        lr: float | None = None,
        epochs: int = 30,
        batch_size: int = 16,
        weight_decay: float = 1e-4,
        schedule: str | Callable[..., float] = "constant",
        warmup: float = 0.0,
        layer_decay: float = 1.0,
    ):
        self.train = train
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.layer_decay = layer_decay

    def set_params(self, **params: Any) -> Self:
        """Set parameters; where one is refused, all stay as they were."""
        return set_params(self, params, super().set_params)

    def validate(self) -> None:
        """Raise ValueError, naming the parameter, if one is out of range."""
        self._validate_params()
        check_trainable(self.train, "train", ("head", "backbone"))
        find_optimizer(self.optimizer)
        get_schedule(self.schedule)


_TOP = Phase("head", optimizer="rmsprop", lr=1e-4, batch_size=32, weight_decay=0.0)
_SLOW = Phase("all", optimizer="sgd", lr=1e-5, batch_size=4, weight_decay=0.0)

#: Lists of phases by name, from the papers that used them.
PHASES: dict[str, list[Phase]] = {
    # Ewen & Khan 2020, 2.5; from their notebook the batches of the top-only runs, and
    # which run has momentum: the last one has none.
    "ewen2020_pretext": [
        _TOP,
        _SLOW,
        clone(_SLOW).set_params(optimizer=torch.optim.SGD, lr=1e-6),
    ],
    "ewen2020": [_TOP, _SLOW],
    # He, Yang et al. 2020: 50 epochs, cosine with a period of 10. Choice: it starts
    # anew at its peak (Loshchilov & Hutter) and does not rise along a cosine.
    "self_trans": [
        Phase(
            optimizer="adam",
            lr=1e-4,
            epochs=50,
            schedule=partial(cosine_restarts, n_periods=5),
            weight_decay=0.0,
        )
    ],
    # skssl's own.
    "frozen": [Phase("head", lr=1e-3, schedule="cosine")],
    "finetune": [
        Phase("head", lr=1e-3, epochs=10),
        Phase("all", lr=3e-4, schedule="cosine", warmup=0.05, layer_decay=0.9),
    ],
    "scratch": [Phase("all", lr=1e-3, epochs=40, schedule="cosine", warmup=0.05)],
}


def get_phases(phases: str | list[Phase]) -> list[Phase]:
    """Return copies of the phases that a parameter specifies.

    Parameters
    ----------
    phases : str or list of Phase
        A key of ``PHASES``: ewen2020_pretext, ewen2020, self_trans, frozen, finetune
        or scratch; or the phases themselves.

    Returns
    -------
    list of Phase

    Raises
    ------
    ValueError
        If the name is unknown, the list is empty, or a parameter is out of range.
    TypeError
        If the list holds something else.

    Examples
    --------
    >>> from skssl.engine import get_phases
    >>> [(phase.train, phase.lr) for phase in get_phases("ewen2020")]
    [('head', 0.0001), ('all', 1e-05)]
    """
    if isinstance(phases, str):
        if phases not in PHASES:
            raise unknown_name("phases", phases, ["auto", *PHASES])
        phases = PHASES[phases]
    if len(phases) == 0:
        raise ValueError("phases is empty: a training needs at least one Phase.")
    for phase in phases:
        if not isinstance(phase, Phase):
            raise TypeError(f"phases must hold Phase objects, got {phase!r}.")
        phase.validate()
    return [clone(phase) for phase in phases]
