"""Losses used by several methods: pure functions, computed in float32."""

import torch
from torch.nn import functional

__all__ = ["info_nce", "mean_cosine", "nt_xent"]


def nt_xent(
    z1: torch.Tensor,
    z2: torch.Tensor,
    temperature: float,
    negative_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Normalised temperature-scaled cross-entropy, the loss of SimCLR.

    Let :math:`s_{ij}` be the cosine similarity of two of the 2n projections. The loss
    of an anchor i, where j is the other view of its image, is (eq. 1 of [1]_)

    .. math::
        \ell_{ij} = -\log \frac{\exp(s_{ij} / \tau)}
        {\sum_{k \neq i} \exp(s_{ik} / \tau)}

    The result is the mean over all 2n anchors.

    Parameters
    ----------
    z1, z2 : Tensor of shape (n, d)
        Projections of the two views of n >= 2 images, float; scaled to unit norm here.
    temperature : float
        :math:`\tau > 0`.
    negative_mask : Tensor of shape (n, n), bool, optional
        Where row i, column j is True, neither view of image j is a negative of the
        views of image i. The diagonal is ignored.

    Returns
    -------
    Tensor of shape (), float32
        The loss, also inside autocast.

    Raises
    ------
    ValueError
        If shapes do not match, n is below 2 or ``temperature`` is not positive.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton. "A Simple Framework for
       Contrastive Learning of Visual Representations." ICML, 2020.
       :doi:`10.48550/arXiv.2002.05709`.

    Examples
    --------
    With equal projections the loss is log(2n - 1), here log(3).

    >>> import torch
    >>> from skssl.nn import nt_xent
    >>> z = torch.ones(2, 4)
    >>> round(nt_xent(z, z, temperature=0.5).item(), 4)
    1.0986
    """
    _check_pair(z1, z2, "z1", "z2")
    _check_temperature(temperature)
    if len(z1) < 2:
        raise ValueError(f"nt_xent needs at least 2 images in z1, got {len(z1)}.")
    _check_mask(negative_mask, (len(z1), len(z1)))
    with torch.autocast(z1.device.type, enabled=False):
        z1 = functional.normalize(z1.float(), dim=1)
        z2 = functional.normalize(z2.float(), dim=1)
        z = torch.cat([z1, z2])  # (2n, d)
        logits = (z / temperature) @ z.T  # (2n, 2n)
        positives = (z1 * z2).sum(1) / temperature  # (n,), each for two anchors
        if negative_mask is not None:
            own = torch.eye(len(z1), dtype=torch.bool, device=z.device)
            masked = negative_mask & ~own  # never the positive
            logits = logits.masked_fill(masked.repeat(2, 2), -torch.inf)
        logits.fill_diagonal_(-torch.inf)
        return logits.logsumexp(1).mean() - positives.mean()


def info_nce(
    q: torch.Tensor,
    k: torch.Tensor,
    negatives: torch.Tensor,
    temperature: float,
    negative_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""InfoNCE with one set of negatives for all queries, the loss of MoCo.

    The cross-entropy of the logits :math:`[q \cdot k, q \cdot n_1, \ldots,
    q \cdot n_K] / \tau` with the first as the target (eq. 1 of [1]_), averaged over
    the queries.

    Parameters
    ----------
    q, k : Tensor of shape (n, d)
        Queries and their keys, float; scaled to unit norm here. Gradients flow to both,
        unless ``k`` has none, as the output of :class:`~skssl.nn.EMACopy`.
    negatives : Tensor of shape (K, d)
        Negatives of unit norm, float, as in ``FeatureQueue.features``.
    temperature : float
        :math:`\tau > 0`.
    negative_mask : Tensor of shape (n, K), bool, optional
        Where row i, column j is True, negative j is not used for query i.

    Returns
    -------
    Tensor of shape (), float32
        The loss, also inside autocast.

    Raises
    ------
    ValueError
        If shapes do not match or ``temperature`` is not positive.

    References
    ----------
    .. [1] K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. "Momentum Contrast for
       Unsupervised Visual Representation Learning." CVPR, 2020.
       :doi:`10.1109/CVPR42600.2020.00975`.

    Examples
    --------
    With three negatives equal to the key the loss is log(1 + 3).

    >>> import torch
    >>> from skssl.nn import info_nce
    >>> q, negatives = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]] * 3)
    >>> round(info_nce(q, q, negatives, temperature=0.2).item(), 4)
    1.3863
    """
    _check_pair(q, k, "q", "k")
    _check_temperature(temperature)
    if negatives.ndim != 2 or negatives.shape[1] != q.shape[1]:
        raise ValueError(
            f"negatives must have shape (K, {q.shape[1]}), "
            f"got {tuple(negatives.shape)}."
        )
    _check_mask(negative_mask, (len(q), len(negatives)))
    with torch.autocast(q.device.type, enabled=False):
        q = functional.normalize(q.float(), dim=1)
        k = functional.normalize(k.float(), dim=1)
        positive = (q * k).sum(1, keepdim=True)  # (n, 1)
        negative = q @ negatives.float().T  # (n, K)
        if negative_mask is not None:
            negative = negative.masked_fill(negative_mask, -torch.inf)
        logits = torch.cat([positive, negative], dim=1) / temperature  # (n, 1 + K)
        return (logits.logsumexp(1) - logits[:, 0]).mean()


def mean_cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""Mean cosine similarity of the rows of two tensors.

    Methods without negatives maximise it. The BYOL paper writes the loss as the squared
    distance of unit vectors, :math:`\lVert\hat a - \hat b\rVert^2 = 2 - 2\cos(a, b)`,
    the SimSiam paper as :math:`-\cos(a, b)`.

    Parameters
    ----------
    a, b : Tensor of shape (n, d)
        Vectors of any norm, float; scaled to unit norm here. Gradients flow to both:
        detach a target.

    Returns
    -------
    Tensor of shape (), float32
        In [-1, 1], up to rounding, also inside autocast.

    Raises
    ------
    ValueError
        If the shapes differ, are not (n, d), or n is 0.

    Examples
    --------
    Of two rows, one pair is parallel and one at a right angle.

    >>> import torch
    >>> from skssl.nn import mean_cosine
    >>> a = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    >>> b = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    >>> mean_cosine(a, b).item()
    0.5
    """
    _check_pair(a, b, "a", "b")
    with torch.autocast(a.device.type, enabled=False):
        a = functional.normalize(a.float(), dim=1)
        b = functional.normalize(b.float(), dim=1)
        return (a * b).sum(1).mean()


def _check_pair(a: torch.Tensor, b: torch.Tensor, a_name: str, b_name: str) -> None:
    if a.ndim != 2 or a.shape != b.shape or len(a) == 0:
        raise ValueError(
            f"{a_name} and {b_name} must have the same shape (n, d) with n >= 1, "
            f"got {tuple(a.shape)} and {tuple(b.shape)}."
        )


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}.")


def _check_mask(mask: torch.Tensor | None, shape: tuple[int, int]) -> None:
    if mask is not None and mask.shape != shape:
        raise ValueError(
            f"negative_mask must have shape {shape}, got {tuple(mask.shape)}."
        )
