"""Pretrained weights: find them by name, in a file or an estimator; load them."""

from skssl.nn.families import LoadedWeights
from skssl.nn.weights._file import WeightsFile
from skssl.nn.weights._load import Head, fill, load_weights

__all__ = ["Head", "LoadedWeights", "WeightsFile", "fill", "load_weights"]
