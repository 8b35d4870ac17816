"""Scans of patients, and classifiers that take no time."""

import pytest

from skssl import (
    FineTuneClassifier,
    Phase,
    SelfSupervisedPretrainer,
    TargetedFlipPretrainer,
)
from skssl.datasets import make_scan_phantoms
from skssl.testing import tiny_cnn


@pytest.fixture(scope="session")
def scans():
    """10 patients with 3 images each, of two classes."""
    return make_scan_phantoms(10, images_per_patient=3, image_size=32, random_state=0)


@pytest.fixture(scope="session")
def make_clf():
    """Return a function that makes a classifier of two short phases."""

    def make(pretrainer=None, **options):
        settings = {
            "phases": [Phase("head", epochs=1), Phase("all", epochs=1)],
            "random_state": 0,
            **options,
        }
        if pretrainer is None:
            settings = {"backbone": tiny_cnn, **settings}
        return FineTuneClassifier(pretrainer, **settings)

    return make


@pytest.fixture(scope="session")
def make_flip():
    """Return a function that makes a targeted pretrainer of one epoch."""

    def make(**options):
        settings = {
            "backbone": tiny_cnn,
            "hidden_size": 8,
            "phases": [Phase(epochs=1)],
            "random_state": 0,
            **options,
        }
        return TargetedFlipPretrainer(**settings)

    return make


@pytest.fixture(scope="session")
def make_ssl():
    """Return a function that makes a contrastive pretrainer of one epoch."""

    def make(**options):
        settings = {"backbone": tiny_cnn, "max_epochs": 1, **options}
        return SelfSupervisedPretrainer(**settings)

    return make
