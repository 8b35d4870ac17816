"""Blur and noise, for any number of channels."""

import math

import torch
from torch.nn.functional import pad

from skssl.augment._draw import Selection, draw_mask, draw_uniform, per_image

__all__ = ["add_gaussian_noise", "gaussian_blur", "random_blur", "random_noise"]

# In units of the largest sigma: less than 1e-4 of the weight lies beyond.
_CUT_OFF = 4.0


def gaussian_blur(
    images: torch.Tensor, sigma_px: torch.Tensor, *, radius_px: int
) -> torch.Tensor:
    """Blur each image by a Gaussian of its own width.

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32
        Images.
    sigma_px : torch.Tensor of shape (n,)
        Standard deviation of each image's Gaussian, in pixels; 0 gives the image
        itself.
    radius_px : int
        Radius of all kernels; beyond four times the largest sigma the weights are
        negligible. Reading it from ``sigma_px`` would mean to wait for the device. It
        is reduced to what a very small image can mirror.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32
        Blurred images. At the borders the image is mirrored about its edge pixels.

    Examples
    --------
    >>> import torch
    >>> dot = torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 1, 3)
    >>> gaussian_blur(dot, torch.tensor([0.5]), radius_px=1).flatten()
    tensor([0.2130, 0.7870, 0.2130])
    """
    for dim in (3, 2):
        radius = min(radius_px, images.shape[dim] - 1)
        if radius > 0:
            images = _blur_along(images, sigma_px, radius, dim)
    return images


def _blur_along(
    images: torch.Tensor, sigma_px: torch.Tensor, radius: int, dim: int
) -> torch.Tensor:
    """Convolve along one side as a sum of shifted copies.

    For the small radii of views this takes half the time of a depthwise convolution
    on a CPU, and a quarter of the time of a product with a banded matrix.
    """
    distance = torch.arange(radius + 1, device=images.device, dtype=torch.float32)
    # At the smallest sigma all weights but the first underflow to 0: the identity.
    weights = (-0.5 * (distance / sigma_px.clamp_min(1e-6)[:, None]) ** 2).exp_()
    weights = weights / (2 * weights.sum(dim=1, keepdim=True) - 1)  # (n, radius + 1)
    border = (radius, radius, 0, 0) if dim == 3 else (0, 0, radius, radius)
    padded = pad(images, border, mode="reflect")
    size = images.shape[dim]
    blurred = images * per_image(weights[:, 0])
    for step in range(1, radius + 1):
        weight = per_image(weights[:, step])
        blurred.addcmul_(padded.narrow(dim, radius - step, size), weight)
        blurred.addcmul_(padded.narrow(dim, radius + step, size), weight)
    return blurred


def add_gaussian_noise(
    images: torch.Tensor, std: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Add independent normal noise to every value, and clamp to [0, 1].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images on the generator's device.
    std : torch.Tensor of shape (n,)
        Standard deviation of each image's noise.
    generator : torch.Generator
        Source of the noise.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> gray = torch.full((1, 1, 64, 64), 0.5)
    >>> add_gaussian_noise(gray, torch.tensor([0.1]), generator).std().round(decimals=2)
    tensor(0.1000)
    """
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return noise.mul_(per_image(std)).add_(images).clamp_(0, 1)


def random_blur(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    sigma: tuple[float, float],
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `gaussian_blur` with widths uniform in a range.

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    sigma : (float, float)
        Smallest and largest standard deviation, >= 0, as a fraction of the images'
        short side, so that it means the same at any resolution: 2 px of 224 px are
        2 / 224. If the largest is 0, the images are returned unchanged.
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
    >>> random_blur(torch.rand(2, 1, 8, 8), generator, sigma=(0.01, 0.1)).shape
    torch.Size([2, 1, 8, 8])
    """
    low, high = sigma
    if high == 0:
        return images
    short_side = min(images.shape[-2:])
    sigma_px = draw_uniform(len(images), low * short_side, high * short_side, generator)
    selected = draw_mask(len(images), p, generator)
    return gaussian_blur(
        images,
        torch.where(selected, sigma_px, 0.0),
        radius_px=math.ceil(_CUT_OFF * high * short_side),
    )


def random_noise(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    max_std: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `add_gaussian_noise` with deviations uniform in [0, max_std].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    max_std : float
        Largest standard deviation, >= 0; at 0 the images are returned unchanged.
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
    >>> random_noise(torch.rand(2, 1, 8, 8), generator, max_std=0.05).shape
    torch.Size([2, 1, 8, 8])
    """
    if max_std == 0:
        return images
    std = draw_uniform(len(images), 0.0, max_std, generator)
    selected = draw_mask(len(images), p, generator)
    return add_gaussian_noise(images, torch.where(selected, std, 0.0), generator)
