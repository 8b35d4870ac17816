"""Encoder: what a fit learned about images, as one value."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp
from torch import Tensor, nn
from torch.nn.functional import pad

from skssl.data import ImageReader, ImageSource
from skssl.engine import autocast, deterministic_kernels
from skssl.nn import Backbone, Classifier, ClassifierHead
from skssl.nn.independence import apply_independently

__all__ = ["Encoder", "on_cpu"]

_BATCH_SIZE = {"cpu": 16, "cuda": 64}


class Encoder:
    """How images are read, and the networks that turn them into features.

    A fitted estimator holds one as ``encoder_``.

    Parameters
    ----------
    reader : ImageReader
    networks : Backbone, Classifier, or iterable of them
        Used as they are, in eval mode. Features of several are averaged.

    Attributes
    ----------
    networks : ModuleList
    backbone : Backbone
        Of the last network.
    head : ClassifierHead or None
        Of the last network; None for a backbone.
    n_features : int
        Width of the features: those of the backbone, or of the last hidden layer of a
        classifier.
    device : torch.device

    Notes
    -----
    A pickle carries the networks on the CPU, and no image.

    On CPUs the features of an image are the same to the last bit whatever images it
    comes with, for one machine and number of threads. On CUDA they agree to the
    rounding of float32.

    Examples
    --------
    >>> from skssl import SelfSupervisedPretrainer
    >>> from skssl.datasets import make_scan_phantoms
    >>> scans = make_scan_phantoms(4, image_size=32, random_state=0)
    >>> ssl = SelfSupervisedPretrainer(max_epochs=0, random_state=0).fit(scans.data)
    >>> encoder = ssl.encoder_
    >>> encoder.transform(scans.data[:3]).shape
    (3, 512)
    >>> encoder.config()["reader"]["image_size"]
    (32, 32)
    """

    def __init__(
        self,
        reader: ImageReader,
        networks: Backbone | Classifier | Iterable[Backbone | Classifier],
    ):
        if isinstance(networks, (Backbone, Classifier)):
            networks = [networks]
        self.reader = reader
        self.networks = nn.ModuleList(networks).eval()

    @property
    def backbone(self) -> Backbone:
        """The backbone of the last network."""
        last: Any = self.networks[-1]
        return last.backbone if isinstance(last, Classifier) else last

    @property
    def head(self) -> ClassifierHead | None:
        """The head of the last network, if it is a classifier."""
        last: Any = self.networks[-1]
        return last.head if isinstance(last, Classifier) else None

    @property
    def n_features(self) -> int:
        """Width of the features."""
        head = self.head
        return self.backbone.n_features if head is None else head.n_penultimate

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.backbone.mean.device

    def to(self, device: torch.device | str) -> Self:
        """Move the networks to a device, and return the encoder itself."""
        self.networks.to(device)
        return self

    def transform(
        self, X: Any, *, n_jobs: int | None = -1, precision: str = "float32"
    ) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As for `SelfSupervisedPretrainer`.
        n_jobs : int or None
            Threads that decode images.
        precision : {"float32", "bfloat16"}, default="float32"
            bfloat16 is faster where the hardware multiplies it. The result is float32
            in both cases.

        Returns
        -------
        ndarray of shape (n, n_features), float32

        Raises
        ------
        ValueError
            If an image cannot be read or has another number of channels; the message
            names its row.
        """
        return self.features_of(self.reader.open(X), n_jobs=n_jobs, precision=precision)

    def features_of(
        self,
        source: ImageSource,
        rows: np.ndarray | None = None,
        *,
        n_jobs: int | None = -1,
        precision: str = "float32",
    ) -> np.ndarray:
        """Return the features of all images of a source, or of ``rows``."""
        return self.apply(
            self._features,
            source,
            self.n_features,
            rows,
            n_jobs=n_jobs,
            precision=precision,
        )

    def logits_of(self, source: ImageSource, *, n_jobs: int | None = -1) -> np.ndarray:
        """Return the logits of the classifiers, (n, n_networks, n_classes) float32.

        Raises
        ------
        TypeError
            If the encoder holds backbones, which have no logits.
        """
        if self.head is None:
            raise TypeError("this encoder holds no classifier, so it has no logits.")
        shape = (len(self.networks), self.head.n_classes)
        logits = self.apply(self._logits, source, shape[0] * shape[1], n_jobs=n_jobs)
        return logits.reshape(len(source), *shape)

    def log_probabilities_of(
        self, source: ImageSource, *, n_jobs: int | None = -1
    ) -> np.ndarray:
        """Return the logarithm of the mean probability, (n, n_classes) float64."""
        logits = self.logits_of(source, n_jobs=n_jobs)
        # In float64, so that no probability depends on the image's place in the batch.
        log_p = log_softmax(logits.astype(np.float64), axis=2)
        return logsumexp(log_p, axis=1) - np.log(logits.shape[1])

    def apply(
        self,
        function: Callable[[Tensor], Tensor],
        source: ImageSource,
        width: int,
        rows: np.ndarray | None = None,
        *,
        n_jobs: int | None = -1,
        precision: str = "float32",
    ) -> np.ndarray:
        """Apply a function of the networks to images, in batches.

        Parameters
        ----------
        function : callable
            Maps images (b, C, H, W), float32 in [0, 1], to (b, width).
        source : ImageSource
        width : int
        rows : ndarray of int, optional
            Default: all images.
        n_jobs : int or None
        precision : {"float32", "bfloat16"}, default="float32"

        Returns
        -------
        ndarray of shape (n, width), float32
        """
        device = self.device
        batch_size = _BATCH_SIZE[device.type]
        n = len(source) if rows is None else len(rows)
        out = np.empty((n, width), dtype=np.float32)
        start = 0
        with (
            torch.inference_mode(),
            deterministic_kernels(device),
            autocast(precision, device),
        ):
            for batch in self.reader.batches(
                source, batch_size, rows=rows, n_jobs=n_jobs
            ):
                images = batch.to(device).float().div_(255)  # (b, C, H, W)
                # To one size of batch, by which kernels are chosen.
                images = pad(images, (0, 0, 0, 0, 0, 0, 0, batch_size - len(batch)))
                images = images.contiguous(memory_format=torch.channels_last)
                if device.type == "cpu":
                    result = apply_independently(self.networks, images, function)
                else:
                    result = function(images)  # (batch_size, width)
                stop = start + len(batch)
                out[start:stop] = result[: len(batch)].float().cpu().numpy()  # sync
                start = stop
        return out

    def config(self) -> dict[str, Any]:
        """Return what describes the encoder but for its weights, for JSON."""
        return {
            "reader": self.reader.config(),
            "networks": [_describe(network) for network in self.networks],
        }

    def _features(self, images: Tensor) -> Tensor:
        """Return the mean features (b, n_features) of the networks."""
        features = [
            network.penultimate(images)
            if isinstance(network, Classifier)
            else network(images)
            for network in self.networks
        ]
        return torch.stack(features).mean(0)

    def _logits(self, images: Tensor) -> Tensor:
        """Return the logits (b, n_networks * n_classes) of the networks."""
        return torch.cat([network(images) for network in self.networks], dim=1)

    def __getstate__(self) -> dict[str, Any]:
        return on_cpu(vars(self))  # so that it loads where there is no such device

    def __deepcopy__(self, memo: dict[int, Any]) -> "Encoder":
        # Not by __getstate__: a copy stays on its device, and shares what is shared.
        networks: Any = copy.deepcopy(self.networks, memo)
        return Encoder(self.reader, networks)

    def __repr__(self) -> str:
        height, width = self.reader.image_size
        shape = f"{height} × {width} × {self.reader.image_format.n_channels}"
        return f"Encoder({self.backbone.name!r}, {shape} px → {self.n_features})"


def on_cpu(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with copies on the CPU of encoders and modules that are elsewhere.

    What two of them share, their copies share.
    """
    copies: dict[int, Any] = {}
    return {
        name: copy.deepcopy(value, copies).to("cpu") if _is_elsewhere(value) else value
        for name, value in values.items()
    }


def _is_elsewhere(value: Any) -> bool:
    if isinstance(value, Encoder):
        return value.device.type != "cpu"
    if isinstance(value, nn.Module):
        return any(weight.device.type != "cpu" for weight in value.parameters())
    return False


def _describe(network: Any) -> dict[str, Any]:
    """Return what describes a network but for its weights."""
    backbone = network.backbone if isinstance(network, Classifier) else network
    described = {
        "backbone": backbone.name,
        "n_channels": backbone.n_channels,
        "n_features": backbone.n_features,
        "stem": backbone.stem,
        "weights_origin": backbone.weights_origin,
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
    }
    if isinstance(network, Classifier):
        head = network.head
        described["head"] = {"kind": head.kind, "n_classes": head.n_classes}
    return described
