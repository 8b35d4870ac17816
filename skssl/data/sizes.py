"""Sizes of images that follow from the training set, where they are not given."""

import math
from collections.abc import Sequence

__all__ = ["ImageSize", "choose_image_size", "choose_store_size"]

ImageSize = int | Sequence[int] | None

_DEFAULT_SIDE = 224  # px, the size that the published backbones were made for


def choose_image_size(
    image_size: ImageSize, native: tuple[int, int] | None
) -> tuple[int, int]:
    """Return (height, width) for the backbone.

    None keeps the images' own size where all have the same, of at most 224 px a side;
    else it is 224 × 224 (a row of pixels keeps its height of 1).

    Examples
    --------
    >>> choose_image_size(None, (64, 48)), choose_image_size(None, None)
    ((64, 48), (224, 224))
    """
    if isinstance(image_size, Sequence):
        return int(image_size[0]), int(image_size[1])
    if image_size is not None:
        return int(image_size), int(image_size)
    if native is not None and max(native) <= _DEFAULT_SIDE:
        return native
    return (1 if native and native[0] == 1 else _DEFAULT_SIDE), _DEFAULT_SIDE


def choose_store_size(
    image_size: tuple[int, int], native: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the size at which training images are kept: 8/7 of ``image_size``.

    That leaves random crops something to magnify (224 px are cut from 256). Images
    that are all of one smaller size are kept as they are.

    Examples
    --------
    >>> choose_store_size((224, 224), None), choose_store_size((224, 224), (28, 28))
    ((256, 256), (28, 28))
    """
    height, width = (math.ceil(px * 8 / 7) if px > 1 else 1 for px in image_size)
    if native and native[0] <= height and native[1] <= width:
        return native
    return height, width
