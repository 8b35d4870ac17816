"""Warnings that point at the user's line, and that a cache can repeat."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["record_warnings", "warn"]

# Packages whose frames lie between the user's call and the warning.
_INTERNAL = {
    "concurrent",
    "contextlib",
    "joblib",
    "optuna",
    "skorch",
    "sklearn",
    "skssl",
    "threading",
    "torch",
}

_RECORDED: ContextVar[list[Warning] | None] = ContextVar("recorded", default=None)


def warn(warning: Warning) -> None:
    """Give a warning that points at the first frame outside skssl.

    Frames of scikit-learn, skorch and joblib, through which skssl is called, are
    skipped too. In a worker thread or process there may be no frame of the user: the
    warning then points at the outermost one.

    Parameters
    ----------
    warning : Warning
        Recorded where `record_warnings` is active.
    """
    recorded = _RECORDED.get()
    if recorded is not None:
        recorded.append(warning)
    warnings.warn(warning, stacklevel=_level_of_user() + 1)


def _level_of_user() -> int:
    """Return the ``stacklevel`` of the user's frame, seen from the caller."""
    frame = sys._getframe(1)
    level = 0
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.split(".", 1)[0] not in _INTERNAL:
            return level
        frame = frame.f_back
        level += 1
    return level


@contextmanager
def record_warnings() -> Iterator[list[Warning]]:
    """Collect the warnings that `warn` gives in this thread, as they are given."""
    recorded: list[Warning] = []
    token = _RECORDED.set(recorded)
    try:
        yield recorded
    finally:
        _RECORDED.reset(token)
