"""The training engine. No other layer imports skorch."""

from skssl.engine.callbacks import ProbeLog
from skssl.engine.monitors import (
    alignment,
    feature_rank,
    feature_spread,
    uniformity,
)
from skssl.engine.net import PretextNet
from skssl.engine.phase import PHASES, Phase, get_phases
from skssl.engine.phase_callbacks import EpochKeeper
from skssl.engine.phase_net import PhaseRecord, train_phases
from skssl.engine.phased import TrainedClassifiers, train_classifier, untrained
from skssl.engine.precision import (
    autocast,
    deterministic_kernels,
    resolve_device,
    resolve_precision,
)
from skssl.engine.reports import EpochReport
from skssl.engine.supervised import (
    LabelledViews,
    LabelModule,
    Score,
    VersionModule,
    score_labels,
    score_versions,
)

__all__ = [
    "PHASES",
    "EpochKeeper",
    "EpochReport",
    "LabelModule",
    "LabelledViews",
    "Phase",
    "PhaseRecord",
    "PretextNet",
    "ProbeLog",
    "Score",
    "TrainedClassifiers",
    "VersionModule",
    "alignment",
    "autocast",
    "deterministic_kernels",
    "feature_rank",
    "feature_spread",
    "get_phases",
    "resolve_device",
    "resolve_precision",
    "score_labels",
    "score_versions",
    "train_classifier",
    "train_phases",
    "uniformity",
    "untrained",
]
