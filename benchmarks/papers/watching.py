"""What a protocol that looks at the test images would have picked."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
    clf: Any, train: tuple[Any, Any, Any], test: tuple[Any, Any, Any]
) -> dict[str, float]:
    """Fit a classifier; return the figures of its best epoch **on the test images**.

    The classifier is left as its own rule has it, which never sees these images.

    Parameters
    ----------
    clf : FineTuneClassifier
        Fitted in place.
    train, test : (X, y, groups)

    Returns
    -------
    dict of str to float
        Those of the epoch with the highest test accuracy, the first of several, with
        its number as ``epoch``.
    """
    X, y, groups = train
    with tempfile.TemporaryDirectory() as folder:
        watcher, others = EpochWatcher(Path(folder)), clf.callbacks
        clf.set_params(callbacks=[*(others or []), watcher])
        clf.fit(X, y, groups=groups).set_params(callbacks=others)
        network = clf.networks_[0]
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        of_epochs = []
        for path in watcher.files_:
            network.load_state_dict(torch.load(path, weights_only=True))
            of_epochs.append(binary_figures(test[1], clf.decision_function(test[0])))
        network.load_state_dict(kept)
    best = int(np.argmax([figures["accuracy"] for figures in of_epochs]))
    return {**of_epochs[best], "epoch": best + 1}
