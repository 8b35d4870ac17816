"""Self-supervised pretraining of small medical image sets, as scikit-learn estimators."""

from skssl._version import __version__

__all__ = ["__version__"]
