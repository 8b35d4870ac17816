"""What is at hand: data, weights to start from, budget, finished pretrainings."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchvision import models

from skssl.data import digest_file
from skssl.recipes import Budget

__all__ = ["Setup", "why_not"]

IMAGENET = "IMAGENET1K_V1"  # what the recipes take for "imagenet"
# What a row may need of a network's weights: given, or none if that is asked for.
WEIGHTS = frozenset({"weights", "start"})
_TABLES = frozenset({".csv", ".json", ".txt", ".xlsx"})
_TOLD = ("source", "n_images", "image_size", "epochs", "test_accuracy")


@dataclass(frozen=True)
class Setup:
    """What all runs of a paper have in common.

    Parameters
    ----------
    data : Path
    external : Path or None
    init : str
        Where transfer starts: "imagenet", "none", or the path of a state dict, in
        which ``{backbone}`` stands for the network's name.
    budget : Budget
    cache : Path
        Directory of finished pretrainings, which rows share and killed runs find again.
    device : str
    verbose : int
        1 shows a progress bar within a run.
    """

    data: Path
    external: Path | None
    init: str
    budget: Budget
    cache: Path
    device: str = "auto"
    verbose: int = 0

    def prepare(self, estimator: Any, *, cached: bool = True) -> Any:
        """Give a recipe's estimator device, progress bar and cache.

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
        """Return what ``weights`` is to be for a network."""
        if self.init == "none":
            return None
        if self.init == "imagenet":
            return "imagenet"
        return Path(self.init.replace("{backbone}", backbone))

    def missing_weights(self, backbone: str) -> str | None:
        """Return why a network has no weights to start from, or None.

        Those of torchvision are downloaded if they are not there.
        """
        weights = self.weights(backbone)
        if weights is None:
            return "no weights to start from (--init none)"
        if isinstance(weights, Path):
            return None if weights.is_file() else f"no file {weights.name}"
        return _missing_imagenet(backbone)

    def source(self, backbone: str) -> dict[str, Any] | None:
        """Return what ``pretrain_source.py`` tells of the weights of a network."""
        weights = self.weights(backbone)
        if not isinstance(weights, Path) or not weights.with_suffix(".json").is_file():
            return None
        told = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        return {name: told[name] for name in _TOLD} if set(_TOLD) <= set(told) else None

    def inputs(self, backbone: str, needs: Sequence[str]) -> dict[str, str]:
        """Return digests of the folders and of the weights that a row reads.

        Parameters
        ----------
        backbone : str
        needs : sequence of str
            Of the row. A paper's sets of several lie in folders of their names.
        """
        digests = {}
        weights = self.weights(backbone)
        if isinstance(weights, Path) and needs_weights(needs):
            digests["weights"] = digest_file(weights).hex()[:16]
        folders = {"data": self.data, "external": self.external}
        for need in set(needs) - WEIGHTS:
            digests[need] = digest_folder(folders.get(need) or self.data / need)
        return digests

    def describe(self) -> dict[str, str]:
        """Return what all runs of a results file share."""
        init = self.init
        if init not in ("imagenet", "none"):
            init = "/".join(Path(init).parts[-2:])
        return {"budget": str(self.budget), "init": init}


def needs_weights(needs: Sequence[str]) -> bool:
    """Return whether what a row needs has weights of its network in it."""
    return not WEIGHTS.isdisjoint(needs)


def why_not(name: str, load: Callable[..., Any], *arguments: Any) -> str | None:
    """Return why a set cannot be loaded, or None."""
    try:
        load(*arguments)
    except (FileNotFoundError, ImportError, ValueError) as error:
        return f"{name}: {error}"
    return None


def _digest_table(path: Path) -> str | None:
    """Return a digest of the content of what may hold labels, patients or splits."""
    return digest_file(path).hex() if path.suffix.lower() in _TABLES else None


@lru_cache
def digest_folder(root: Path) -> str:
    """Return a digest of a folder's names, of its tables, and of the sizes of the rest.

    What is hidden, as desktops leave it behind, does not count.
    """
    named = ((path.relative_to(root), path) for path in root.rglob("*"))
    files = sorted(
        (name.as_posix(), _digest_table(path) or path.stat().st_size)
        for name, path in named
        if path.is_file() and not any(part.startswith(".") for part in name.parts)
    )
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


@lru_cache
def _missing_imagenet(backbone: str) -> str | None:
    """Return why torchvision's weights cannot be had, after a try to get them."""
    if backbone not in models.list_models(module=models):
        return f"torchvision has no ImageNet weights of {backbone}"
    try:
        models.get_model_weights(backbone)[IMAGENET].get_state_dict()
    except OSError as error:  # URLError is one
        return f"ImageNet weights could not be downloaded ({type(error).__name__})"
    return None
