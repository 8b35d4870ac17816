"""Warnings that a training gives, and that are given again where it is recalled."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_HEARD: ContextVar[list[Warning] | None] = ContextVar("heard", default=None)


def warn(warning: Warning, *, stacklevel: int) -> None:
    """Warn as ``warnings.warn`` does, and let `heard` know."""
    told = _HEARD.get()
    if told is not None:
        told.append(warning)
    warnings.warn(warning, stacklevel=stacklevel + 1)


@contextmanager
def heard() -> Iterator[list[Warning]]:
    """Collect the warnings that `warn` gives in this thread, as they are given."""
    told: list[Warning] = []
    token = _HEARD.set(told)
    try:
        yield told
    finally:
        _HEARD.reset(token)
