"""`TargetedPretrainer` and `TargetedFlipPretrainer`: parameters and training."""

from skssl._targeted.flip import TargetedFlipPretrainer
from skssl._targeted.pretrainer import TargetedPretrainer

__all__ = ["TargetedFlipPretrainer", "TargetedPretrainer"]
