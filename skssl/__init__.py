"""Self-supervised pretraining of small medical image sets for scikit-learn."""

from skssl._pretrainer import SelfSupervisedPretrainer
from skssl._probe import Probe
from skssl._version import __version__

__all__ = ["Probe", "SelfSupervisedPretrainer", "__version__"]
