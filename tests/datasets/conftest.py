"""Small image files for the loaders."""

from pathlib import Path

import pytest
from PIL import Image

from skssl import SelfSupervisedPretrainer
from skssl.testing import tiny_cnn


@pytest.fixture
def write_images():
    """Return a function that writes one small gray image to each path."""

    def write(root: Path, *names: str) -> Path:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), color=100).save(path)
        return root

    return write


@pytest.fixture
def tiny_pretrainer():
    """Return a pretrainer with random weights that takes no time."""
    return SelfSupervisedPretrainer(backbone=tiny_cnn, max_epochs=0, random_state=0)
