"""The training engine; the only layer that imports skorch."""

from skssl.engine.callbacks import collapse_figure
from skssl.engine.net import PretextNet
from skssl.engine.precision import (
    autocast,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)

__all__ = [
    "PretextNet",
    "autocast",
    "collapse_figure",
    "deterministic_kernels",
    "resolve_device",
    "resolve_precision",
]
