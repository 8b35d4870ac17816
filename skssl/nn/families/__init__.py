"""Backbone families: each knows everything special about its networks.

A new family is one file: a subclass of `BackboneFamily` that ends with a call of
`register_family`. Those of this folder are imported when the first network is made,
since torchvision takes more than a second to import.
"""

from skssl.nn.families._family import BackboneFamily, LoadedWeights, TokenNetwork
from skssl.nn.families._registry import (
    FAMILIES,
    family_of,
    find_family,
    register_family,
    sequence_types,
)

__all__ = [
    "FAMILIES",
    "BackboneFamily",
    "LoadedWeights",
    "TokenNetwork",
    "family_of",
    "find_family",
    "register_family",
    "sequence_types",
]
