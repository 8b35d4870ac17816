"""`SelfSupervisedPretrainer`: parameters, defaults, training, and the probe."""

from skssl._pretrain.pretrainer import SelfSupervisedPretrainer
from skssl._pretrain.probe import Probe
from skssl._pretrain.training import PretrainingMixin

__all__ = ["PretrainingMixin", "Probe", "SelfSupervisedPretrainer"]
