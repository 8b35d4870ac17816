"""Training settings that follow from the size of the set, when they are not given."""

from typing import Any, NamedTuple

import torch

_CPU_PIXELS = 32 * 112 * 112  # a batch: SimCLR on ResNet-18 then needs some 0.4 GB
_N_STEPS = 1000


class Lengths(NamedTuple):
    """How long a training is."""

    batch_size: int
    max_epochs: int
    warmup_epochs: int


def choose_lengths(
    settings: Any, n_images: int, image_size: tuple[int, int], device: torch.device
) -> Lengths:
    """Return batch size and epochs, derived from the set where they are not given.

    Raises
    ------
    ValueError
        If ``fraction`` leaves fewer images than a given batch size.
    """
    batch_size = settings.batch_size
    if batch_size is None:
        batch_size = default_batch_size(n_images, image_size, device)
    elif batch_size > n_images:
        if settings.fraction < 1:
            raise ValueError(
                f"fraction={settings.fraction} leaves {n_images} images, fewer than "
                f"one batch of batch_size={batch_size}."
            )
        batch_size = n_images
    max_epochs = settings.max_epochs
    if max_epochs is None:
        max_epochs = default_max_epochs(n_images, batch_size)
    warmup_epochs = settings.warmup_epochs
    if warmup_epochs is None:
        warmup_epochs = default_warmup_epochs(max_epochs)
    return Lengths(batch_size, max_epochs, warmup_epochs)


def default_batch_size(
    n_images: int, image_size: tuple[int, int], device: torch.device
) -> int:
    """Return the batch size for a set of ``n_images``.

    The largest power of two that is at most n/16, but 16 to 256 (and never above n):
    an epoch has at least 16 steps where it can, since a small set gains more from
    steps than from negatives. On a CPU a batch holds at most 0.4 million pixels (32
    images of 112 px, 8 of 224 px), yet at least 8 images.

    Examples
    --------
    >>> default_batch_size(1543, (112, 112), torch.device("cpu"))
    32
    """
    size = min(256, max(16, _power_of_two(n_images / 16)))
    if device.type == "cpu":
        most = _CPU_PIXELS // (image_size[0] * image_size[1])
        size = min(size, max(8, most))
    return min(size, n_images)


def default_max_epochs(n_images: int, batch_size: int) -> int:
    """Return the epochs that make about 1,000 steps, but 10 to 200.

    Examples
    --------
    >>> default_max_epochs(543, 64)
    111
    """
    steps_per_epoch = -(-n_images // batch_size)
    return min(200, max(10, round(_N_STEPS / steps_per_epoch)))


def default_warmup_epochs(max_epochs: int) -> int:
    """Return 5 % of the epochs, rounded, at most 10.

    Examples
    --------
    >>> default_warmup_epochs(100)
    5
    """
    return min(10, round(0.05 * max_epochs))


def _power_of_two(bound: float) -> int:
    """Return the largest power of two <= bound, at least 1."""
    return 1 << max(0, int(bound).bit_length() - 1)
