"""Fixtures that all tests share."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from skssl import _random


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def fixed_entropy(monkeypatch) -> None:
    """Seed the global generators, and what ``random_state=None`` draws."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    numbers = count(2**64)  # no int that a test gives
    monkeypatch.setattr(_random, "_fresh_entropy", lambda: next(numbers))


@pytest.fixture
def seed() -> int:
    return 20200413


@pytest.fixture
def rng(seed) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function from a name to the real images, which skips without them."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("SKSSL_DATA", beside))

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(
                f"no real data {name!r} in {root}; set SKSSL_DATA to its folder"
            )
        return root / name

    return find
