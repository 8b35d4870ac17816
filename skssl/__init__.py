"""Self-supervised pretraining of small medical image sets for scikit-learn."""

from skssl._cache import DiskCache
from skssl._finetune import FineTuneClassifier
from skssl._pretrain import Probe, SelfSupervisedPretrainer
from skssl._show_versions import show_versions
from skssl._targeted import TargetedFlipPretrainer, TargetedPretrainer
from skssl._version import __version__
from skssl.encoder import Encoder
from skssl.engine import Phase

__all__ = [
    "DiskCache",
    "Encoder",
    "FineTuneClassifier",
    "Phase",
    "Probe",
    "SelfSupervisedPretrainer",
    "TargetedFlipPretrainer",
    "TargetedPretrainer",
    "__version__",
    "show_versions",
]
