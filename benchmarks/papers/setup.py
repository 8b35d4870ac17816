"""What is at hand: data, weights to start from, budget, finished pretrainings."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchvision import models

from skssl.recipes import Budget

__all__ = ["Setup"]


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
    """

    data: Path
    external: Path | None
    init: str
    budget: Budget
    cache: Path
    device: str = "auto"

    def weights(self, backbone: str) -> Any:
        """Return what ``weights`` is to be for a network."""
        if self.init == "none":
            return None
        if self.init == "imagenet":
            return "imagenet"
        return Path(self.init.format(backbone=backbone))

    def missing_weights(self, backbone: str) -> str | None:
        """Return why a network has no weights to start from, or None."""
        weights = self.weights(backbone)
        if weights is None:
            return "no weights to start from (--init none)"
        if isinstance(weights, Path):
            return None if weights.is_file() else f"no file {weights.name}"
        return _missing_imagenet(backbone)

    def source(self, backbone: str) -> dict[str, Any] | None:
        """Return what ``pretrain_source.py`` tells of the weights of a network."""
        weights = self.weights(backbone)
        if not isinstance(weights, Path):
            return None
        told = weights.with_suffix(".json")
        return json.loads(told.read_text(encoding="utf-8")) if told.is_file() else None

    def describe(self) -> dict[str, str]:
        """Return what a result depends on, for its file."""
        init = self.init
        if init not in ("imagenet", "none"):
            init = "/".join(Path(init).parts[-2:])
        return {"budget": str(self.budget), "init": init}


@lru_cache
def _missing_imagenet(backbone: str) -> str | None:
    """Return why torchvision's weights cannot be had, after a try to get them."""
    if backbone not in models.list_models(module=models):
        return f"torchvision has no ImageNet weights of {backbone}"
    try:
        models.get_model_weights(backbone)["DEFAULT"].get_state_dict()
    except OSError as error:  # URLError is one
        return f"ImageNet weights could not be downloaded ({type(error).__name__})"
    return None
