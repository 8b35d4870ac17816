"""Errors and warnings of skssl's own."""

__all__ = ["CollapseWarning", "ImageReadError", "NonFiniteLossError", "SmallSetWarning"]


class ImageReadError(ValueError):
    """A file could not be read as an image; the message names the file and its row."""


class NonFiniteLossError(FloatingPointError):
    """The training loss became NaN or infinite; the message names the epoch."""


class CollapseWarning(UserWarning):
    """All images got nearly the same features: the pretraining has collapsed."""


class SmallSetWarning(UserWarning):
    """A setting was reduced because the training set is smaller than it asks for."""
