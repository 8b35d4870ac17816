"""What estimators with trained networks share: features, pickles, devices."""

import copy
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch.nn.functional import pad

from skssl._base.images import ImageInputMixin
from skssl._params import set_params
from skssl._sklearn import Interval, StrOptions
from skssl.data import ImageSource, iter_batches
from skssl.engine import deterministic_kernels, resolve_device
from skssl.nn import Backbone
from skssl.nn.independence import apply_independently

#: Constraints of the parameters that all estimators with a network have.
NETWORK_CONSTRAINTS: dict[str, list] = {
    "stem": [StrOptions({"auto", "imagenet", "small", "cifar"})],
    "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
    "image_shape": [tuple, list, StrOptions({"flat"}), None],
    "value_range": [tuple, list, StrOptions({"auto"})],
    "out_of_range": [StrOptions({"auto", "raise", "clip"})],
    "color": [StrOptions({"auto", "gray", "rgb"})],
    "resize": [StrOptions({"squash", "crop", "pad"})],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "device": [str, torch.device],
    "callbacks": [list, None],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
}
# Images a batch.
_BATCH = {"cpu": 16, "cuda": 64}


class ImageNetworkMixin(ImageInputMixin):
    """Hold trained networks on ``device_``, and show them images of any kind.

    Subclasses name their modules in ``_modules``, and fit in ``_fit``.
    """

    _modules: ClassVar[tuple[str, ...]] = ("backbone_", "pretext_module_")
    _makers: ClassVar[dict[str, Callable]] = {}
    backbone: Any
    weights: Any
    device: str | torch.device
    device_: str

    def _apply(
        self,
        source: ImageSource,
        function: Callable[[torch.Tensor], torch.Tensor],
        width: int,
        rows: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return what a network makes of all images or of ``rows``, (n, width) float32.

        All batches are filled up to one size, since kernels are chosen by that.
        """
        device = torch.device(self.device_)
        run = function
        if device.type == "cpu":
            networks = getattr(self, self._modules[0])
            run = partial(apply_independently, networks, function=function)
        n = len(source) if rows is None else len(rows)
        out = np.empty((n, width), dtype=np.float32)
        batch_size = _BATCH[device.type]
        batches = iter_batches(
            source,
            image_format=self._image_format,
            size=self.image_size_,
            batch_size=batch_size,
            rows=rows,
            n_jobs=self.n_jobs,
        )
        start = 0
        with torch.inference_mode(), deterministic_kernels(device):
            for batch in batches:
                images = batch.to(device).float().div_(255)  # (b, C, H, W)
                lacking = batch_size - len(batch)
                images = pad(images, (0, 0, 0, 0, 0, 0, 0, lacking))
                images = images.contiguous(memory_format=torch.channels_last)
                result = run(images)[: len(batch)]  # (b, width)
                out[start : start + len(batch)] = result.cpu().numpy()  # sync
                start += len(batch)
        return out

    def _starts_at_random(self) -> bool:
        """Tell whether nobody has trained the backbone."""
        return self.weights is None and not isinstance(self.backbone, Backbone)

    def _fit(self, X: Any, y: Any, groups: Any, **options: Any) -> None:
        """Read, train and keep; an earlier fit is forgotten before."""
        raise NotImplementedError

    def _learn(self, X: Any, y: Any, groups: Any, **options: Any) -> None:
        """Fit, or recall an equal fit."""
        self._fit(X, y, groups, **options)

    def _fit_or_restore(self, X: Any, y: Any, groups: Any, **options: Any) -> Self:
        """Fit; after an error an earlier fit is as it was."""
        earlier = dict(vars(self))
        self._forget()
        try:
            self._learn(X, y, groups, **options)
        except BaseException:
            if not self.__sklearn_is_fitted__():  # Ctrl-C kept what it had
                self.__dict__ = earlier
            raise
        return self

    def set_params(self, **params: Any) -> Self:
        """Set parameters; nested ones of a name make the object of that name.

        Where one is refused, the estimator stays as it was.
        """
        return set_params(self, params, super().set_params, self._makers)  # type: ignore[misc]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._modules[0])

    def _forget(self) -> None:
        """Drop what an earlier fit learned."""
        for name in self._names_of_learned():
            delattr(self, name)

    def _names_of_learned(self) -> list[str]:
        """Return the names of what a fit has learned."""
        return [
            name
            for name in vars(self)
            if name in ("_image_format", "_store_size")
            or (name.endswith("_") and not name.startswith("_"))
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Move the network to the CPU, so that it loads where there is no GPU."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        copies: dict[int, Any] = {}  # the kept module shares the backbone
        for name in self._modules:
            module = state.get(name)
            if module is not None and any(p.is_cuda for p in module.parameters()):
                state[name] = copy.deepcopy(module, copies).to("cpu")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the network back to the device that was asked for, if it is here."""
        super().__setstate__(state)  # type: ignore[misc]
        if not self.__sklearn_is_fitted__():
            return
        try:
            device = resolve_device(self.device)
        except ValueError:
            device = torch.device("cpu")
        self._move_to_device(device)

    def _move_to_device(self, device: torch.device) -> None:
        self.device_ = str(device)
        for name in self._modules:
            if hasattr(self, name):
                getattr(self, name).to(device)


class BackboneFeaturesMixin(
    ImageNetworkMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
):
    """Transform images to the features of ``backbone_``."""

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Computed in float32 and in eval mode. On CPUs the features of an image are
            the same to the last bit whatever images it comes with; on CUDA they agree
            to the rounding of float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If an image cannot be read, or has another channel count than those that
            the estimator was fitted on.
        """
        check_is_fitted(self)
        return self._encode(X)

    def _encode(self, X: Any) -> np.ndarray:
        source = self._image_source(X, reset=False)
        return self._apply(source, self._features, self._n_features_out)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone_(images)  # (b, n_features)

    @property
    def _n_features_out(self) -> int:
        return self.backbone_.n_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
