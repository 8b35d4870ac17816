"""Find pretexts by name, and import the files that define them."""

import importlib
import pkgutil
from collections.abc import Iterable

from skssl._names import unknown_name
from skssl.pretext._base import REGISTRY, PretextTask

__all__ = ["get_pretext", "import_methods", "list_pretexts"]


def import_methods(package: str, folders: Iterable[str]) -> None:
    """Import every file of a package, which registers the methods in it."""
    for file in pkgutil.iter_modules(folders):
        importlib.import_module(f"{package}.{file.name}")


def list_pretexts() -> list[str]:
    """Return the names of all registered pretexts, sorted.

    Examples
    --------
    >>> from skssl.pretext import list_pretexts
    >>> "simclr" in list_pretexts()
    True
    """
    return sorted(REGISTRY)


def get_pretext(pretext: str | PretextTask) -> PretextTask:
    """Return a task from its name; a task is returned as it is.

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the nearest ones.
    TypeError
        If it is neither a name nor a task.

    Examples
    --------
    >>> from skssl.pretext import get_pretext
    >>> get_pretext("moco")
    MoCo()
    """
    if isinstance(pretext, PretextTask):
        return pretext
    if not isinstance(pretext, str):
        raise TypeError(
            "pretext must be a name or a PretextTask such as SimCLR(temperature=0.2), "
            f"got {pretext!r}."
        )
    if pretext not in REGISTRY:
        raise unknown_name("pretext", pretext, REGISTRY)
    return REGISTRY[pretext]()
