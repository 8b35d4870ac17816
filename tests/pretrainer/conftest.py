"""Images, and pretrainers that take no time."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from skssl import DiskCache, SelfSupervisedPretrainer
from skssl._pretrain import pretrainer
from skssl._targeted import pretrainer as targeted
from skssl.data import reader
from skssl.datasets import make_scan_phantoms
from skssl.testing import tiny_cnn


@pytest.fixture(scope="session")
def make_ssl():
    """Return a function that makes a pretrainer of one epoch."""

    def make(pretext="simclr", **options):
        settings = {"backbone": tiny_cnn, "max_epochs": 1, "random_state": 0, **options}
        return SelfSupervisedPretrainer(pretext, **settings)

    return make


@pytest.fixture(scope="session")
def long_ssl(make_ssl):
    """Return a function that makes a pretrainer of four epochs."""
    return partial(make_ssl, max_epochs=4)


@pytest.fixture(scope="session")
def scans():
    return make_scan_phantoms(10, images_per_patient=3, image_size=32, random_state=0)


@pytest.fixture(scope="session")
def paths(scans, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    names = []
    for i, scan in enumerate(scans.data):
        names.append(str(folder / f"{i}.png"))
        Image.fromarray(scan).save(names[-1])
    return names


@pytest.fixture(scope="session")
def assert_same_weights():
    """Return a function that compares the backbones of two pretrainers."""

    def check(first, second):
        pairs = zip(
            first.backbone_.parameters(), second.backbone_.parameters(), strict=True
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(
                ours.detach().numpy(), theirs.detach().numpy()
            )

    return check


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "cache")


@pytest.fixture
def work(monkeypatch):
    """Count trainings and encoded images."""
    done = {"fits": 0, "images": 0}

    def count(module, name):
        train = getattr(module, name)

        def counting(*args, **options):
            done["fits"] += 1
            return train(*args, **options)

        monkeypatch.setattr(module, name, counting)

    count(pretrainer, "pretrain")
    count(targeted, "train_targeted")
    read = reader.iter_batches

    def reading(*args, **options):
        for batch in read(*args, **options):
            done["images"] += len(batch)
            yield batch

    monkeypatch.setattr(reader, "iter_batches", reading)
    return done
