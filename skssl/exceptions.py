"""Exceptions and warnings of skssl."""

from typing import Any

__all__ = [
    "CacheWarning",
    "CollapseWarning",
    "ImageNotFoundError",
    "ImageReadError",
    "NonFiniteLossError",
    "NothingLearnedWarning",
    "SelectionWarning",
    "TrainingInterrupted",
]


class ImageReadError(OSError, ValueError):
    """A file could not be read as an image; the message names the file and its row."""


class ImageNotFoundError(ImageReadError, FileNotFoundError):
    """A listed image file does not exist; the message names the file and its row."""


class NonFiniteLossError(FloatingPointError):
    """The training loss became NaN or infinite; the message names the epoch."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a training; ``result`` is what was learned until then."""

    def __init__(self, result: Any):
        super().__init__()
        self.result = result

    def __reduce__(self) -> Any:
        return KeyboardInterrupt, ()  # between processes, without the result


class CacheWarning(UserWarning):
    """A cache could not be read or written; the result was computed without it."""


class CollapseWarning(UserWarning):
    """All images have nearly the same features: the pretraining has collapsed."""


class NothingLearnedWarning(UserWarning):
    """After training, the pretext task is solved no better than by guessing."""


class SelectionWarning(UserWarning):
    """``select`` scored no epoch, so the weights of the last epoch are used."""
