"""Learning-rate schedules: factors of the base rate as functions of progress."""

from collections.abc import Callable
from math import cos, isfinite, pi

from skssl._names import unknown_name

__all__ = ["Schedule", "constant", "cosine", "cosine_restarts", "get_schedule"]

Schedule = Callable[[float, float], float]


def cosine(progress: float, warmup: float = 0.0) -> float:
    """Rise linearly from 0 to 1, then fall to 0 along half a cosine period.

    Parameters
    ----------
    progress : float
        Fraction of the training that is completed, in [0, 1].
    warmup : float, default=0.0
        Fraction of the training spent on the rise, in [0, 1].

    Returns
    -------
    float
        Factor of the base learning rate, in [0, 1].

    Raises
    ------
    ValueError
        If ``progress`` or ``warmup`` is out of range.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter. "SGDR: Stochastic Gradient Descent with Warm
       Restarts." ICLR, 2017. :doi:`10.48550/arXiv.1608.03983`.

    Examples
    --------
    >>> from skssl.nn import cosine
    >>> [round(cosine(p, warmup=0.2), 3) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    factor = constant(progress, warmup)
    if progress <= warmup:
        return factor
    return 0.5 * (1 + cos(pi * (progress - warmup) / (1 - warmup)))


def cosine_restarts(progress: float, warmup: float = 0.0, *, n_periods: int) -> float:
    """Repeat `cosine` several times, each time from the start.

    Parameters
    ----------
    progress : float
        Fraction of the training that is completed, in [0, 1].
    warmup : float, default=0.0
        Fraction of each period spent on the rise, in [0, 1].
    n_periods : int
        Number of periods, at least 1.

    Returns
    -------
    float
        Factor of the base learning rate, in [0, 1].

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter. "SGDR: Stochastic Gradient Descent with Warm
       Restarts." ICLR, 2017. :doi:`10.48550/arXiv.1608.03983`.

    Examples
    --------
    >>> from skssl.nn import cosine_restarts
    >>> [cosine_restarts(p, n_periods=2) for p in (0.0, 0.5, 1.0)]
    [1.0, 1.0, 0.0]
    """
    if n_periods < 1:
        raise ValueError(f"n_periods must be at least 1, got {n_periods!r}.")
    periods = progress * n_periods
    return cosine(1.0 if progress == 1 else periods - int(periods), warmup)


def constant(progress: float, warmup: float = 0.0) -> float:
    """Rise linearly from 0 to 1, then stay at 1.

    Parameters
    ----------
    progress : float
        Fraction of the training that is completed, in [0, 1].
    warmup : float, default=0.0
        Fraction of the training spent on the rise, in [0, 1].

    Returns
    -------
    float
        Factor of the base learning rate, in [0, 1].

    Raises
    ------
    ValueError
        If ``progress`` or ``warmup`` is out of range.

    Examples
    --------
    >>> from skssl.nn import constant
    >>> constant(0.0), constant(0.05, warmup=0.1), constant(0.7, warmup=0.1)
    (1.0, 0.5, 1.0)
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must be in [0, 1], got {progress!r}.")
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup must be in [0, 1], got {warmup!r}.")
    return progress / warmup if progress < warmup else 1.0


_SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine}


def get_schedule(schedule: str | Schedule) -> Schedule:
    """Return a schedule by its name.

    Parameters
    ----------
    schedule : {"constant", "cosine"} or callable
        A callable takes ``(progress, warmup)`` and returns a number. It is called once
        with ``(0.0, 0.0)`` to check this, and returned unchanged.

    Returns
    -------
    callable
        Maps ``(progress, warmup)`` to a factor of the base learning rate.

    Raises
    ------
    ValueError
        If the name is unknown (the message gives the nearest ones), or a callable
        returns a number that is not finite.
    TypeError
        If ``schedule`` is neither a string nor callable, or a callable does not take
        two numbers and return one.

    Examples
    --------
    >>> from skssl.nn import get_schedule
    >>> get_schedule("cosine")(1.0, 0.0)
    0.0
    """
    if callable(schedule):
        try:
            factor = float(schedule(0.0, 0.0))
        except TypeError as error:
            raise TypeError(
                f"schedule must take (progress, warmup) and return a number: {error}"
            ) from error
        if not isfinite(factor):
            raise ValueError(f"schedule returned {factor} for progress 0, warmup 0.")
        return schedule
    if not isinstance(schedule, str):
        raise TypeError(
            f"schedule must be a name or a callable, got {type(schedule).__name__}."
        )
    if schedule not in _SCHEDULES:
        raise unknown_name("schedule", schedule, _SCHEDULES)
    return _SCHEDULES[schedule]
