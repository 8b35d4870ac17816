"""Errors and warnings of skssl's own."""

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
    """A cache could not be read or written, and the work was done without it."""


class CollapseWarning(UserWarning):
    """All images got nearly the same features: the pretraining has collapsed."""


class NothingLearnedWarning(UserWarning):
    """A pretext was told no better after its training than by guessing."""


class SelectionWarning(UserWarning):
    """``select`` gave no epoch a score, so the last weights were kept."""
