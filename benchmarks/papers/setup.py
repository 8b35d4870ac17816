"""Inputs of the runs: data, initial weights, budget, cached pretrainings."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchvision import models

from skssl.data import digest_file
from skssl.nn.families import find_family
from skssl.recipes import Budget

IMAGENET = "IMAGENET1K_V1"  # the weights that recipes load for "imagenet"
# Needs of a row that concern initial weights.
WEIGHTS = frozenset({"weights", "start"})
_TABLE_SUFFIXES = frozenset({".csv", ".json", ".txt", ".xlsx"})
_SOURCE_FIELDS = ("source", "n_images", "image_size", "epochs", "test_accuracy")


@dataclass(frozen=True)
class Setup:
    """Inputs that all runs of a paper share.

    Parameters
    ----------
    data : Path
    external : Path or None
    init : str
        Initial weights for transfer: "imagenet", "none", or the path of a state dict,
        in which ``{backbone}`` is replaced by the name of the network.
    budget : Budget
    cache : Path
        Directory of finished pretrainings, which rows and restarted runs share.
    device : str
    verbose : int
        1 shows a progress bar for each run.
    """

    data: Path
    external: Path | None
    init: str
    budget: Budget
    cache: Path
    device: str = "auto"
    verbose: int = 0

    def prepare(self, estimator: Any, *, cached: bool = True) -> Any:
        """Set device, progress bar and cache of the estimator of a recipe.

        Parameters
        ----------
        estimator : pretrainer or FineTuneClassifier
        cached : bool, default=True
            Whether rows share the pretraining.
        """
        options = {"device": self.device, "verbose": self.verbose}
        estimator.set_params(**options)
        if cached and "cache" in estimator.get_params(deep=False):
            estimator.set_params(cache=self.cache)
        if getattr(estimator, "pretrainer", None) is not None:
            self.prepare(estimator.pretrainer, cached=cached)
        return estimator

    def weights(self, backbone: str) -> Any:
        """Return the parameter ``weights`` for a network."""
        if self.init == "none":
            return None
        if self.init == "imagenet":
            return "imagenet"
        return Path(self.init.replace("{backbone}", backbone.removeprefix("timm/")))

    def missing_weights(self, backbone: str) -> str | None:
        """Return why a network has no initial weights, or None.

        Weights of torchvision are downloaded if necessary.
        """
        weights = self.weights(backbone)
        if weights is None:
            return "no initial weights (--init none)"
        if isinstance(weights, Path):
            return None if weights.is_file() else f"no file {weights.name}"
        return _missing_imagenet(backbone)

    def source(self, backbone: str) -> dict[str, Any] | None:
        """Return the record of ``pretrain_source.py`` on the weights of a network."""
        weights = self.weights(backbone)
        if not isinstance(weights, Path) or not weights.with_suffix(".json").is_file():
            return None
        record = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        if not set(_SOURCE_FIELDS) <= set(record):
            return None
        return {name: record[name] for name in _SOURCE_FIELDS}

    def inputs(self, backbone: str, needs: Sequence[str]) -> dict[str, str]:
        """Return digests of the folders and of the weights that a row reads.

        Parameters
        ----------
        backbone : str
        needs : sequence of str
            Needs of the row. A data set other than "data" and "external" is the folder
            of this name in ``data``.
        """
        digests = {}
        weights = self.weights(backbone)
        if isinstance(weights, Path) and needs_weights(needs):
            digests["weights"] = digest_file(weights).hex()[:16]
        folders = {
            "data": self.data,
            "two_classes": self.data,  # of a set that has more
            "external": self.external,
        }
        for need in set(needs) - WEIGHTS:
            digests[need] = digest_folder(folders.get(need) or self.data / need)
        return digests

    def describe(self) -> dict[str, str]:
        """Return the settings that all runs of a results file share."""
        init = self.init
        if init not in ("imagenet", "none"):
            init = "/".join(Path(init).parts[-2:])
        return {"budget": str(self.budget), "init": init}


def needs_weights(needs: Sequence[str]) -> bool:
    """Return whether the needs of a row include initial weights."""
    return not WEIGHTS.isdisjoint(needs)


def load_error(name: str, load: Callable[..., Any], *arguments: Any) -> str | None:
    """Return why a data set cannot be loaded, or None."""
    try:
        load(*arguments)
    except (FileNotFoundError, ImportError, ValueError) as error:
        return f"{name}: {error}"
    return None


def _digest_table(path: Path) -> str | None:
    """Return a digest of a file that may hold labels, patients or splits, or None."""
    return digest_file(path).hex() if path.suffix.lower() in _TABLE_SUFFIXES else None


@lru_cache
def digest_folder(root: Path) -> str:
    """Return a digest of file names, of the content of tables, and of other sizes.

    Hidden files are ignored, since desktops create them.
    """
    paths = ((path.relative_to(root), path) for path in root.rglob("*"))
    files = sorted(
        (name.as_posix(), _digest_table(path) or path.stat().st_size)
        for name, path in paths
        if path.is_file() and not any(part.startswith(".") for part in name.parts)
    )
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


@lru_cache
def _missing_imagenet(backbone: str) -> str | None:
    """Return why published weights are not available, after trying a download."""
    if backbone.startswith("timm/"):
        try:
            find_family(backbone).pretrained(backbone, "pretrained")
        except (ImportError, OSError) as error:
            return f"weights of {backbone} are not available ({type(error).__name__})"
        return None
    if backbone not in models.list_models(module=models):
        return f"torchvision has no ImageNet weights of {backbone}"
    try:
        models.get_model_weights(backbone)[IMAGENET].get_state_dict()
    except OSError as error:  # includes URLError
        return f"ImageNet weights could not be downloaded ({type(error).__name__})"
    return None
