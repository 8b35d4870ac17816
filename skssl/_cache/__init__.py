"""Trainings and features on disk, named by what they depend on."""

from skssl._cache.disk_cache import DiskCache
from skssl._cache.remember import CACHE_CONSTRAINT, encode, image_maps, remember

__all__ = ["CACHE_CONSTRAINT", "DiskCache", "encode", "image_maps", "remember"]
