"""How estimators take images: input of any kind, learned format, chosen sizes."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from skssl.data import (
    Color,
    ImageFormat,
    ImageSource,
    Resize,
    fold_rows,
    is_table,
    make_source,
    survey_images,
    tensor_to_array,
)

_DEFAULT_SIDE = 224  # px, the size that the published backbones were made for


class ImageInputMixin:
    """Turn X into an image source, and learn the format from the training rows.

    Expects the parameters ``image_size``, ``image_shape``, ``value_range``,
    ``out_of_range``, ``color``, ``resize`` and ``n_jobs``; sets ``image_shape_``,
    ``image_size_``, ``value_range_`` and, for tables, ``n_features_in_``.
    """

    image_size: int | Sequence[int] | None
    image_shape: Sequence[int] | str | None
    value_range: Sequence[float] | str
    out_of_range: str
    color: Color
    resize: Resize
    n_jobs: int | None

    def _image_source(self, X: Any, *, reset: bool) -> ImageSource:
        """Wrap X; in ``fit`` (``reset``) at least two images are needed."""
        if reset:
            self._check_shapes()
        if is_table(X):
            rows = validate_data(
                self,
                tensor_to_array(X) if isinstance(X, torch.Tensor) else X,
                reset=reset,
                ensure_min_samples=2 if reset else 1,
            )
            return make_source(fold_rows(rows, self._fold_shape()))
        source = make_source(X)
        if reset and len(source) < 2:
            raise ValueError(
                "Found 1 sample (image) in X, while at least 2 are required."
            )
        return source

    def _fold_shape(self) -> Sequence[int] | str | None:
        """Return how rows of a 2-D X fold into images."""
        return self.image_shape

    def _check_shapes(self) -> None:
        """Check what scikit-learn's constraints cannot: pairs and their order."""
        low_high = self.value_range
        if not isinstance(low_high, str) and not (
            len(low_high) == 2
            and all(isinstance(end, Real) and math.isfinite(end) for end in low_high)
            and low_high[0] < low_high[1]
        ):
            raise ValueError(
                "value_range must be 'auto' or (low, high), finite numbers with "
                f"low < high, got {low_high!r}."
            )
        for name, lengths in (("image_size", (2,)), ("image_shape", (2, 3))):
            shape = getattr(self, name)
            if not isinstance(shape, Sequence) or isinstance(shape, str):
                continue
            whole = all(isinstance(side, Integral) for side in shape)
            if len(shape) not in lengths or not whole or min(shape) < 1:
                raise ValueError(
                    f"{name} must hold {' or '.join(map(str, lengths))} positive "
                    f"whole numbers, got {shape!r}."
                )

    def _learn_format(self, source: ImageSource, rows: np.ndarray) -> None:
        """Survey the training images and settle size, channels and value range."""
        survey = survey_images(
            source,
            rows,
            color=self.color,
            value_range=self.value_range,
            n_jobs=self.n_jobs,
        )
        learned = isinstance(self.value_range, str)
        self._image_format = ImageFormat(
            n_channels=survey.n_channels,
            value_range=survey.value_range,
            clip={"auto": True if learned else None, "raise": False}.get(
                self.out_of_range, True
            ),
            convert_channels=self.color != "auto",
            resize=self.resize,
        )
        self.value_range_ = survey.value_range
        self.image_shape_ = (*(survey.size or (None, None)), survey.n_channels)
        self.image_size_ = choose_image_size(self.image_size, survey.size)
        self._store_size = choose_store_size(self.image_size_, survey.size)


def choose_image_size(
    image_size: int | Sequence[int] | None, native: tuple[int, int] | None
) -> tuple[int, int]:
    """Return (height, width) for the backbone.

    None keeps the images' own size where all have the same, of at most 224 px a side;
    else it is 224 × 224 (a row of pixels keeps its height of 1).

    Examples
    --------
    >>> choose_image_size(None, (64, 48)), choose_image_size(None, None)
    ((64, 48), (224, 224))
    """
    if isinstance(image_size, Sequence):
        return int(image_size[0]), int(image_size[1])
    if image_size is not None:
        return int(image_size), int(image_size)
    if native is not None and max(native) <= _DEFAULT_SIDE:
        return native
    return (1 if native and native[0] == 1 else _DEFAULT_SIDE), _DEFAULT_SIDE


def choose_store_size(
    image_size: tuple[int, int], native: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the size at which training images are kept: 8/7 of ``image_size``.

    That leaves random crops something to magnify (224 px are cut from 256). Images
    that are all of one smaller size are kept as they are.

    Examples
    --------
    >>> choose_store_size((224, 224), None), choose_store_size((224, 224), (28, 28))
    ((256, 256), (28, 28))
    """
    target = tuple(math.ceil(side * 8 / 7) if side > 1 else 1 for side in image_size)
    if native and native[0] <= target[0] and native[1] <= target[1]:
        return native
    return target  # type: ignore[return-value]


def draw_rows(
    n_images: int, fraction: float, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """Draw a share of the images, or of whole patients; larger shares contain smaller.

    Parameters
    ----------
    n_images : int
    fraction : float
        Share in (0, 1].
    groups : ndarray of shape (n_images,) or None
        If given, whole patients are drawn: the number of them whose images come
        nearest to the share, and at least one.
    seed : int

    Returns
    -------
    ndarray of int, sorted

    Raises
    ------
    ValueError
        If fewer than two images are left.
    """
    if fraction == 1:
        return np.arange(n_images)
    rng = np.random.default_rng(seed)
    n_drawn = round(fraction * n_images)
    if groups is None:
        rows = rng.permutation(n_images)[:n_drawn]
    else:
        _, patient, counts = np.unique(groups, return_inverse=True, return_counts=True)
        order = rng.permutation(len(counts))
        totals = np.concatenate([[0], counts[order].cumsum()])
        n_patients = max(1, int(np.argmin(np.abs(totals - n_drawn))))
        rows = np.flatnonzero(np.isin(patient, order[:n_patients]))
    if len(rows) < 2:
        raise ValueError(
            f"fraction={fraction} of {n_images} images leaves {len(rows)}: at least 2 "
            "are needed for a batch."
        )
    return np.sort(rows)
