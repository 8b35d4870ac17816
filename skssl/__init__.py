"""Self-supervised pretraining of small medical image sets for scikit-learn."""

from skssl._finetune import FineTuneClassifier
from skssl._pretrainer import SelfSupervisedPretrainer
from skssl._probe import Probe
from skssl._targeted import TargetedPretrainer
from skssl._targeted_flip import TargetedFlipPretrainer
from skssl._version import __version__
from skssl.engine import Phase

__all__ = [
    "FineTuneClassifier",
    "Phase",
    "Probe",
    "SelfSupervisedPretrainer",
    "TargetedFlipPretrainer",
    "TargetedPretrainer",
    "__version__",
]
