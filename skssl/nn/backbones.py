"""The common interface of all backbones."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import nn

from skssl.nn.blocks import check_trainable, frozen_statistics, trained_weights
from skssl.nn.families import family_of

__all__ = ["Backbone"]

# For images whose statistics are not known yet.
_DEFAULT_MEAN, _DEFAULT_STD = 0.5, 0.25


class Backbone(nn.Module):
    """A network from images in [0, 1] to features, with its own normalisation.

    Make one with :func:`build_backbone`, which finds the number of features.

    Parameters
    ----------
    network : nn.Module
        Maps normalised images (n, C, H, W) to (n, d), or to maps (n, d, h, w), which
        are averaged over h and w.
    n_channels : int
        Channels C of the images.
    n_features : int
        Width d of the features.
    name : str
        The name that the backbone was built from, or the class of its network.
    weights_origin : str or None, default="given"
        Where the weights come from. None declares them random.
    expand_to : int, optional
        Only for C = 1: the channels that the network takes. A gray image is repeated
        after it was normalised with the statistics of each of them, so that it gives
        exactly the features of its RGB replica.

    Attributes
    ----------
    mean, std : Tensor of shape (1, K, 1, 1), float32
        Buffers: the images are normalised as ``(images - mean) / std``. They are 0.5
        and 0.25 until :meth:`set_normalization`. K is ``expand_to`` where that is
        given, and C otherwise.
    stem : str or None
        "imagenet", "small" or "cifar" for a ResNet, None for other networks.
    weights_origin : str or None
        Where the weights come from; None if they are random. :func:`build_backbone`
        records "imagenet" or the name of torchvision weights, the name of a file
        without its folder, or "FrozenEstimator(...)" with the class of the estimator.
        A backbone with random weights gets "state dict" when a state dict is loaded
        into it. Copies and pickles keep the record.
    is_trained : bool
        Whether the weights are other than random.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import Backbone
    >>> network = torch.nn.Conv2d(1, 4, kernel_size=3)
    >>> backbone = Backbone(network, n_channels=1, n_features=4, name="one layer")
    >>> backbone(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 4])
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        n_channels: int,
        n_features: int,
        name: str,
        weights_origin: str | None = "given",
        expand_to: int | None = None,
    ) -> None:
        super().__init__()
        if expand_to is not None and n_channels != 1:
            raise ValueError(
                f"expand_to={expand_to} repeats gray images, but n_channels is "
                f"{n_channels}."
            )
        self.network = network
        self.n_channels = n_channels
        self.n_features = n_features
        self.name = name
        self.weights_origin = weights_origin
        self._frozen_norms: list[str] = []
        shape = (1, n_channels if expand_to is None else expand_to, 1, 1)
        self.register_buffer("mean", torch.full(shape, _DEFAULT_MEAN))
        self.register_buffer("std", torch.full(shape, _DEFAULT_STD))

    @property
    def stem(self) -> str | None:
        """The stem of a ResNet, None for every other network."""
        return family_of(self.network).stem_of(self.network)

    @property
    def is_trained(self) -> bool:
        """Whether the weights are other than random."""
        return self.weights_origin is not None

    @torch.no_grad()
    def set_normalization(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and standard deviation of each channel.

        Parameters
        ----------
        mean, std : sequence of K floats, or of one for gray images
            In units of the images, that is of [0, 1]; ``std`` is positive.

        Raises
        ------
        ValueError
            If a length is not K, a value is not finite or ``std`` is not positive.
        """
        n_needed = self.mean.shape[1]
        if self.n_channels == 1 and len(mean) == len(std) == 1:
            mean, std = list(mean) * n_needed, list(std) * n_needed
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.as_tensor(values, dtype=torch.float32)
            if numbers.shape != (n_needed,) or not numbers.isfinite().all():
                raise ValueError(
                    f"{name} must hold {n_needed} finite numbers, one per "
                    f"channel, got {values!r}."
                )
            if name == "std" and not (numbers > 0).all():
                raise ValueError(f"std must be positive, got {values!r}.")
        shape = self.mean.shape
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32).reshape(shape))
        self.std.copy_(torch.as_tensor(std, dtype=torch.float32).reshape(shape))

    def only_train(self, trainable: str) -> Self:
        """Freeze the other weights, and the batch statistics of frozen layers.

        Parameters
        ----------
        trainable : {"all", "last:K", "norms"}
            What training changes: all weights, those of the last K blocks (see
            `skssl.nn.blocks`), or those of the normalisation layers. Steps keep no
            activations for the blocks before the first trained one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the value is unknown, or the network has no such layers.
        """
        check_trainable(trainable)
        trained = {id(weight) for weight in trained_weights(self.network, trainable)}
        for weight in self.network.parameters():
            weight.requires_grad_(id(weight) in trained)
        frozen = [] if trainable == "all" else frozen_statistics(self.network)
        self._frozen_norms = frozen
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for the statistics of frozen layers."""
        super().train(mode)
        for name in self._frozen_norms:
            self.network.get_submodule(name).eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (n, C, H, W), float in [0, 1], to features (n, n_features)."""
        output = self.network(self.normalize(images))
        return family_of(self.network).pool(self.network, output)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (n, C, H, W), float in [0, 1], as the network gets them.

        They are of shape (n, K, H, W) then.
        """
        return (images.to(self.mean.dtype) - self.mean) / self.std

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Load, and record that the weights are no longer random.

        torch calls this also where the backbone is inside another module. A registered
        hook would have a number that differs between equal backbones, and fingerprints
        of their content would then differ, too.
        """
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        loads_any = any(key.startswith(f"{prefix}network.") for key in state_dict)
        if self.weights_origin is None and loads_any:
            self.weights_origin = "state dict"
