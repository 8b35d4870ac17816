"""A pretrainer that takes no time."""

from functools import partial

import pytest

from skssl import SelfSupervisedPretrainer
from skssl.testing import tiny_cnn


@pytest.fixture(scope="session")
def tiny_ssl():
    """Return a function that makes a pretrainer with random weights."""
    return partial(
        SelfSupervisedPretrainer, backbone=tiny_cnn, max_epochs=0, random_state=0
    )
