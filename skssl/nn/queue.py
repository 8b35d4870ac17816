"""A first-in-first-out queue of features, the negatives of MoCo."""

import torch
from torch import nn
from torch.nn import functional

__all__ = ["FeatureQueue"]


class FeatureQueue(nn.Module):
    """The newest ``size`` keys, as buffers on the device and in the state dict.

    Parameters
    ----------
    n_features : int
        Width d of a key.
    size : int
        Number K of keys that the queue holds.

    Attributes
    ----------
    features : Tensor of shape (size, n_features), float32
        Unit-norm rows. They start as random directions.
    index : Tensor of shape (size,), int64
        Index of each key's image; -1 for a random direction.
    pointer : Tensor of shape (), int64
        Index of the row that the next key overwrites.

    Raises
    ------
    ValueError
        If ``n_features`` or ``size`` is below 1.

    Notes
    -----
    Batches may have any size: it need not divide ``size``, and of a batch larger than
    the queue the last ``size`` keys are stored. No call waits for the device.

    The first directions are drawn from torch's global generator: build the queue inside
    ``skssl._random.isolated_rng``. ``push`` writes in place: call it after the backward
    pass of a loss that reads ``features``.

    References
    ----------
    .. [1] K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. "Momentum Contrast for
       Unsupervised Visual Representation Learning." CVPR, 2020.
       :doi:`10.1109/CVPR42600.2020.00975`.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import FeatureQueue
    >>> queue = FeatureQueue(n_features=2, size=3)
    >>> queue.push(torch.eye(2), torch.tensor([7, 8]))
    >>> queue.push(torch.eye(2), torch.tensor([9, 10]))
    >>> queue.index
    tensor([10,  8,  9])
    """

    features: torch.Tensor
    index: torch.Tensor
    pointer: torch.Tensor

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__()
        if n_features < 1 or size < 1:
            raise ValueError(
                "n_features and size of the queue must be at least 1, got "
                f"n_features={n_features} and size={size}."
            )
        directions = functional.normalize(
            torch.randn(size, n_features), dim=1
        )  # (K, d)
        self.register_buffer("features", directions)
        self.register_buffer("index", torch.full((size,), -1, dtype=torch.int64))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: torch.Tensor, index: torch.Tensor) -> None:
        """Overwrite the oldest keys by new ones.

        Parameters
        ----------
        keys : Tensor of shape (b, n_features)
            New keys, float, oldest first; scaled to unit norm here.
        index : Tensor of shape (b,), int64
            Index of each key's image.

        Raises
        ------
        ValueError
            If the shapes do not match.
        """
        size, n_features = self.features.shape
        if keys.ndim != 2 or keys.shape[1] != n_features:
            raise ValueError(
                f"keys must have shape (b, {n_features}), got {tuple(keys.shape)}."
            )
        if index.shape != keys.shape[:1]:
            raise ValueError(
                f"index must have shape ({len(keys)},), got {tuple(index.shape)}."
            )
        keys, index = keys[-size:], index[-size:]
        n_keys = len(keys)
        rows = torch.arange(n_keys, device=self.pointer.device)  # (b,)
        rows = (rows + self.pointer) % size
        unit_keys = functional.normalize(keys.to(self.features.dtype), dim=1)
        self.features.index_copy_(0, rows, unit_keys)
        self.index.index_copy_(0, rows, index)
        self.pointer.add_(n_keys).remainder_(size)
