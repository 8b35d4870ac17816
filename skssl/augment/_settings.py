"""Ranges of the parameters of `Augmentation`, and the values that mean off."""

from numbers import Real
from typing import Any

__all__ = ["OFF", "check_settings"]

_INFINITY = float("inf")
_TINY = 1e-4
_CHANCES = ("horizontal_flip", "vertical_flip", "jitter", "gamma", "grayscale")
# Closed ranges; for a pair, both of its values.
_NUMBERS = {f"p_{name}": (0.0, 1.0) for name in (*_CHANCES, "blur", "noise")} | {
    "rotation_deg": (0.0, 180.0),
    "brightness": (0.0, _INFINITY),
    "contrast": (0.0, _INFINITY),
    "saturation": (0.0, _INFINITY),
    "hue": (0.0, 0.5),
    "gamma": (0.0, _INFINITY),
    "noise_std": (0.0, _INFINITY),
}
_PAIRS = {
    "crop_scale": (_TINY, 1.0),
    "crop_ratio": (_TINY, 1 / _TINY),
    "blur_sigma": (0.0, 1.0),
}
_PADDING_MODES = ("zeros", "border", "reflection")
# The settings that switch each augmentation off.
OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)},
    "horizontal_flip": {"p_horizontal_flip": 0.0},
    "vertical_flip": {"p_vertical_flip": 0.0},
    "rotation": {"rotation_deg": 0.0},
    "brightness": {"brightness": 0.0},
    "contrast": {"contrast": 0.0},
    "saturation": {"saturation": 0.0},
    "hue": {"hue": 0.0},
    "gamma": {"gamma": 0.0},
    "grayscale": {"p_grayscale": 0.0},
    "blur": {"p_blur": 0.0},
    "noise": {"noise_std": 0.0},
}


def check_settings(settings: dict[str, Any]) -> None:
    """Raise ValueError, naming the parameter, if one is out of its range."""
    for name, (low, high) in _NUMBERS.items():
        value = settings[name]
        if not _is_within(value, low, high):
            raise ValueError(
                f"{name} must be a number in [{low:g}, {high:g}], got {value!r}."
            )
    for name, (low, high) in _PAIRS.items():
        value = settings[name]
        if not _is_ordered_pair(value, low, high):
            raise ValueError(
                f"{name} must be a pair (smallest, largest) of numbers in "
                f"[{low:g}, {high:g}], got {value!r}."
            )
    if settings["padding_mode"] not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {', '.join(_PADDING_MODES)}, got "
            f"{settings['padding_mode']!r}."
        )


def _is_within(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and low <= value < _INFINITY and value <= high


def _is_ordered_pair(value: object, low: float, high: float) -> bool:
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(_is_within(bound, low, high) for bound in value)
        and value[0] <= value[1]
    )
