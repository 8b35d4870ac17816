"""Registers the families of skssl, the most general ones first."""

from skssl.nn.families import crnet, torchvision, vit

__all__ = ["crnet", "torchvision", "vit"]
