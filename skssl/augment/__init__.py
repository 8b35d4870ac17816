"""Batched augmentations of (images, generator), drawn per image on the device."""

from skssl.augment.augmentation import Augmentation
from skssl.augment.color import (
    adjust_hue,
    adjust_saturation,
    random_grayscale,
    random_hue,
    random_saturation,
    rgb_to_gray,
)
from skssl.augment.geometry import (
    affine_matrices,
    draw_crops,
    random_affine_view,
    warp_affine,
)
from skssl.augment.intensity import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    as_unit_float,
    random_brightness,
    random_contrast,
    random_gamma,
)
from skssl.augment.recipes import RECIPES, get_recipe, resolve_augmentation
from skssl.augment.texture import (
    add_gaussian_noise,
    gaussian_blur,
    random_blur,
    random_noise,
)
from skssl.augment.tiles import cut_tiles, maximal_hamming_permutations

__all__ = [
    "RECIPES",
    "Augmentation",
    "add_gaussian_noise",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "affine_matrices",
    "as_unit_float",
    "cut_tiles",
    "draw_crops",
    "gaussian_blur",
    "get_recipe",
    "maximal_hamming_permutations",
    "random_affine_view",
    "random_blur",
    "random_brightness",
    "random_contrast",
    "random_gamma",
    "random_grayscale",
    "random_hue",
    "random_noise",
    "random_saturation",
    "resolve_augmentation",
    "rgb_to_gray",
    "warp_affine",
]
