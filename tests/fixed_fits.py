"""Print a digest of the features of small fixed fits, by the public API alone.

Run with another copy of skssl first on PYTHONPATH, it shows what that copy computes::

    python tests/fixed_fits.py
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

from skssl import (
    FineTuneClassifier,
    Phase,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
    TargetedPretrainer,
)
from skssl.datasets import make_scan_phantoms
from skssl.pretext import list_pretexts
from skssl.testing import tiny_cnn, tiny_vit

SCANS = make_scan_phantoms(8, images_per_patient=2, image_size=32, random_state=0)
PHASES = [Phase("head", epochs=1, batch_size=8), Phase(epochs=2, layer_decay=0.9)]


def pretrainer(pretext: str = "simclr", **options: object) -> SelfSupervisedPretrainer:
    settings = {"backbone": tiny_cnn, "max_epochs": 2, "batch_size": 8}
    return SelfSupervisedPretrainer(pretext, **{**settings, **options}, random_state=0)


def classifier(start: object = None, **options: object) -> FineTuneClassifier:
    if start is None:
        options = {"backbone": tiny_cnn, **options}
    return FineTuneClassifier(start, **{"phases": PHASES, **options}, random_state=0)


def estimators() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the name of each case, and a function that makes its estimator."""
    for name in list_pretexts():
        network = tiny_vit if name == "mae" else tiny_cnn
        yield name, lambda n=name, b=network: pretrainer(n, backbone=b)
    yield "resnet18", lambda: pretrainer(backbone="resnet18", max_epochs=1)
    yield "vit_tiny", lambda: pretrainer(backbone="vit_tiny", max_epochs=0)
    yield "crnet", lambda: pretrainer(backbone="crnet", fraction=0.5)
    yield "float32", lambda: pretrainer(precision="float32", optimizer="sgd", lr=0.01)
    yield "rankme", lambda: pretrainer(select="rankme", image_size=40)
    yield "untrained", lambda: pretrainer(max_epochs=0)
    yield "targeted", lambda: TargetedPretrainer(backbone=tiny_cnn, random_state=0)
    for task in ("rotation", "dihedral", "quadrants"):
        yield (
            task,
            lambda t=task: TargetedPretrainer(
                t, backbone=tiny_cnn, phases=PHASES, random_state=0
            ),
        )
    yield (
        "flip",
        lambda: TargetedFlipPretrainer(
            backbone=tiny_cnn, phases=PHASES, validation_fraction=0.25, random_state=0
        ),
    )
    yield "scratch", lambda: classifier(phases="scratch")
    yield "mlp", lambda: classifier(head="mlp", class_weight="balanced")
    yield "auxiliary", lambda: classifier(auxiliary="rotation", label_smoothing=0.1)
    yield (
        "best",
        lambda: classifier(pretrainer(), validation_fraction=0.25, selection="best"),
    )
    yield "average", lambda: classifier(selection="average_last_k", n_average=2)
    yield (
        "head",
        lambda: classifier(pretrainer(max_epochs=1), frozen=True, phases="frozen"),
    )
    yield (
        "whole",
        lambda: classifier(
            TargetedFlipPretrainer(backbone=tiny_cnn, phases=PHASES, random_state=1),
        ),
    )
    yield (
        "chained",
        lambda: classifier(FrozenEstimator(pretrainer().fit(SCANS.data))),
    )


def digest(estimator: object) -> str:
    """Fit an estimator, and return a digest of its features and probabilities."""
    estimator.fit(SCANS.data, SCANS.target, groups=SCANS.groups)
    found = [estimator.transform(SCANS.data)]
    if hasattr(estimator, "predict_proba"):
        found.append(estimator.predict_proba(SCANS.data))
    found.append(np.array([row["loss"] for row in estimator.history_]))
    return hashlib.sha256(b"".join(a.tobytes() for a in found)).hexdigest()[:16]


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = set(sys.argv[1:])
    digests = {
        name: digest(make())
        for name, make in estimators()
        if not chosen or name in chosen
    }
    print(json.dumps(digests, indent=1))
