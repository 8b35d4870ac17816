"""Registers the families of skssl, the most general ones first."""

from skssl.nn.families import crnet, libraries, timm, torchvision, vit

__all__ = ["crnet", "libraries", "timm", "torchvision", "vit"]
