"""What all estimators are made of: reading X, labels and groups, features, phases."""

from skssl._base.cached_fit import CACHE_CONSTRAINT, CachedMixin
from skssl._base.disk_cache import DiskCache
from skssl._base.features import NETWORK_CONSTRAINTS, BackboneFeaturesMixin
from skssl._base.images import choose_image_size, choose_store_size, draw_rows
from skssl._base.inner_split import inner_split
from skssl._base.phased_training import PhasedTrainingMixin

__all__ = [
    "CACHE_CONSTRAINT",
    "NETWORK_CONSTRAINTS",
    "BackboneFeaturesMixin",
    "CachedMixin",
    "DiskCache",
    "PhasedTrainingMixin",
    "choose_image_size",
    "choose_store_size",
    "draw_rows",
    "inner_split",
]
