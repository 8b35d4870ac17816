"""Errors for names that are not known, with the nearest one that is."""

import difflib
from collections.abc import Iterable

__all__ = ["unknown_name"]


def unknown_name(parameter: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for an unknown name.

    Parameters
    ----------
    parameter : str
        What the user set.
    name : str
        What was got.
    known : iterable of str
        What would be right; all are listed up to 20 of them.

    Returns
    -------
    ValueError
        To be raised by the caller.

    Examples
    --------
    >>> print(unknown_name("pretext", "simclar", ["moco", "simclr"]))
    pretext='simclar' is unknown. Did you mean 'simclr'? Known: moco, simclr.
    """
    names = sorted(known)
    lower = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(lower[n]) for n in near)}?" if near else ""
    listing = f" Known: {', '.join(names)}." if len(names) <= 20 else ""
    return ValueError(f"{parameter}={name!r} is unknown.{hint}{listing}")
