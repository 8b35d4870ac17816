"""The flip is learned of new patients, and only where left and right differ."""

import numpy as np
import pytest
from torch import nn

from skssl import FineTuneClassifier, Phase, TargetedFlipPretrainer
from skssl.datasets import make_scan_phantoms
from skssl.exceptions import NothingLearnedWarning

pytestmark = pytest.mark.slow


def small_cnn():
    """97,000 weights, so that a test takes a minute."""
    layers, n_in = [], 3
    for n_out in (32, 64, 128):
        layers += [
            nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
        ]
        n_in = n_out
    return nn.Sequential(*layers)


def flip(**options):
    return TargetedFlipPretrainer(
        backbone=small_cnn,
        image_size=48,
        phases=[Phase(lr=2e-3, epochs=40, batch_size=64, schedule="cosine")],
        random_state=0,
        **options,
    )


@pytest.fixture(scope="module")
def scans():
    """Two sets of patients: one to train on, one never seen."""
    return [
        make_scan_phantoms(n_patients, image_size=64, random_state=seed)
        for seed, n_patients in enumerate((80, 30))
    ]


def test_new_patients_are_told_from_their_mirror_images(scans):
    train, unseen = scans
    clf = FineTuneClassifier(
        flip(augmentation="auto"),
        phases=[Phase(lr=1e-3, epochs=20, schedule="cosine")],
        random_state=0,
    ).fit(train.data, train.target, train.groups)
    assert clf.pretrainer_.score(unseen.data) >= 0.9
    # Fine-tuning begins with the head that tells flips, and learns the disease.
    assert clf.score(train.data, train.target) >= 0.8


def test_symmetric_images_stay_at_chance(scans):
    """There is no trace of the mirroring itself to learn from."""
    symmetric = np.maximum(scans[0].data, scans[0].data[:, :, ::-1])
    with pytest.warns(NothingLearnedWarning, match=r"guessing has 0\.693"):
        fitted = flip(dropout=0.0).fit(symmetric)
    # The two of a pair are equal, so one is always told right: look at the loss.
    assert min(row["loss"] for row in fitted.history_) > 0.97 * np.log(2)
