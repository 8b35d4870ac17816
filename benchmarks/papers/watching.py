"""What a protocol that looks at the test images would have picked."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from skorch.callbacks import Callback

from benchmarks.papers.figures import binary_figures


class EpochWatcher(Callback):
    """Write the classifier's weights to a folder after each epoch.

    The training goes on as it would: nothing of it depends on what is written.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.files_: list[Path] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        path = self.folder / f"{len(self.files_)}.pth"
        torch.save(net.kept_module_.state_dict(), path)
        self.files_.append(path)


def fit_and_pick(
    clf: Any,
    train: tuple[Any, Any, Any],
    test: tuple[Any, Any, Any],
    *,
    scratch: Path,
) -> dict[str, Any]:
    """Fit a classifier; return its best epoch **on the test images**.

    The classifier is left as its own rule has it, which never sees these images.

    Parameters
    ----------
    clf : FineTuneClassifier
        Fitted in place.
    train, test : (X, y, groups)
    scratch : Path
        Folder for the weights of all epochs, which are removed at the end; those that
        a killed run left there are removed at the beginning.

    Returns
    -------
    dict
        Of the epoch with the highest test accuracy, the first of several: its number
        ``epoch``, its ``figures`` and its ``scores``.
    """
    X, y, groups = train
    with _folder_below(scratch) as folder:
        watcher, others = EpochWatcher(folder), clf.callbacks
        clf.set_params(callbacks=[*(others or []), watcher])
        clf.fit(X, y, groups=groups).set_params(callbacks=others)
        network = clf.networks_[0]
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        scores = []
        for path in watcher.files_:
            network.load_state_dict(torch.load(path, weights_only=True))
            scores.append(clf.decision_function(test[0]))
        network.load_state_dict(kept)
    figures = [binary_figures(test[1], of_epoch) for of_epoch in scores]
    best = int(np.argmax([of_epoch["accuracy"] for of_epoch in figures]))
    return {"epoch": best + 1, "figures": figures[best], "scores": scores[best]}


@contextmanager
def _folder_below(scratch: Path) -> Iterator[Path]:
    """Yield a new folder, and remove it; those whose process has ended, before."""
    scratch.mkdir(parents=True, exist_ok=True)
    for path in scratch.glob("epochs-*.lock"):
        with suppress(Timeout), FileLock(path, timeout=0):
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="epochs-", dir=scratch) as folder:
        lock = Path(f"{folder}.lock")
        with FileLock(lock):
            yield Path(folder)
        lock.unlink(missing_ok=True)
