"""A moving-average copy of a network: the momentum encoder."""

from copy import deepcopy
from math import cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["EMACopy", "rising_momentum"]


class EMACopy(nn.Module):
    r"""Exponential moving average of another module's parameters.

    After each optimiser step, :meth:`update` computes

    .. math:: \theta_k \leftarrow m\,\theta_k + (1 - m)\,\theta_q

    where :math:`\theta_q` are the parameters of the source, :math:`\theta_k` those of
    this copy and :math:`m` the momentum (eq. 2 of [1]_).

    Parameters
    ----------
    source : nn.Module
        The module to average. It is deep-copied.

    Attributes
    ----------
    module : nn.Module
        The copy. Its parameters never require a gradient.

    Notes
    -----
    The copy follows the train and eval mode of the module that holds it. In training
    its batch normalisations therefore use the statistics of the batch, as in [1]_.
    Deviation: buffers, such as the running statistics of batch normalisation, are
    copied from the source at each update, so that the copy is a consistent network in
    eval mode too.

    References
    ----------
    .. [1] K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. "Momentum Contrast for
       Unsupervised Visual Representation Learning." CVPR, 2020.
       :doi:`10.1109/CVPR42600.2020.00975`.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import EMACopy
    >>> source = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(source.weight)
    >>> target = EMACopy(source)
    >>> _ = torch.nn.init.ones_(source.weight)
    >>> target.update(source, momentum=0.75)
    >>> target.module.weight.item()
    0.25
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.module = deepcopy(source).requires_grad_(False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the copy without recording gradients."""
        with torch.no_grad():
            return self.module(*args, **kwargs)

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """Move the copy towards ``source``.

        Parameters
        ----------
        source : nn.Module
            A module with the same parameters and buffers as the copied one.
        momentum : float
            Weight of the old value, in [0, 1].

        Raises
        ------
        ValueError
            If ``momentum`` is outside [0, 1].
        """
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum!r}.")
        average = get_ema_multi_avg_fn(momentum)
        targets = list(self.module.parameters())
        if targets:
            average(targets, list(source.parameters()), None)
        for target, buffer in zip(self.module.buffers(), source.buffers(), strict=True):
            target.copy_(buffer)


def rising_momentum(start: float, progress: float) -> float:
    r"""Return a momentum that rises to 1 along half a cosine period.

    .. math:: m(s) = 1 - (1 - m_0) (\cos(\pi s) + 1) / 2

    Parameters
    ----------
    start : float
        :math:`m_0`, the momentum at the start, in [0, 1].
    progress : float
        Fraction s of the training that is completed, in [0, 1].

    Returns
    -------
    float
        The momentum m(s), from ``start`` to 1.

    References
    ----------
    .. [1] J.-B. Grill et al. "Bootstrap Your Own Latent." NeurIPS, 2020.
       :doi:`10.48550/arXiv.2006.07733`.

    Examples
    --------
    >>> from skssl.nn import rising_momentum
    >>> [round(rising_momentum(0.9, progress), 3) for progress in (0.0, 0.5, 1.0)]
    [0.9, 0.95, 1.0]
    """
    return 1 - (1 - start) * (cos(pi * progress) + 1) / 2
