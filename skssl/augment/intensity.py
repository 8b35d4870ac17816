"""Brightness, contrast and gamma, for any number of channels."""

import torch

from skssl.augment._blend import blend, random_blend
from skssl.augment._draw import Selection, draw_log_uniform, draw_mask, per_image
from skssl.augment.color import rgb_to_gray

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "as_unit_float",
    "random_brightness",
    "random_contrast",
    "random_gamma",
]


def as_unit_float(images: torch.Tensor) -> torch.Tensor:
    """Return images as float32 in [0, 1].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), uint8, or floating in [0, 1]
        Images; uint8 is divided by 255, float32 is returned unchanged.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        The same images.

    Raises
    ------
    TypeError
        If the images are of another type.
    ValueError
        If they do not have four dimensions.

    Examples
    --------
    >>> import torch
    >>> as_unit_float(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item()
    1.0
    """
    if images.ndim != 4:
        raise ValueError(
            "images must be of shape (n, C, H, W), got "
            f"{images.ndim} dimensions: {tuple(images.shape)}."
        )
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    if images.is_floating_point():
        return images.to(torch.float32)
    raise TypeError(
        "images must be uint8, or floating point in [0, 1], got "
        f"{str(images.dtype).removeprefix('torch.')}."
    )


def adjust_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply each image by its factor, and clamp to [0, 1].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images.
    factor : torch.Tensor of shape (n,)
        0 gives black, 1 the image itself.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> pixels = torch.tensor([0.2, 0.8]).view(1, 1, 1, 2)
    >>> adjust_brightness(pixels, torch.tensor([2.0])).flatten()
    tensor([0.4000, 1.0000])
    """
    return blend(images, 0.0, factor)


def adjust_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Move each image away from (factor > 1) or towards its own mean.

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images.
    factor : torch.Tensor of shape (n,)
        0 gives the mean everywhere, 1 the image itself.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Notes
    -----
    The mean of an RGB image is that of its luma; that of others is taken over all
    channels.

    Examples
    --------
    >>> import torch
    >>> pixels = torch.tensor([0.4, 0.6]).view(1, 1, 1, 2)
    >>> adjust_contrast(pixels, torch.tensor([2.0])).flatten()
    tensor([0.3000, 0.7000])
    """
    mean = images.mean(dim=(2, 3), keepdim=True)  # (n, C, 1, 1)
    is_rgb = images.shape[1] == 3
    mean = rgb_to_gray(mean) if is_rgb else mean.mean(dim=1, keepdim=True)
    return blend(images, mean, factor)


def adjust_gamma(images: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Raise each image to the power of its gamma.

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images.
    gamma : torch.Tensor of shape (n,)
        Positive; above 1 darkens, below 1 brightens, 1 gives the image itself.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> pixels = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    >>> adjust_gamma(pixels, torch.tensor([2.0])).flatten()
    tensor([0.0000, 0.2500, 1.0000])
    """
    # Rounding may have left a pixel below 0, whose power would be NaN.
    return images.clamp(0, 1).pow_(per_image(gamma))


def random_brightness(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `adjust_brightness` by factors uniform in [max(0, 1 - s), 1 + s].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    strength : float
        s >= 0; at 0 the images are returned unchanged.
    p : float or torch.Tensor of shape (n,), bool, default=1.0
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_brightness(torch.rand(2, 1, 8, 8), generator, strength=0.4).shape
    torch.Size([2, 1, 8, 8])
    """
    return random_blend(adjust_brightness, images, generator, strength=strength, p=p)


def random_contrast(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `adjust_contrast` by factors uniform in [max(0, 1 - s), 1 + s].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    strength : float
        s >= 0; at 0 the images are returned unchanged.
    p : float or torch.Tensor of shape (n,), bool, default=1.0
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_contrast(torch.rand(2, 1, 8, 8), generator, strength=0.4).shape
    torch.Size([2, 1, 8, 8])
    """
    return random_blend(adjust_contrast, images, generator, strength=strength, p=p)


def random_gamma(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `adjust_gamma` by powers log-uniform in [1 / (1 + s), 1 + s].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    strength : float
        s >= 0; at 0 the images are returned unchanged.
    p : float or torch.Tensor of shape (n,), bool, default=1.0
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_gamma(torch.rand(2, 1, 8, 8), generator, strength=0.5).shape
    torch.Size([2, 1, 8, 8])
    """
    if strength == 0:
        return images
    gamma = draw_log_uniform(len(images), 1 / (1 + strength), 1 + strength, generator)
    selected = draw_mask(len(images), p, generator)
    return adjust_gamma(images, torch.where(selected, gamma, 1.0))
