"""What skssl's estimators have in common: how they read X, transform and pickle."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skssl._cache import encode, image_maps
from skssl._params import set_params
from skssl._results import attributes_of
from skssl._sklearn import Interval, StrOptions
from skssl.data import (
    ArraySource,
    FileSource,
    ImageReader,
    ImageSource,
    check_image_parameters,
    fold_rows,
    is_table,
    make_source,
    tensor_to_array,
)
from skssl.encoder import Encoder, on_cpu
from skssl.engine import resolve_device
from skssl.exceptions import TrainingInterrupted

__all__ = [
    "IMAGE_PARAMETERS",
    "ImageEstimator",
    "learn_reader",
    "read_training_images",
]

#: Constraints of the parameters that all estimators of images have.
IMAGE_PARAMETERS: dict[str, list] = {
    "stem": [StrOptions({"auto", "imagenet", "small", "cifar"})],
    "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
    "image_shape": [tuple, list, StrOptions({"flat"}), None],
    "value_range": [tuple, list, str],
    "out_of_range": [StrOptions({"auto", "raise", "clip"})],
    "color": [StrOptions({"auto", "gray", "rgb"})],
    "resize": [StrOptions({"squash", "crop", "pad"})],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "device": [str, torch.device],
    "callbacks": [list, None],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
}


class ImageEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer of images, by the encoder that its ``fit`` leaves.

    Subclasses have the parameters ``device`` and ``n_jobs``, and ``fit``, which puts
    what a training returns on the estimator, by `_put`.

    Attributes
    ----------
    encoder_ : Encoder
    """

    #: For parameters that may be a name: what makes the object of a name.
    _makers: ClassVar[Mapping[str, Callable[[str], Any]]] = {}
    encoder_: Encoder
    device_: str
    _fitted: tuple[str, ...]
    device: str | torch.device
    n_jobs: int | None
    # Where a subclass has no such parameter:
    cache: Any = None
    transform_precision: str = "float32"

    def set_params(self, **params: Any) -> Self:
        """Set parameters; nested ones of a name make the object of that name.

        Where one is refused, the estimator stays as it was.
        """
        return set_params(self, params, super().set_params, self._makers)

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : paths, arrays, images or rows, n of them
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Computed in eval mode, and in float32 unless ``transform_precision`` says
            otherwise. On CPUs the features of an image are the same to the last bit
            whatever images it comes with; on CUDA they agree to the rounding of
            float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If an image cannot be read, or has another channel count than those that
            the estimator was fitted on.
        """
        source = self._open(X)
        return encode(
            self.encoder_,
            source,
            cache=self.cache,
            n_jobs=self.n_jobs,
            precision=self.transform_precision,
        )

    def _open(self, X: Any) -> ImageSource:
        """Wrap new images; a table must have the columns of the fitted one."""
        check_is_fitted(self)
        if is_table(X):
            X = validate_data(self, _as_rows(X), reset=False)
        return self.encoder_.reader.open(X)

    def _put(self, train: Callable[[], Any], table: Mapping[str, Any]) -> Self:
        """Train, and put the result on the estimator, in place of an earlier one.

        Parameters
        ----------
        train : callable
            Returns a dataclass with an encoder, whose fields become attributes; None
            stands for no attribute. After an error, nothing was changed. After Ctrl-C,
            what was learned until then is kept.
        table : dict
            What scikit-learn notes of a table.
        """
        try:
            result = train()
        except TrainingInterrupted as interrupt:
            self._replace(interrupt.result, table)
            raise
        self._replace(result, table)
        return self

    def _replace(self, result: Any, table: Mapping[str, Any]) -> None:
        """Replace what an earlier fit learned."""
        for name in self.__dict__.pop("_fitted", ()):
            self.__dict__.pop(name, None)
        learned = {**table, **attributes_of(result)}
        self.__dict__.update(learned, _fitted=(*learned, "device_"))
        self._move(resolve_device(self.device))

    def _move(self, device: torch.device) -> None:
        """Move the fitted networks to a device."""
        for name in self._fitted:
            if isinstance(value := getattr(self, name, None), (Encoder, nn.Module)):
                value.to(device)
        self.device_ = str(device)

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.n_features

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Carry networks on the CPU, so that they load where there is no GPU."""
        state = dict(super().__getstate__())
        state.update(on_cpu({name: state[name] for name in state.get("_fitted", ())}))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Move the networks to the device that was asked for, if it is here."""
        super().__setstate__(state)
        if not self.__sklearn_is_fitted__():
            return
        try:
            device = resolve_device(self.device)
        except ValueError:
            device = torch.device("cpu")
        self._move(device)


def read_training_images(
    estimator: Any, X: Any, row_shape: Any
) -> tuple[ImageSource, dict[str, Any]]:
    """Wrap the images that are given to ``fit``, and leave the estimator as it is.

    Parameters
    ----------
    estimator : ImageEstimator
        Its parameters ``image_size``, ``image_shape`` and ``value_range`` are checked.
    X : paths, arrays, images or rows
    row_shape : (H, W), (H, W, C), "flat" or None
        How rows fold into images.

    Returns
    -------
    source : ImageSource
    table : dict
        For a table, ``n_features_in_`` and ``feature_names_in_``, if it has any.

    Raises
    ------
    ValueError
        If there are fewer than two images, or X is not usable.
    """
    check_image_parameters(
        estimator.image_size, estimator.image_shape, estimator.value_range
    )
    if is_table(X):
        # validate_data writes to the estimator that it is given.
        scratch = object.__new__(type(estimator))
        vars(scratch).update(vars(estimator))
        rows = validate_data(scratch, _as_rows(X), reset=True, ensure_min_samples=2)
        noted = {
            name: getattr(scratch, name)
            for name in ("n_features_in_", "feature_names_in_")
            if hasattr(scratch, name)
        }
        return ArraySource(fold_rows(rows, row_shape)), noted
    source = make_source(X, row_shape)
    if isinstance(source, FileSource):
        source.maps = image_maps(_cache_of(estimator))
    if len(source) < 2:
        raise ValueError("Found 1 sample (image) in X, while at least 2 are required.")
    return source, {}


def _cache_of(estimator: Any) -> Any:
    """Return the cache of an estimator, or that of its pretrainer, or None."""
    while estimator is not None:
        if (cache := getattr(estimator, "cache", None)) is not None:
            return cache
        pretrainer = getattr(estimator, "pretrainer", None)
        estimator = getattr(pretrainer, "estimator", pretrainer)  # if it is frozen
    return None


def learn_reader(settings: Any, source: ImageSource, rows: np.ndarray) -> ImageReader:
    """Learn how images are read, with the parameters of an estimator."""
    return ImageReader.learn(
        source,
        rows,
        image_size=settings.image_size,
        row_shape=settings.image_shape,
        value_range=settings.value_range,
        out_of_range=settings.out_of_range,
        color=settings.color,
        resize=settings.resize,
        n_jobs=settings.n_jobs,
    )


def _as_rows(X: Any) -> Any:
    return tensor_to_array(X) if isinstance(X, torch.Tensor) else X
