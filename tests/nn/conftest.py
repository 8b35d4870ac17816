"""Weights drawn in these tests leave torch's global generator as it was."""

import pytest

from skssl._random import isolated_rng


@pytest.fixture(autouse=True)
def _isolated_rng():
    with isolated_rng(0):
        yield
