"""DiskCache: trainings and features on disk, shared by processes and by runs."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from skssl._warn import warn
from skssl.exceptions import CacheWarning

_WRITTEN_WITHIN = 3600  # s; what is unfinished then is of a process that was killed
_MOST_CHUNKS = 16  # files of one encoder's features, before they become one


@dataclass(frozen=True)
class DiskCache:
    """Where pretrainings and features are kept, to be computed once.

    It is the ``cache`` of `SelfSupervisedPretrainer`, `TargetedPretrainer` and
    `TargetedFlipPretrainer`; a path stands for ``DiskCache(path)``.

    Parameters
    ----------
    directory : str or Path
        Made when something is kept. It has pickles, so it must be as trustworthy as
        the code that is run.
    max_bytes : int, default=20_000_000_000
        When it is full, what was used longest ago is deleted.

    Notes
    -----
    A **pretraining** is named by the content of its images in their order, the
    patients, all parameters but ``n_jobs``, ``verbose`` and ``cache``, the labels where
    they are looked at, the code of skssl, the versions of torch, torchvision, numpy,
    scipy, scikit-learn, skorch, pillow and pydicom, and what its last bits depend on:
    the graphics card, or the kind of CPU and the number of threads.

    The **features** of an image are named by its content, the weights, the format and
    size in which images are shown, and the same code and hardware. So an image that
    is in many folds is encoded once for each network.

    What two processes need at a time is computed by one while the other waits. With
    CUDA, one process at a time trains or encodes on a card. A file is complete or not
    there: a process may be killed at any moment, and what was finished before stays.

    Functions and classes of yours that are parameters are named by their compiled code,
    what they enclose, and the functions, classes, modules and plain values that they
    name; not by global objects, nor by files that they read. ``callbacks`` do not run
    where a training is recalled.

    Examples
    --------
    >>> import tempfile
    >>> from skssl import DiskCache, SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> from skssl.testing import tiny_cnn
    >>> scans = make_scan_phantoms(8, image_size=32, random_state=0)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     cache = DiskCache(directory)
    ...     ssl = SelfSupervisedPretrainer(
    ...         backbone=tiny_cnn, max_epochs=1, cache=cache, random_state=0
    ...     )
    ...     for _ in range(2):
    ...         h = ssl.fit(scans.data).transform(scans.data)
    ...     cache.n_fits
    1
    """

    directory: str | os.PathLike[str]
    max_bytes: int = 20_000_000_000

    def __post_init__(self) -> None:
        if not isinstance(self.directory, (str, os.PathLike)):
            raise TypeError(f"directory must be a path, got {self.directory!r}.")
        if self.max_bytes <= 0:
            raise ValueError(f"max_bytes must be above 0, got {self.max_bytes!r}.")

    @property
    def n_fits(self) -> int:
        """Number of pretrainings that are kept."""
        return len(list(self._room("fits").glob("*.pt")))

    @property
    def n_bytes(self) -> int:
        """Bytes that are taken."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> None:
        """Delete what is kept, and nothing else in the directory."""
        for room in ("fits", "features"):
            shutil.rmtree(self._room(room), ignore_errors=True)

    def recall_fit(self, name: str) -> dict[str, Any] | None:
        """Return what a training learned, on the CPU, or None."""
        path = self._fit_path(name)
        try:
            learned = torch.load(path, map_location="cpu", weights_only=False)
        except FileNotFoundError:
            return None
        except Exception as error:  # pickles have errors of any kind
            warn(
                CacheWarning(
                    f"{path} cannot be read, so the training is done again: {error!r}"
                )
            )
            return None
        _touch(path)
        return learned

    def keep_fit(self, name: str, learned: dict[str, Any]) -> None:
        """Keep what a training learned; where that fails, warn and go on."""
        path = self._fit_path(name)
        try:
            with _written_at_once(path) as temporary:
                torch.save(learned, temporary)
        except Exception as error:  # the training itself must not be lost
            warn(CacheWarning(f"the training could not be kept in {path}: {error!r}"))
        self._make_room(path)

    def recall_features(self, encoder: str) -> dict[bytes, np.ndarray]:
        """Return the features that a network has made, by the digest of the image."""
        found: dict[bytes, np.ndarray] = {}
        for path in self._chunks(encoder):
            try:
                with path.open("rb") as file, np.load(file) as chunk:
                    digests, rows = chunk["digests"], chunk["rows"]
            except FileNotFoundError:  # another process made room
                continue
            except Exception as error:  # zip files have errors of many kinds
                warn(
                    CacheWarning(
                        f"{path} cannot be read, so its features are computed again: "
                        f"{error!r}"
                    )
                )
                continue
            found.update(zip(digests.tolist(), rows, strict=True))
        _touch(self._room("features") / encoder)
        return found

    def keep_features(self, encoder: str, features: dict[bytes, np.ndarray]) -> None:
        """Add features of a network; the caller holds its lock."""
        if not features:
            return
        chunks = self._chunks(encoder)
        if len(chunks) >= _MOST_CHUNKS:
            features = self.recall_features(encoder) | features
        path = self._room("features") / encoder / f"{uuid.uuid4().hex}.npz"
        try:
            with _written_at_once(path) as temporary, temporary.open("wb") as file:
                np.savez(
                    file,
                    digests=np.frombuffer(b"".join(features), dtype="V16"),
                    rows=np.stack(list(features.values())),
                )
        except OSError as error:
            warn(CacheWarning(f"features could not be kept in {path}: {error!r}"))
            return
        if len(chunks) >= _MOST_CHUNKS:
            for chunk in chunks:
                chunk.unlink(missing_ok=True)
        self._make_room(path.parent)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of a training or a network; without one where none can be."""
        room = self._room("locks")
        held = FileLock(room / f"{name}.lock")
        try:
            room.mkdir(parents=True, exist_ok=True)
            held.acquire()
        except OSError as error:
            warn(
                CacheWarning(
                    f"{room} cannot be used, so that other processes may do the same "
                    f"work: {error!r}"
                )
            )
        try:
            yield
        finally:
            held.release()

    def _room(self, name: str) -> Path:
        return Path(self.directory) / name

    def _fit_path(self, name: str) -> Path:
        return self._room("fits") / f"{name}.pt"

    def _chunks(self, encoder: str) -> list[Path]:
        return sorted((self._room("features") / encoder).glob("*.npz"))

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Return when each training and each network's features were last used."""
        entries = []
        for path in [*self._room("fits").glob("*"), *self._room("features").glob("*")]:
            try:
                files = [path, *path.glob("*")] if path.is_dir() else [path]
                size = sum(file.stat().st_size for file in files)
                used = path.stat().st_mtime
            except FileNotFoundError:  # another process makes room
                continue
            if path.suffix != ".part" or time.time() - used > _WRITTEN_WITHIN:
                entries.append((used, size, path))
        return sorted(entries)

    def _make_room(self, newest: Path) -> None:
        """Delete what was used longest ago, but not what was kept just now."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.max_bytes:
                return
            if path == newest:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            total -= size


@contextmanager
def device_lock(device: torch.device) -> Iterator[None]:
    """Let one process of this user at a time use a card; a CPU is for all."""
    if device.type != "cuda":
        yield
        return
    card = torch.cuda.get_device_properties(device).uuid
    user = os.getuid() if hasattr(os, "getuid") else ""
    path = Path(tempfile.gettempdir()) / f"skssl-{user}-{card}.lock"
    with FileLock(path, is_singleton=True):  # a callback may transform
        try:
            yield
        finally:
            torch.cuda.empty_cache()


@contextmanager
def _written_at_once(path: Path) -> Iterator[Path]:
    """Yield a file to write, which takes its place when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _touch(path: Path) -> None:
    """Note that something was used now."""
    try:
        os.utime(path)
    except OSError:  # deleted meanwhile, or a directory that may only be read
        return
