"""`FineTuneClassifier`: parameters, where it starts, training, predictions."""

from skssl._finetune.classifier import FineTuneClassifier

__all__ = ["FineTuneClassifier"]
