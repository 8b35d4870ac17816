"""Backbone families: each knows everything special about its networks.

A new family is one file: a subclass of `BackboneFamily` that ends with a call of
`register_family`.
"""

from skssl.nn.families._family import BackboneFamily, LoadedWeights
from skssl.nn.families._registry import (
    FAMILIES,
    family_of,
    find_family,
    register_family,
    sequence_types,
)

# Each of these files registers its families.
from skssl.nn.families import crnet, torchvision, vit  # noqa: F401  # isort: skip

__all__ = [
    "FAMILIES",
    "BackboneFamily",
    "LoadedWeights",
    "family_of",
    "find_family",
    "register_family",
    "sequence_types",
]
