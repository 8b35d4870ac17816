"""All augmentations in one fixed order, as a scikit-learn parameter object."""

from typing import Any, Self

import torch
from sklearn.base import BaseEstimator, clone

from skssl._names import unknown_name
from skssl._params import set_params
from skssl.augment._draw import draw_mask
from skssl.augment._settings import OFF, check_settings
from skssl.augment.color import random_grayscale, random_hue, random_saturation
from skssl.augment.geometry import random_affine_view
from skssl.augment.intensity import (
    as_unit_float,
    random_brightness,
    random_contrast,
    random_gamma,
)
from skssl.augment.texture import random_blur, random_noise

__all__ = ["Augmentation"]


class Augmentation(BaseEstimator):
    """Random views of a batch of images, drawn for each image.

    The order is fixed: rotation, crop, resize and flips in one resampling;
    brightness, contrast, saturation, hue; gamma; grayscale; blur; noise. By default
    all are off. Saturation, hue and grayscale are always off for images that are not
    RGB. `skssl.augment.RECIPES` has named settings.

    Parameters
    ----------
    crop_scale : (float, float), default=(1.0, 1.0)
        Range of the fraction of the image's area that is cropped, in [1e-4, 1].
    crop_ratio : (float, float), default=(1.0, 1.0)
        Range of the crop's width over height, relative to the image's own, in
        [1e-4, 1e4].
    p_horizontal_flip, p_vertical_flip : float in [0, 1], default=0.0
        Probability of a left-right and of a top-bottom flip.
    rotation_deg : float in [0, 180], default=0.0
        Largest angle in either direction, degrees.
    padding_mode : {"zeros", "border", "reflection"}, default="zeros"
        Values of a rotated view outside its image.
    p_jitter : float in [0, 1], default=1.0
        Probability of changing brightness, contrast, saturation and hue together.
    brightness, contrast, saturation : float >= 0, default=0.0
        A strength s means factors uniform in [max(0, 1 - s), 1 + s].
    hue : float in [0, 0.5], default=0.0
        Largest shift of the hue in either direction, in turns.
    p_gamma : float in [0, 1], default=1.0
        Probability of changing gamma.
    gamma : float >= 0, default=0.0
        A strength s means powers log-uniform in [1 / (1 + s), 1 + s].
    p_grayscale : float in [0, 1], default=0.0
        Probability of removing colour.
    p_blur : float in [0, 1], default=0.0
        Probability of a Gaussian blur.
    blur_sigma : (float, float), default=(0.1 / 224, 2.0 / 224)
        Range of its standard deviation in [0, 1], as a fraction of the view's short
        side.
    p_noise : float in [0, 1], default=1.0
        Probability of noise.
    noise_std : float >= 0, default=0.0
        Largest standard deviation of the noise, in units of the range [0, 1].

    Notes
    -----
    torchvision draws the order of the colour changes for each image. Here it is fixed,
    since it has to be the same for a whole batch.

    Examples
    --------
    >>> import torch
    >>> from skssl.augment import Augmentation
    >>> augmentation = Augmentation(crop_scale=(0.3, 1.0), rotation_deg=10)
    >>> images = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    >>> generator = torch.Generator().manual_seed(0)
    >>> augmentation(images, generator, size=(24, 24)).shape
    torch.Size([4, 1, 24, 24])
    """

    def __init__(
        self,
        *,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        crop_ratio: tuple[float, float] = (1.0, 1.0),
        p_horizontal_flip: float = 0.0,
        p_vertical_flip: float = 0.0,
        rotation_deg: float = 0.0,
        padding_mode: str = "zeros",
        p_jitter: float = 1.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        p_gamma: float = 1.0,
        gamma: float = 0.0,
        p_grayscale: float = 0.0,
        p_blur: float = 0.0,
        blur_sigma: tuple[float, float] = (0.1 / 224, 2.0 / 224),
        p_noise: float = 1.0,
        noise_std: float = 0.0,
    ) -> None:
        self.crop_scale = crop_scale
        self.crop_ratio = crop_ratio
        self.p_horizontal_flip = p_horizontal_flip
        self.p_vertical_flip = p_vertical_flip
        self.rotation_deg = rotation_deg
        self.padding_mode = padding_mode
        self.p_jitter = p_jitter
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.p_gamma = p_gamma
        self.gamma = gamma
        self.p_grayscale = p_grayscale
        self.p_blur = p_blur
        self.blur_sigma = blur_sigma
        self.p_noise = p_noise
        self.noise_std = noise_std

    def set_params(self, **params: Any) -> Self:
        """Set parameters; if one of them is invalid, none is changed."""
        return set_params(self, params, super().set_params)

    def __call__(
        self,
        images: torch.Tensor,
        generator: torch.Generator,
        *,
        size: tuple[int, int],
    ) -> torch.Tensor:
        """Return one view of each image.

        Parameters
        ----------
        images : torch.Tensor of shape (n, C, H, W), uint8, or floating in [0, 1]
            Images on the generator's device.
        generator : torch.Generator
            Source of all draws; the same state gives the same bits.
        size : (int, int)
            Height and width of the views, in pixels.

        Returns
        -------
        torch.Tensor of shape (n, C, height, width), float32 in [0, 1] up to rounding
            The views, in the channels-last memory format if C > 1. If all augmentations
            are off, they may share memory with ``images``.

        Raises
        ------
        TypeError
            If the images have another type.
        ValueError
            If they do not have four dimensions, or a parameter is out of its range.
        """
        self.validate()
        views = random_affine_view(
            as_unit_float(images),
            generator,
            size=size,
            crop_scale=self.crop_scale,
            crop_ratio=self.crop_ratio,
            p_horizontal_flip=self.p_horizontal_flip,
            p_vertical_flip=self.p_vertical_flip,
            rotation_deg=self.rotation_deg,
            padding_mode=self.padding_mode,
        )
        views = self._change_intensity(views, generator)
        if views.shape[1] > 1:
            return views.contiguous(memory_format=torch.channels_last)
        return views.contiguous()

    def _change_intensity(
        self, views: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        is_rgb = views.shape[1] == 3
        active = self.active(n_channels=views.shape[1])
        if active & {"brightness", "contrast", "saturation", "hue"}:
            jittered = draw_mask(len(views), self.p_jitter, generator)
            views = random_brightness(
                views, generator, strength=self.brightness, p=jittered
            )
            views = random_contrast(
                views, generator, strength=self.contrast, p=jittered
            )
            if is_rgb:
                views = random_saturation(
                    views, generator, strength=self.saturation, p=jittered
                )
                views = random_hue(views, generator, strength=self.hue, p=jittered)
        if "gamma" in active:
            views = random_gamma(views, generator, strength=self.gamma, p=self.p_gamma)
        if "grayscale" in active:
            views = random_grayscale(views, generator, p=self.p_grayscale)
        if "blur" in active:
            views = random_blur(views, generator, sigma=self.blur_sigma, p=self.p_blur)
        if "noise" in active:
            views = random_noise(
                views, generator, max_std=self.noise_std, p=self.p_noise
            )
        return views

    def active(self, n_channels: int = 3) -> set[str]:
        """Return the names of the augmentations that can change an image.

        Parameters
        ----------
        n_channels : int, default=3
            Saturation, hue and grayscale are inactive for all but 3.

        Returns
        -------
        set of str
            Among crop, horizontal_flip, vertical_flip, rotation, brightness,
            contrast, saturation, hue, gamma, grayscale, blur and noise.

        Examples
        --------
        >>> from skssl.augment import Augmentation
        >>> augmentation = Augmentation(hue=0.1, p_horizontal_flip=0.5)
        >>> sorted(augmentation.active())
        ['horizontal_flip', 'hue']
        >>> augmentation.active(n_channels=1)
        {'horizontal_flip'}
        """
        whole = (1.0, 1.0)
        strengths = {
            "crop": tuple(self.crop_scale) != whole or tuple(self.crop_ratio) != whole,
            "horizontal_flip": self.p_horizontal_flip,
            "vertical_flip": self.p_vertical_flip,
            "rotation": self.rotation_deg,
            "brightness": self.p_jitter * self.brightness,
            "contrast": self.p_jitter * self.contrast,
            "saturation": self.p_jitter * self.saturation * (n_channels == 3),
            "hue": self.p_jitter * self.hue * (n_channels == 3),
            "gamma": self.p_gamma * self.gamma,
            "grayscale": self.p_grayscale * (n_channels == 3),
            "blur": self.p_blur * self.blur_sigma[1],
            "noise": self.p_noise * self.noise_std,
        }
        return {name for name, strength in strengths.items() if strength}

    def without(self, *names: str) -> "Augmentation":
        """Return a copy in which some augmentations are off.

        Parameters
        ----------
        *names : str
            Names as in `active`: horizontal_flip, vertical_flip, rotation, grayscale,
            blur and so on.

        Returns
        -------
        Augmentation

        Raises
        ------
        ValueError
            If there is no augmentation with that name.

        Examples
        --------
        >>> from skssl.augment import get_recipe
        >>> get_recipe("cross").without("crop", "blur")
        Augmentation(p_horizontal_flip=0.5)
        """
        for name in names:
            if name not in OFF:
                raise unknown_name("augmentation", name, OFF)
        off = {key: value for name in names for key, value in OFF[name].items()}
        return clone(self).set_params(**off)

    def validate(self) -> None:
        """Raise ValueError, naming the parameter, if one is out of its range.

        It is called at each use, since scikit-learn's constructors do not validate.
        """
        check_settings(self.get_params(deep=False))
