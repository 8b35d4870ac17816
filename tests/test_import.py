"""Importing skssl imports what estimators need to be made, not what ``fit`` needs."""

import subprocess
import sys

SLOW = {"torchvision", "pandas", "optuna", "matplotlib", "pydicom", "safetensors"}
# What the packages that skssl builds on import themselves does not count.
SCRIPT = """
import sys
import sklearn, skorch, torch, joblib, scipy.stats, PIL.Image, tqdm, filelock
before = set(sys.modules)
import skssl
skssl.SelfSupervisedPretrainer("moco", backbone="resnet18")
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""


def test_slow_packages_are_imported_where_they_are_used():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "skssl" in imported
    assert not imported & SLOW
