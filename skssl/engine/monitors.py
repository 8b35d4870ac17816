"""Measures of features that follow a pretraining without labels."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from skssl.nn import in_eval_mode

__all__ = [
    "alignment",
    "eval_outputs",
    "feature_rank",
    "feature_spread",
    "uniformity",
]

_BATCH = 64  # images; the features do not depend on it
_TINY = 1e-7


def feature_spread(features: Tensor) -> Tensor:
    """Return the mean standard deviation of unit-norm features, times √d.

    Parameters
    ----------
    features : Tensor of shape (n, d)

    Returns
    -------
    Tensor, scalar
        0 if all rows have the same direction; 1 if directions are uniform on the
        sphere (Chen & He 2021, :doi:`10.1109/CVPR46437.2021.01549`, section 4.1).

    Examples
    --------
    >>> feature_spread(torch.ones(8, 4))
    tensor(0.)
    """
    unit = functional.normalize(features, dim=1)  # (n, d)
    return unit.std(dim=0, correction=0).mean() * features.shape[1] ** 0.5


def feature_rank(features: Tensor) -> Tensor:
    r"""Return RankMe, the effective rank of features.

    With p the singular values of the matrix of features, divided by their sum, it is

    .. math:: \exp\left(-\sum_k p_k \log p_k\right)

    Parameters
    ----------
    features : Tensor of shape (n, d)
        Not centred, as in the paper.

    Returns
    -------
    Tensor, scalar
        Between 1, where all rows are multiples of one, and min(n, d); 0 where all
        features are zero.

    Notes
    -----
    Garrido et al. 2023, :doi:`10.48550/arXiv.2210.02885`. They use 25,600 images. The
    number of images bounds the rank, so with few images compare it within a training
    only. Their constant of 1e-7 stands inside the logarithm only.

    Examples
    --------
    >>> feature_rank(torch.eye(3)).round(decimals=4)
    tensor(3.)
    """
    values = torch.linalg.svdvals(features)  # (min(n, d),)
    p = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.exp(-(p * (p + _TINY).log()).sum()) * (values.sum() > 0)


def alignment(features: Tensor, view_features: Tensor) -> Tensor:
    """Return the mean squared distance of unit-norm features of pairs, in [0, 4].

    Parameters
    ----------
    features, view_features : Tensor of shape (n, d)
        Features of the images, and of one view of each.

    Notes
    -----
    Wang & Isola 2020, :doi:`10.48550/arXiv.2005.10242`, with exponent 2.

    Examples
    --------
    >>> alignment(torch.eye(2), torch.eye(2))
    tensor(0.)
    """
    first, second = (functional.normalize(h, dim=1) for h in (features, view_features))
    return (first - second).square().sum(1).mean()


def uniformity(features: Tensor) -> Tensor:
    r"""Return the logarithm of the mean of exp(-2‖u - v‖²) over pairs of directions.

    Parameters
    ----------
    features : Tensor of shape (n, d)
        At least two.

    Returns
    -------
    Tensor, scalar
        0 if all directions are equal; lower values mean a more even spread.

    Notes
    -----
    Wang & Isola 2020, :doi:`10.48550/arXiv.2005.10242`, with t = 2.

    Examples
    --------
    >>> uniformity(torch.eye(2)).round(decimals=4)
    tensor(-4.)
    """
    unit = functional.normalize(features, dim=1)  # (n, d)
    squared = torch.pdist(unit).square()  # (n (n - 1) / 2,)
    return squared.mul(-2).exp().mean().log()


@torch.no_grad()
def eval_outputs(
    network: nn.Module,
    images: Tensor,
    size: tuple[int, int],
    device: torch.device,
    *,
    rows: Tensor | None = None,
) -> Tensor:
    """Return the outputs of a network in eval mode, in float32.

    Parameters
    ----------
    network : Module
        A backbone or a classifier; its mode is restored.
    images : Tensor of shape (n, C, H, W), uint8, or float in [0, 1]
        On any device.
    size : (height, width)
        Size that the images are resized to, pixels.
    device : torch.device
        The network's.
    rows : Tensor of shape (m,), int64, optional
        Default: all images.

    Returns
    -------
    Tensor of shape (m, d), float32
        On ``device``.
    """
    outputs = []
    with in_eval_mode(network):
        for batch in _batches(images, rows):
            pixels = batch.to(device)
            if not pixels.is_floating_point():
                pixels = pixels.float().div_(255)
            if pixels.shape[2:] != size:
                pixels = functional.interpolate(
                    pixels, size, mode="bilinear", antialias=True
                )
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            outputs.append(network(pixels).float())  # (b, d)
    return torch.cat(outputs)


def _batches(images: Tensor, rows: Tensor | None) -> Iterator[Tensor]:
    """Yield batches of images, so that a store larger than memory is never copied."""
    if rows is None:
        yield from images.split(_BATCH)
        return
    for chosen in rows.to(images.device).split(_BATCH):
        yield images.index_select(0, chosen)
