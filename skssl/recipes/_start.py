"""Where the recipes start: weights of the papers' time, and stages on other images."""

from typing import Any

from sklearn.frozen import FrozenEstimator

__all__ = ["as_stage", "published_weights"]


def published_weights(weights: Any) -> Any:
    """Return torchvision's first ImageNet weights for "imagenet", else what is given.

    The papers are older than the second ones, which another training made, and which
    are torchvision's default for some networks.
    """
    if isinstance(weights, str) and weights == "imagenet":
        return "IMAGENET1K_V1"
    return weights


def as_stage(external: Any, maker: str) -> FrozenEstimator:
    """Wrap a fitted pretrainer, so that no clone unfits it.

    Raises
    ------
    TypeError
        If it is none, or not fitted; ``maker`` is the recipe that makes one.
    """
    fitted = getattr(external, "estimator", external)
    if not hasattr(fitted, "backbone_"):
        kind = type(external).__name__
        what = "is not fitted" if hasattr(fitted, "fit") else f"is of type {kind}"
        raise TypeError(
            f"external {what}: give a pretrainer that was fitted to images which are "
            f"not those of fit, external={maker}(...).fit(images)."
        )
    return (
        external if isinstance(external, FrozenEstimator) else FrozenEstimator(fitted)
    )
