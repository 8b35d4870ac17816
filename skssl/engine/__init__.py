"""The training engine; the only layer that imports skorch."""

from skssl.engine.callbacks import ProbeLog
from skssl.engine.monitors import (
    alignment,
    feature_rank,
    feature_spread,
    uniformity,
)
from skssl.engine.net import PretextNet
from skssl.engine.precision import (
    autocast,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)

__all__ = [
    "PretextNet",
    "ProbeLog",
    "alignment",
    "autocast",
    "deterministic_kernels",
    "feature_rank",
    "feature_spread",
    "resolve_device",
    "resolve_precision",
    "uniformity",
]
