"""Per-image draws from an explicit generator, shared by the random functions."""

import math

import torch

__all__ = [
    "Selection",
    "draw_factor",
    "draw_log_uniform",
    "draw_mask",
    "draw_uniform",
    "per_image",
]

# A probability per image, or a mask (n,) that was drawn already, so that several
# functions can change the same images.
Selection = float | torch.Tensor


def draw_uniform(
    n_images: int, low: float, high: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw one value per image, uniform in [low, high): float32 (n,)."""
    unit = torch.rand(n_images, generator=generator, device=generator.device)
    return unit.mul_(high - low).add_(low)


def draw_log_uniform(
    n_images: int, low: float, high: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw one value per image whose logarithm is uniform: float32 (n,)."""
    return draw_uniform(n_images, math.log(low), math.log(high), generator).exp_()


def draw_mask(n_images: int, p: Selection, generator: torch.Generator) -> torch.Tensor:
    """Select each image with probability ``p``: bool (n,); a mask passes through."""
    if isinstance(p, torch.Tensor):
        return p
    # rand() lies in [0, 1), so p = 0 selects none and p = 1 all.
    return torch.rand(n_images, generator=generator, device=generator.device) < p


def draw_factor(
    n_images: int, strength: float, generator: torch.Generator, *, p: Selection
) -> torch.Tensor:
    """Draw factors in [max(0, 1 - s), 1 + s), but 1 where not selected: (n,)."""
    factor = draw_uniform(n_images, max(0.0, 1 - strength), 1 + strength, generator)
    return torch.where(draw_mask(n_images, p, generator), factor, 1.0)


def per_image(values: torch.Tensor) -> torch.Tensor:
    """View (n,) as (n, 1, 1, 1), to broadcast over channels and pixels."""
    return values.view(-1, 1, 1, 1)
