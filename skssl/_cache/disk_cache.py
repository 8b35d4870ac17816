"""DiskCache: trainings and features on disk, shared by processes and by runs."""

import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from skssl._cache.folder import (
    CacheFolder,
    checked,
    delete,
    touch,
    with_checksum,
    written_at_once,
)
from skssl._cache.locks import acquire
from skssl._warn import warn
from skssl.exceptions import CacheWarning

_FOLDER = "skssl-cache"  # within the user's directory; nothing else is ever deleted
_MAX_CHUNKS = 16  # files of one encoder's features, before they are merged


@dataclass(frozen=True)
class DiskCache:
    """A directory in which pretrainings and features are stored, to be computed once.

    It is the ``cache`` of `SelfSupervisedPretrainer`, `TargetedPretrainer` and
    `TargetedFlipPretrainer`; a path stands for ``DiskCache(path)``.

    Parameters
    ----------
    directory : str or Path
        A folder ``skssl-cache`` is made in it; nothing else there is read, changed or
        deleted. The folder holds pickles, so it must be as trustworthy as the code that
        you run.
    max_bytes : int, default=20_000_000_000
        When the cache is full, the least recently used entries are deleted.

    Notes
    -----
    The key of a **pretraining** consists of the content of its images in their order,
    the patients, the labels where they are used, all parameters but ``n_jobs``,
    ``verbose``, ``cache`` and ``device``, the code of skssl that a training runs, the
    versions of torch, torchvision, numpy, scipy, scikit-learn, skorch, pillow, timm,
    pydicom and SimpleITK, and what the last bits depend on: the graphics card, or the
    kind of CPU and the number of threads.

    The key of the **features** of an image consists of its content, the network and its
    weights, the format and size of the images, and the same code and hardware. So an
    image that is in several folds is encoded once for each network.

    The **decoded images** of files are kept, too, as they are stored for a training.
    The key consists of the content of a file, and of the size and the format, to which
    the value range belongs: one that is learned differs between folds. The images are
    mapped into memory, with a checksum for each. So a set is decoded once for all fits,
    folds and processes, and none of them holds a copy.

    If two processes need the same result, one computes it while the other waits. With
    CUDA, one process at a time trains or encodes on a card. A file is complete or not
    there: a process may be killed at any moment, and finished results stay. Checksums
    are verified on reading; what is damaged is computed again, with a `CacheWarning`.

    Your own functions and classes, as parameters, are identified by their compiled
    code and by the content of the global names that they use, so that a change of a
    global dictionary is noticed. They are refused if one of these cannot be hashed, or
    if they read files. ``callbacks`` do not run where a training is recalled.

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
        """Number of pretrainings that are stored."""
        return sum(path.suffix == ".pt" for path in self._folder.files("fits"))

    @property
    def n_bytes(self) -> int:
        """Bytes that the stored results take."""
        return sum(entry.n_bytes for entry in self._folder.entries())

    def clear(self) -> None:
        """Delete what the cache has stored, and nothing else."""
        for entry in self._folder.entries():
            delete(entry.files)

    def recall_fit(self, key: str) -> Any | None:
        """Return the result of a training, on the CPU, or None."""
        path = self._folder.root / "fits" / f"{key}.pt"
        if path not in self._folder.files("fits"):
            return None
        try:
            content = io.BytesIO(checked(path.read_bytes()))
            result = torch.load(content, map_location="cpu", weights_only=False)
        except FileNotFoundError:
            return None
        except Exception as error:  # pickles raise errors of any kind
            warn(
                CacheWarning(
                    f"{path} cannot be read, so the training is repeated: {error!r}"
                )
            )
            return None
        touch(path)
        return result

    def keep_fit(self, key: str, result: Any) -> None:
        """Store the result of a training; if that fails, warn and continue."""
        path = self._folder.root / "fits" / f"{key}.pt"
        try:
            self._folder.make()
            content = io.BytesIO()
            torch.save(result, content)
            with written_at_once(path) as temporary:
                temporary.write_bytes(with_checksum(content.getvalue()))
        except Exception as error:  # the training itself must not be lost
            warn(CacheWarning(f"the training could not be stored in {path}: {error!r}"))
        self._evict(path)

    def recall_answer(self, key: str) -> Any | None:
        """Return what is known about images, of lists, numbers, str and None."""
        path = self._folder.root / "answers" / f"{key}.json"
        if path not in self._folder.files("answers"):
            return None
        try:
            found = json.loads(checked(path.read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError as error:
            warn(CacheWarning(f"{path} cannot be read, and is found anew: {error!r}"))
            return None
        touch(path)
        return found

    def keep_answer(self, key: str, answer: Any) -> None:
        """Store what is known about images; if that fails, warn and continue."""
        path = self._folder.root / "answers" / f"{key}.json"
        try:
            self._folder.make()
            with written_at_once(path) as temporary:
                temporary.write_bytes(with_checksum(json.dumps(answer).encode()))
        except OSError as error:
            warn(CacheWarning(f"facts about images could not be stored: {error!r}"))

    def recall_features(self, key: str) -> dict[bytes, np.ndarray]:
        """Return the stored features of a network, by the digest of the image."""
        found: dict[bytes, np.ndarray] = {}
        for path in self._chunks(key):
            try:
                with path.open("rb") as file, np.load(file) as chunk:
                    digests, rows = chunk["digests"], chunk["rows"]
            except FileNotFoundError:  # another process evicted it
                continue
            except Exception as error:  # zip files raise errors of many kinds
                warn(
                    CacheWarning(
                        f"{path} cannot be read, so its features are computed again: "
                        f"{error!r}"
                    )
                )
                continue
            found.update(zip(digests.tolist(), rows, strict=True))
            touch(path)
        return found

    def keep_features(self, key: str, features: dict[bytes, np.ndarray]) -> None:
        """Add features of a network; the caller holds its lock."""
        if not features:
            return
        chunks = self._chunks(key)
        is_full = len(chunks) >= _MAX_CHUNKS
        if is_full:
            features = self.recall_features(key) | features
        path = self._folder.root / "features" / key / f"{uuid.uuid4().hex}.npz"
        try:
            self._folder.make()
            with written_at_once(path) as temporary, temporary.open("wb") as file:
                np.savez(
                    file,
                    digests=np.frombuffer(b"".join(features), dtype="V16"),
                    rows=np.stack(list(features.values())),
                )
        except (OSError, ValueError) as error:
            warn(CacheWarning(f"features could not be stored in {path}: {error!r}"))
            return
        if is_full:
            delete(chunks)
        self._evict(path)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the lock of a training or a network; without one where none can be.

        Raises
        ------
        ValueError
            If the folder of the cache exists and was not made by skssl.
        """
        locks = self._folder.root / "locks"
        held = FileLock(locks / f"{key}.lock")
        try:
            self._folder.make()
            locks.mkdir(exist_ok=True)
            acquire(held)
        except OSError as error:
            warn(
                CacheWarning(
                    f"{locks} cannot be used, so other processes may do the same work: "
                    f"{error!r}"
                )
            )
        try:
            yield
        finally:
            held.release()

    def images_folder(self, key: str) -> Path:
        """Return the folder of the decoded images of one format."""
        return self._folder.root / "images" / key

    def make_folder(self) -> None:
        """Make the cache's own folder.

        Raises
        ------
        ValueError
            If it exists and was not made by skssl.
        """
        self._folder.make()

    def evict_for(self, newest: Path) -> None:
        """Delete the least recently used entries, but not that of ``newest``."""
        self._evict(newest)

    @property
    def _folder(self) -> CacheFolder:
        return CacheFolder(Path(self.directory).expanduser() / _FOLDER)

    def _chunks(self, key: str) -> list[Path]:
        """Return the complete files of a network's features."""
        files = self._folder.files(f"features/{key}")
        return [path for path in files if path.suffix == ".npz"]

    def _evict(self, newest: Path) -> None:
        """Delete the least recently used entries, but not the one just stored."""
        entries = self._folder.entries()
        total = sum(entry.n_bytes for entry in entries)
        for entry in entries:
            if total <= self.max_bytes:
                return
            if newest not in entry.files:
                delete(entry.files)
                total -= entry.n_bytes
