"""Pretrainings and features that are computed once."""

import os
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

from skssl._base.disk_cache import DiskCache, device_lock
from skssl._base.features import BackboneFeaturesMixin
from skssl._base.fingerprint import code_version, fingerprint, hardware
from skssl._labels import check_groups
from skssl._warn import record_warnings, warn
from skssl.data import digest_file, image_digests
from skssl.engine import EpochReport, resolve_device, resolve_precision

# Parameters that no result depends on, but for the kind of device.
_WITHOUT_EFFECT = ("cache", "device", "n_jobs", "verbose")
# What X tells anew, also where the rest is recalled.
_OF_X = ("n_features_in_", "feature_names_in_")

CACHE_CONSTRAINT: list = [str, os.PathLike, DiskCache, None]


class CachedMixin(BackboneFeaturesMixin):
    """Train and encode once, with the parameter ``cache``."""

    cache: Any = None  # of subclasses that have no such parameter
    random_state: Any

    def _looked_at(self, y: Any, n: int) -> Any:
        """Return what the training looks at of the labels."""
        raise NotImplementedError

    def _learn(self, X: Any, y: Any, groups: Any, **options: Any) -> None:
        if self.cache is None:
            self._fit(X, y, groups, **options)
            return
        cache = _open(self.cache)
        name = self._name_of_fit(X, y, groups)
        kept = cache.recall_fit(name)
        if kept is None:
            with cache.lock(name):
                kept = cache.recall_fit(name)  # another process may have been faster
                if kept is None:
                    with (
                        device_lock(resolve_device(self.device)),
                        record_warnings() as told,
                    ):
                        self._fit(X, y, groups, **options)
                    cache.keep_fit(name, {"learned": self._learned(), "told": told})
                    return
        for attribute, value in kept["learned"].items():
            setattr(self, attribute, value)
        self._move_to_device(resolve_device(self.device))
        for callback in self.callbacks or []:
            if isinstance(callback, EpochReport):
                callback.tell_all(self.history_)
        for message in kept["told"]:
            warn(message)

    def _name_of_fit(self, X: Any, y: Any, groups: Any) -> str:
        """Return what stands for the training, from all that it depends on."""
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "cache needs random_state to be an int, since with "
                f"{self.random_state!r} no two trainings are the same."
            )
        device = resolve_device(self.device)
        source = self._image_source(X, reset=True)
        params = self.get_params(deep=False)
        for without in _WITHOUT_EFFECT:
            params.pop(without, None)
        params["weights"] = _describe(self.weights)
        params["callbacks"] = [
            [type(callback), _settings(callback)]
            for callback in self.callbacks or []
            if not isinstance(callback, EpochReport)
        ]
        groups = check_groups(groups, len(source))
        return fingerprint(
            [code_version(), hardware(device)],
            resolve_precision("auto", device, (64, 64)),
            [type(self), {name: _told(name, value) for name, value in params.items()}],
            image_digests(source, self.n_jobs),
            None if groups is None else np.unique(groups, return_inverse=True)[1],
            self._looked_at(y, len(source)),
        )

    def _learned(self) -> dict[str, Any]:
        """Return what the fit learned, on the CPU."""
        state = self.__getstate__()
        names = set(self._names_of_learned()) - set(_OF_X)
        return {name: state[name] for name in names}

    def _encode(self, X: Any) -> np.ndarray:
        if self.cache is None:
            return super()._encode(X)
        cache = _open(self.cache)
        source = self._image_source(X, reset=False)
        digests = image_digests(source, self.n_jobs).tolist()
        device = torch.device(self.device_)
        encoder = fingerprint(
            [code_version(), hardware(device)],
            [getattr(self, name) for name in self._modules if hasattr(self, name)],
            [type(self), self._image_format, self.image_size_],
        )
        known = cache.recall_features(encoder)
        if not known.keys() >= set(digests):
            with cache.lock(encoder):
                known = cache.recall_features(encoder)
                first = {d: row for row, d in enumerate(digests) if d not in known}
                rows = np.array(list(first.values()), dtype=np.intp)
                with device_lock(device):
                    h = self._apply(source, self._features, self._n_features_out, rows)
                new = dict(zip(first, h, strict=True))
                cache.keep_features(encoder, new)
                known |= new
        return np.stack([known[digest] for digest in digests])


def _open(cache: Any) -> DiskCache:
    return cache if isinstance(cache, DiskCache) else DiskCache(cache)


def _describe(weights: Any) -> Any:
    """Return the content of weights that are a file or a fitted network."""
    if isinstance(weights, FrozenEstimator):
        return getattr(weights.estimator, "backbone_", weights)
    if isinstance(weights, (str, os.PathLike)) and Path(weights).is_file():
        return digest_file(Path(weights))
    return weights


def _settings(callback: Any) -> dict[str, Any]:
    """Return what a callback was made with, and not what it noted in a training."""
    return {name: of for name, of in vars(callback).items() if not name.endswith("_")}


def _told(name: str, value: Any) -> str:
    try:
        return fingerprint(value)
    except Exception as error:  # attributes of the user's objects raise anything
        raise ValueError(f"cache cannot be used with this {name}: {error}") from error
