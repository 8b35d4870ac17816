"""The training engine; the only layer that imports skorch."""

from skssl.engine.callbacks import collapse_figure
from skssl.engine.net import PretextNet
from skssl.engine.precision import (
    autocast,
    choose_memory_format,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)

__all__ = [
    "PretextNet",
    "autocast",
    "choose_memory_format",
    "collapse_figure",
    "deterministic_kernels",
    "resolve_device",
    "resolve_precision",
]
