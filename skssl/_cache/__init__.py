"""Trainings and features on disk, named by what they depend on."""

from skssl._cache.disk_cache import DiskCache
from skssl._cache.remember import CACHE_CONSTRAINT, encode, remember

__all__ = ["CACHE_CONSTRAINT", "DiskCache", "encode", "remember"]
