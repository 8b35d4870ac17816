"""What estimators with a trained ``backbone_`` share: features, pickles, devices."""

import copy
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skssl._images import ImageInputMixin
from skssl.data import iter_batches
from skssl.engine import resolve_device

_BATCH = 64  # images; the features do not depend on it


class BackboneFeaturesMixin(
    ImageInputMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
):
    """Transform images to features with ``backbone_``, on ``device_``."""

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Computed in float32 and in eval mode, so that the features of an image do
            not depend on the others.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If an image cannot be read, or has another channel count than those that
            the estimator was fitted on.
        """
        check_is_fitted(self)
        source = self._image_source(X, reset=False)
        device = torch.device(self.device_)
        h = np.empty((len(source), self._n_features_out), dtype=np.float32)
        batches = iter_batches(
            source,
            image_format=self._image_format,
            size=self.image_size_,
            batch_size=_BATCH,
            n_jobs=self.n_jobs,
        )
        start = 0
        with torch.inference_mode():
            for batch in batches:
                images = batch.to(device).float().div_(255)  # (b, C, H, W)
                images = images.contiguous(memory_format=torch.channels_last)
                features = self.backbone_(images)  # (b, n_features)
                h[start : start + len(batch)] = features.cpu().numpy()  # sync
                start += len(batch)
        return h

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "backbone_")

    def _forget(self) -> None:
        """Drop what an earlier fit learned."""
        for name in list(vars(self)):
            learned = name.endswith("_") and not name.startswith("_")
            if learned or name in ("_image_format", "_store_size"):
                delattr(self, name)

    @property
    def _n_features_out(self) -> int:
        return self.backbone_.n_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Move the network to the CPU, so that it loads where there is no GPU."""
        state = dict(super().__getstate__())
        copies: dict[int, Any] = {}  # the kept module shares the backbone
        for name in ("backbone_", "pretext_module_"):
            module = state.get(name)
            if module is not None and any(p.is_cuda for p in module.parameters()):
                state[name] = copy.deepcopy(module, copies).to("cpu")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the network back to the device that was asked for, if it is here."""
        super().__setstate__(state)
        if not hasattr(self, "backbone_"):
            return
        try:
            device = resolve_device(self.device)
        except ValueError:
            device = torch.device("cpu")
        self.device_ = str(device)
        for name in ("backbone_", "pretext_module_"):
            if hasattr(self, name):
                getattr(self, name).to(device)
