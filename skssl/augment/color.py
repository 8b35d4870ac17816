"""Colour changes of RGB images; images of other channel counts have no hue."""

import torch

from skssl.augment._blend import blend, random_blend
from skssl.augment._draw import Selection, draw_mask, draw_uniform, per_image

__all__ = [
    "adjust_hue",
    "adjust_saturation",
    "random_grayscale",
    "random_hue",
    "random_saturation",
    "rgb_to_gray",
]


def rgb_to_gray(images: torch.Tensor) -> torch.Tensor:
    """Return the luma of RGB images, with the weights of ITU-R BT.601.

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images.

    Returns
    -------
    torch.Tensor of shape (n, 1, H, W), float32 in [0, 1]
        0.299 R + 0.587 G + 0.114 B.

    Raises
    ------
    ValueError
        If the images do not have three channels.

    Examples
    --------
    >>> import torch
    >>> rgb_to_gray(torch.ones(1, 3, 1, 1)).item()
    1.0
    """
    _check_rgb(images)
    red, green, blue = images.split(1, dim=1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def adjust_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Move each RGB image away from (factor > 1) or towards its gray version.

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images.
    factor : torch.Tensor of shape (n,)
        0 gives gray, 1 the image itself.

    Returns
    -------
    torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        Changed images.

    Raises
    ------
    ValueError
        If the images do not have three channels.

    Examples
    --------
    >>> import torch
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> adjust_saturation(red, torch.tensor([0.0])).flatten()
    tensor([0.2990, 0.2990, 0.2990])
    """
    return blend(images, rgb_to_gray(images), factor)


def adjust_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Rotate the hue of each RGB image on the HSV hexcone.

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images.
    shift : torch.Tensor of shape (n,)
        Shift of the hue, in turns: 1/3 makes red green, -0.5 and 0.5 are the same.

    Returns
    -------
    torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        Changed images.

    Raises
    ------
    ValueError
        If the images do not have three channels.

    References
    ----------
    Smith, "Color gamut transform pairs", SIGGRAPH 1978,
    https://doi.org/10.1145/965139.807361

    Examples
    --------
    >>> import torch
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> adjust_hue(red, torch.tensor([1 / 3])).flatten().round(decimals=3)
    tensor([0., 1., 0.])
    """
    _check_rgb(images)
    red, green, blue = images.unbind(1)  # (n, h, w) each
    low, high = images.amin(dim=1), images.amax(dim=1)
    chroma = high - low
    # Gray pixels have chroma 0: any positive divisor gives them the hue 0.
    divisor = chroma.clamp_min(torch.finfo(images.dtype).tiny)
    hue = torch.where(
        high == red,
        (green - blue) / divisor,
        torch.where(
            high == green, (blue - red) / divisor + 2, (red - green) / divisor + 4
        ),
    )  # in sixths of a turn, in [-1, 5]
    hue = hue.add_(6 * shift.view(-1, 1, 1)).remainder_(6)
    # Each channel is high for two sixths around its own hue (red at 0, green at 2,
    # blue at 4), low for two on the far side, and linear between.
    rise = torch.stack(
        [(hue - 3).abs_() - 1, 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()], dim=1
    ).clamp_(0, 1)  # (n, 3, h, w)
    return rise.mul_(chroma[:, None]).add_(low[:, None])


def random_saturation(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `adjust_saturation` by factors uniform in [max(0, 1 - s), 1 + s].

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    strength : float
        s >= 0; at 0 the images are returned unchanged.
    p : float or torch.Tensor of shape (n,), bool, default=1.0
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_saturation(torch.rand(2, 3, 8, 8), generator, strength=0.4).shape
    torch.Size([2, 3, 8, 8])
    """
    return random_blend(adjust_saturation, images, generator, strength=strength, p=p)


def random_hue(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection = 1.0,
) -> torch.Tensor:
    """Apply `adjust_hue` by shifts uniform in [-strength, strength] turns.

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    strength : float
        In [0, 0.5]; at 0 the images are returned unchanged.
    p : float or torch.Tensor of shape (n,), bool, default=1.0
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_hue(torch.rand(2, 3, 8, 8), generator, strength=0.1).shape
    torch.Size([2, 3, 8, 8])
    """
    if strength == 0:
        return images
    shift = draw_uniform(len(images), -strength, strength, generator)
    selected = draw_mask(len(images), p, generator)
    return adjust_hue(images, torch.where(selected, shift, 0.0))


def random_grayscale(
    images: torch.Tensor, generator: torch.Generator, *, p: Selection = 0.2
) -> torch.Tensor:
    """Replace RGB images by their luma, in all three channels.

    Parameters
    ----------
    images : torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        RGB images on the generator's device.
    generator : torch.Generator
        Source of the draws.
    p : float or torch.Tensor of shape (n,), bool, default=0.2
        Probability, per image, of a change, or which images to change.

    Returns
    -------
    torch.Tensor of shape (n, 3, H, W), float32 in [0, 1]
        Changed images.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_grayscale(torch.rand(2, 3, 8, 8), generator, p=0.2).shape
    torch.Size([2, 3, 8, 8])
    """
    selected = draw_mask(len(images), p, generator)
    return torch.where(per_image(selected), rgb_to_gray(images), images)


def _check_rgb(images: torch.Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            "images must be RGB, of shape (n, 3, H, W), for a colour change; got "
            f"shape {tuple(images.shape)}."
        )
