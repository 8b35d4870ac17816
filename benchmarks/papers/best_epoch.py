"""The epoch with the highest accuracy on the test images, to measure its optimism."""

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

from benchmarks.papers.metrics import binary_metrics


class EpochWriter(Callback):
    """Write the weights of the classifier to a folder after each epoch.

    The training does not depend on it.

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
    """Fit a classifier, and return its best epoch **on the test images**.

    The fitted classifier itself is not affected by the test images.

    Parameters
    ----------
    clf : FineTuneClassifier
        Fitted in place.
    train, test : (X, y, groups)
    scratch : Path
        Folder for the weights of all epochs. They are removed at the end. Weights of
        runs that were killed are removed at the start.

    Returns
    -------
    dict
        The first epoch with the highest test accuracy: its number ``epoch``, from 1,
        its metrics ``figures`` and its ``scores``.
    """
    X, y, groups = train
    with _temporary_folder(scratch) as folder:
        writer, callbacks = EpochWriter(folder), clf.callbacks
        clf.set_params(callbacks=[*(callbacks or []), writer])
        clf.fit(X, y, groups=groups).set_params(callbacks=callbacks)
        network = clf.networks_[0]
        fitted = {name: value.clone() for name, value in network.state_dict().items()}
        scores = []
        for path in writer.files_:
            network.load_state_dict(torch.load(path, weights_only=True))
            scores.append(clf.decision_function(test[0]))
        network.load_state_dict(fitted)
    metrics = [binary_metrics(test[1], epoch_scores) for epoch_scores in scores]
    best = int(np.argmax([values["accuracy"] for values in metrics]))
    return {"epoch": best + 1, "figures": metrics[best], "scores": scores[best]}


@contextmanager
def _temporary_folder(scratch: Path) -> Iterator[Path]:
    """Yield a new folder and remove it; first remove those of ended processes."""
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
