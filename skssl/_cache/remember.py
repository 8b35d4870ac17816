"""Trainings and features that are computed once, with the parameter ``cache``."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

from skssl._cache.disk_cache import DiskCache
from skssl._cache.fingerprint import code_version, fingerprint, hardware
from skssl._cache.locks import device_lock
from skssl._cache.maps import ImageMaps
from skssl._warn import record_warnings, warn
from skssl.data import ImageSource, digest_file, image_digests
from skssl.encoder import Encoder, on_cpu
from skssl.engine import EpochReport, resolve_device, resolve_precision
from skssl.nn import WeightsFile

__all__ = ["CACHE_CONSTRAINT", "encode", "image_maps", "remember"]

CACHE_CONSTRAINT: list = [str, os.PathLike, DiskCache, None]

# Parameters that no result depends on, except for the kind of device.
_WITHOUT_EFFECT = ("cache", "device", "n_jobs", "transform_precision", "verbose")

_FIRST_CHUNK, _LARGEST_CHUNK = 128, 8192  # images

Result = TypeVar("Result")
Item = TypeVar("Item")


def remember(
    settings: Any,
    source: ImageSource,
    labels: Any,
    groups: np.ndarray | None,
    train: Callable[[], Result],
) -> Result:
    """Train, or recall an equal training from the cache of an estimator.

    Parameters
    ----------
    settings : ImageEstimator
        With the parameter ``cache``; its parameters are part of the key.
    source : ImageSource
        The images.
    labels : object
        What the training uses of y.
    groups : ndarray of shape (n,), or None
    train : callable
        Returns a dataclass with ``encoder`` and ``history``. It is called without a
        cache, and where the cache does not have its result.

    Returns
    -------
    What ``train`` returns; recalled networks are on the CPU.
    """
    if settings.cache is None:
        return train()
    cache = _open(settings.cache)
    device = resolve_device(settings.device)
    key = _training_key(settings, source, labels, groups, device)
    stored = cache.recall_fit(key)
    if stored is None:
        with cache.lock(key):
            stored = cache.recall_fit(key)  # another process may have been faster
            if stored is None:
                with device_lock(device), record_warnings() as given:
                    result: Any = train()
                moved = replace(result, **on_cpu(vars(result)))
                cache.keep_fit(key, {"result": moved, "warnings": given})
                return result
    for callback in settings.callbacks or []:
        if isinstance(callback, EpochReport):
            callback.report(stored["result"].history)
    for warning in stored["warnings"]:
        warn(warning)
    return stored["result"]


def encode(
    encoder: Encoder,
    source: ImageSource,
    *,
    cache: Any,
    n_jobs: int | None,
    precision: str = "float32",
) -> np.ndarray:
    """Return features (n, n_features); with a cache, each image is encoded once."""
    options: dict[str, Any] = {"n_jobs": n_jobs, "precision": precision}
    if cache is None:
        return encoder.features_of(source, **options)
    cache = _open(cache)
    digests = image_digests(source, n_jobs).tolist()
    key = fingerprint(
        [code_version(), hardware(encoder.device)],
        list(encoder.networks),
        [encoder.reader.image_format, encoder.reader.image_size],
        precision,
    )
    known = cache.recall_features(key)
    if not known.keys() >= set(digests):
        with cache.lock(key):
            known = cache.recall_features(key)
            missing = {d: row for row, d in enumerate(digests) if d not in known}
            with device_lock(encoder.device):
                # In chunks, so that what was encoded before an error is not lost.
                for chunk in _growing_chunks(list(missing.items())):
                    rows = np.array([row for _, row in chunk], dtype=np.intp)
                    h = encoder.features_of(source, rows, **options)
                    new = {d: f for (d, _), f in zip(chunk, h, strict=True)}
                    cache.keep_features(key, new)
                    known |= new
    return np.stack([known[digest] for digest in digests])


def _growing_chunks(items: list[Item]) -> Iterator[list[Item]]:
    """Yield items in chunks that double in size, since files of chunks are merged."""
    start, size = 0, _FIRST_CHUNK
    while start < len(items):
        yield items[start : start + size]
        start, size = start + size, min(2 * size, _LARGEST_CHUNK)


def image_maps(cache: Any) -> ImageMaps | None:
    """Return the decoded images of a cache, if there is one."""
    return None if cache is None else ImageMaps(_open(cache))


def _training_key(
    settings: Any,
    source: ImageSource,
    labels: Any,
    groups: np.ndarray | None,
    device: torch.device,
) -> str:
    """Return the key of a training, made of all that it depends on."""
    if not isinstance(settings.random_state, Integral):
        raise ValueError(
            "cache needs random_state to be an int, since with "
            f"{settings.random_state!r} no two trainings are the same."
        )
    params = settings.get_params(deep=False)
    for name in _WITHOUT_EFFECT:
        params.pop(name, None)
    params["weights"] = _content(settings.weights)
    params["callbacks"] = [
        [type(callback), _settings(callback)]
        for callback in settings.callbacks or []
        if not isinstance(callback, EpochReport)
    ]
    return fingerprint(
        [code_version(), hardware(device)],
        resolve_precision("auto", device, (64, 64)),
        [type(settings), {name: _key(name, value) for name, value in params.items()}],
        image_digests(source, settings.n_jobs),
        None if groups is None else np.unique(groups, return_inverse=True)[1],
        labels,
    )


def _open(cache: Any) -> DiskCache:
    return cache if isinstance(cache, DiskCache) else DiskCache(cache)


def _content(weights: Any) -> Any:
    """Return the content of weights that are a file or a fitted network."""
    if isinstance(weights, FrozenEstimator):
        return getattr(weights.estimator, "backbone_", weights)
    if isinstance(weights, WeightsFile) and Path(weights.path).is_file():
        how = replace(weights, path="")
        return [digest_file(Path(weights.path)), vars(how)]
    if isinstance(weights, (str, os.PathLike)) and Path(weights).is_file():
        return digest_file(Path(weights))
    return weights


def _settings(callback: Any) -> dict[str, Any]:
    """Return what a callback was made with, and not what it noted in a training."""
    values = vars(callback).items()
    return {name: value for name, value in values if not name.endswith("_")}


def _key(name: str, value: Any) -> str:
    try:
        return fingerprint(value)
    except Exception as error:  # attributes of the user's objects raise anything
        raise ValueError(f"cache cannot be used with this {name}: {error}") from error
