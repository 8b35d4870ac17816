"""Find the family of a name or of a module."""

import importlib

from torch import nn

from skssl._names import unknown_name
from skssl.nn.families._family import BackboneFamily
from skssl.nn.families._modules import State, with_current_version

__all__ = [
    "FAMILIES",
    "family_of",
    "find_family",
    "register_family",
    "sequence_types",
]

#: The registered families, in the order in which they are asked.
FAMILIES: list[BackboneFamily] = []


class _OtherModules(BackboneFamily):
    """Modules that no family owns. They are taken whole.

    Which of their linear layers is a head cannot be known.
    """

    def names(self) -> tuple[str, ...]:
        return ()

    def owns(self, network: nn.Module) -> bool:  # noqa: ARG002
        return True

    def make(
        self,
        name: str,
        image_size: tuple[int, int],  # noqa: ARG002
        in_channels: int,  # noqa: ARG002
    ) -> nn.Module:
        raise unknown_name("backbone", name, ())

    def remove_head(self, network: nn.Module) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def adapt_state(self, network: nn.Module, state: State) -> State:
        return with_current_version(network, state)


_OTHER_MODULES = _OtherModules()


def register_family(family: BackboneFamily) -> None:
    """Add a family. It takes precedence over those registered before.

    Parameters
    ----------
    family : BackboneFamily

    Raises
    ------
    TypeError
        If it is not an instance of a `BackboneFamily`.
    """
    _import_own()
    if not isinstance(family, BackboneFamily):
        raise TypeError(
            f"family must be an instance of BackboneFamily, got {family!r}."
        )
    FAMILIES.insert(0, family)


def find_family(name: str) -> BackboneFamily:
    """Return the family that makes the named network.

    Raises
    ------
    ValueError
        If no family has the name; the message gives the nearest names of all families.

    Examples
    --------
    >>> from skssl.nn.families import find_family
    >>> sorted(find_family("inception_v3").names())
    ['googlenet', 'inception_v3']
    """
    _import_own()
    for family in FAMILIES:
        if family.has_name(name):
            return family
    raise unknown_name("backbone", name, {n for each in FAMILIES for n in each.names()})


def family_of(network: nn.Module) -> BackboneFamily:
    """Return the family that owns a network, or one that takes modules whole.

    Examples
    --------
    >>> from torchvision.models import resnet18
    >>> from skssl.nn.families import family_of
    >>> family_of(resnet18()).remove_head(resnet18())
    ('fc.',)
    """
    _import_own()
    for family in FAMILIES:
        if family.owns(network):
            return family
    return _OTHER_MODULES


def sequence_types() -> tuple[type[nn.Module], ...]:
    """Return all classes whose children are consecutive blocks, of any family."""
    _import_own()
    own = [kind for family in FAMILIES for kind in family.sequence_types()]
    return (nn.Sequential, nn.ModuleList, *own)


def _import_own() -> None:
    """Import the files of skssl's families, which register their own."""
    importlib.import_module("skssl.nn.families._own")
