"""`SelfSupervisedPretrainer`: parameters, defaults, training, and the probe."""

from skssl._pretrain.pretrainer import SelfSupervisedPretrainer
from skssl._pretrain.probe import Probe

__all__ = ["Probe", "SelfSupervisedPretrainer"]
