"""A memory bank: one feature vector per training image, updated at each step."""

import torch
from torch import nn
from torch.nn import functional

__all__ = ["MemoryBank"]


class MemoryBank(nn.Module):
    """Moving averages of the features of all images, as buffers on the device.

    Parameters
    ----------
    n_images : int
        Number N of training images.
    n_features : int
        Width d of the features.

    Attributes
    ----------
    features : Tensor of shape (n_images, n_features), float32
        Unit-norm rows m, one per image; random directions for images not seen yet.
    seen : Tensor of shape (n_images,), bool
        Whether a row has been updated with features of its image.

    Raises
    ------
    ValueError
        If ``n_images`` or ``n_features`` is below 1.

    Notes
    -----
    The first directions are drawn from torch's global generator: build the bank inside
    ``skssl._random.isolated_rng``. ``update`` writes in place: call it after the
    backward pass of a loss that reads ``features``. No call waits for the device.

    References
    ----------
    .. [1] Z. Wu, Y. Xiong, S. X. Yu, D. Lin. "Unsupervised Feature Learning via
       Non-parametric Instance Discrimination", CVPR 2018.
       :doi:`10.1109/CVPR.2018.00393`

    Examples
    --------
    >>> import torch
    >>> from skssl.nn.bank import MemoryBank
    >>> bank = MemoryBank(n_images=4, n_features=2)
    >>> bank.update(torch.tensor([[3.0, 0.0]]), torch.tensor([2]), momentum=0.5)
    >>> bank.features[2], bank.seen
    (tensor([1., 0.]), tensor([False, False,  True, False]))
    """

    features: torch.Tensor
    seen: torch.Tensor

    def __init__(self, n_images: int, n_features: int) -> None:
        super().__init__()
        if n_images < 1 or n_features < 1:
            raise ValueError(
                "n_images and n_features of the bank must be at least 1, got "
                f"n_images={n_images} and n_features={n_features}."
            )
        directions = functional.normalize(torch.randn(n_images, n_features), dim=1)
        self.register_buffer("features", directions)  # (N, d)
        self.register_buffer("seen", torch.zeros(n_images, dtype=torch.bool))

    @torch.no_grad()
    def recall(self, index: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the rows of images, or their new features if they have no rows yet.

        Parameters
        ----------
        index : Tensor of shape (n,), int64
            Indices of images.
        features : Tensor of shape (n, n_features)
            Features of these images, float, used for images not seen yet.

        Returns
        -------
        Tensor of shape (n, n_features)
            Unit-norm rows in the bank's dtype, without gradient.

        Raises
        ------
        ValueError
            If the shapes do not match.
        """
        self._check(index, features)
        fresh = functional.normalize(features.to(self.features.dtype), dim=1)  # (n, d)
        return torch.where(self.seen[index][:, None], self.features[index], fresh)

    @torch.no_grad()
    def update(
        self, features: torch.Tensor, index: torch.Tensor, momentum: float
    ) -> None:
        r"""Move the rows of images towards new features f.

        With momentum γ, a row m becomes :math:`u(γ\,m + (1 - γ)\,u(f))`, where u scales
        to unit norm. The row of an image not seen yet becomes u(f).

        Parameters
        ----------
        features : Tensor of shape (n, n_features)
            New features, float.
        index : Tensor of shape (n,), int64
            Indices of their images, each at most once. If an index occurs twice, it is
            undefined which features are used.
        momentum : float
            Weight γ of the old row, in [0, 1].

        Raises
        ------
        ValueError
            If the shapes do not match, or ``momentum`` is outside [0, 1].
        """
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be in [0, 1], got {momentum!r}.")
        old = self.recall(index, features)  # (n, d)
        new = functional.normalize(features.to(old.dtype), dim=1)  # (n, d)
        rows = functional.normalize(momentum * old + (1 - momentum) * new, dim=1)
        self.features.index_copy_(0, index, rows)
        self.seen.index_fill_(0, index, True)

    def _check(self, index: torch.Tensor, features: torch.Tensor) -> None:
        n_features = self.features.shape[1]
        if features.ndim != 2 or features.shape[1] != n_features:
            raise ValueError(
                f"features must have shape (n, {n_features}), got "
                f"{tuple(features.shape)}."
            )
        if index.shape != features.shape[:1]:
            raise ValueError(
                f"index must have shape ({len(features)},), got {tuple(index.shape)}."
            )
