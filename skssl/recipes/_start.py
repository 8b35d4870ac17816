"""Initial weights of the recipes: ImageNet's, or a pretraining on other images."""

from typing import Any

from sklearn.frozen import FrozenEstimator

__all__ = ["as_stage", "published_weights"]


def published_weights(weights: Any, backbone: Any) -> Any:
    """Return the weights that "imagenet" is, and all other values unchanged.

    For torchvision's networks that is "IMAGENET1K_V1": the papers predate the second
    set of ImageNet weights, which come from another training procedure and are the
    default of some networks. For those of timm it is "pretrained".
    """
    if not isinstance(weights, str) or weights != "imagenet":
        return weights
    is_timm = isinstance(backbone, str) and backbone.startswith("timm/")
    return "pretrained" if is_timm else "IMAGENET1K_V1"


def as_stage(external: Any, maker: str) -> FrozenEstimator:
    """Wrap a fitted pretrainer, so that cloning keeps its fitted state.

    Parameters
    ----------
    external : fitted pretrainer or FrozenEstimator
    maker : str
        Name of the recipe that creates one, for messages.

    Raises
    ------
    TypeError
        If ``external`` is not a fitted pretrainer.
    """
    fitted = getattr(external, "estimator", external)
    if not hasattr(fitted, "backbone_"):
        kind = type(external).__name__
        what = "is not fitted" if hasattr(fitted, "fit") else f"is of type {kind}"
        raise TypeError(
            f"external {what}: give a pretrainer that was fitted to other images than "
            f"those of fit, external={maker}(...).fit(images)."
        )
    return (
        external if isinstance(external, FrozenEstimator) else FrozenEstimator(fitted)
    )
