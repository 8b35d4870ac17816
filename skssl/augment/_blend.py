"""The one rule of brightness, contrast and saturation: a blend with another image."""

from collections.abc import Callable

import torch

from skssl.augment._draw import Selection, draw_factor, per_image

__all__ = ["blend", "random_blend"]


def blend(
    images: torch.Tensor, other: torch.Tensor | float, factor: torch.Tensor
) -> torch.Tensor:
    """Return factor · images + (1 - factor) · other, clamped to [0, 1].

    Parameters
    ----------
    images : torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Images.
    other : float, or torch.Tensor that broadcasts to the images
        What a factor of 0 gives: black, the mean or the gray image.
    factor : torch.Tensor of shape (n,)
        1 gives the image itself; above 1 moves it away from ``other``.

    Returns
    -------
    torch.Tensor of shape (n, C, H, W), float32 in [0, 1]
        Changed images.
    """
    weight = per_image(factor)  # (n, 1, 1, 1)
    return (images * weight).add_(other * (1 - weight)).clamp_(0, 1)


def random_blend(
    adjust: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    strength: float,
    p: Selection,
) -> torch.Tensor:
    """Apply a blend by factors uniform in [max(0, 1 - strength), 1 + strength].

    Images that are not selected by ``p`` keep a factor of 1; at a strength of 0 the
    images are returned unchanged, without a draw.
    """
    if strength == 0:
        return images
    return adjust(images, draw_factor(len(images), strength, generator, p=p))
