"""Self-supervised pretraining of small medical image sets for scikit-learn."""

from skssl._pretrainer import SelfSupervisedPretrainer
from skssl._version import __version__

__all__ = ["SelfSupervisedPretrainer", "__version__"]
