"""ImageReader: how images of a set are read, learned once from the training images."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from skssl.data.formats import ImageFormat, Resize
from skssl.data.inputs import ImageShape, fold_rows, is_table, make_source
from skssl.data.sizes import ImageSize, choose_image_size, choose_store_size
from skssl.data.sources import ArraySource, ImageSource, tensor_to_array
from skssl.data.store import ImageStore, iter_batches
from skssl.data.survey import Color, survey_images

Rows = np.ndarray

_MAX_PIXELS = 2**26  # that the network gets
_RANGE_NAMES = ("auto", "image", "bits", "window")


@dataclass(frozen=True)
class ImageReader:
    """How images of a set become uint8 tensors of one size.

    Make one with `ImageReader.learn`, which surveys the training images.

    Parameters
    ----------
    image_format : ImageFormat
        Channels, range of the values, and what to do with other aspect ratios.
    image_size : (height, width)
        Size of the images that the network gets, pixels.
    store_size : (height, width)
        Size at which training images are kept, pixels: a little larger, so that random
        crops have something to magnify.
    image_shape : (H, W, C)
        Shape of the training images; H and W are None where sizes vary.
    row_shape : (H, W), (H, W, C), "flat" or None
        How the rows of a 2-D X fold into images; see `fold_rows`.

    Examples
    --------
    >>> images = np.zeros((5, 32, 32), dtype=np.uint8)
    >>> reader = ImageReader.learn(make_source(images), np.arange(5), image_size=28)
    >>> reader.image_size, reader.image_shape, reader.image_format.n_channels
    ((28, 28), (32, 32, 1), 1)
    >>> ImageReader.from_config(reader.config()) == reader
    True
    """

    image_format: ImageFormat
    image_size: tuple[int, int]
    store_size: tuple[int, int]
    image_shape: tuple[int | None, int | None, int]
    row_shape: ImageShape = None

    @classmethod
    def learn(
        cls,
        source: ImageSource,
        rows: Rows,
        *,
        image_size: ImageSize = None,
        row_shape: ImageShape = None,
        value_range: Sequence[float] | str = "auto",
        out_of_range: str = "auto",
        color: Color = "auto",
        resize: Resize = "squash",
        n_jobs: int | None = -1,
    ) -> "ImageReader":
        """Survey the training images, and settle size, channels and value range.

        Parameters
        ----------
        source : ImageSource
        rows : ndarray of int
            The training images.
        image_size, row_shape, value_range, out_of_range, color, resize, n_jobs
            As the parameters of `skssl.SelfSupervisedPretrainer`, where ``row_shape``
            is called ``image_shape``.

        Raises
        ------
        ValueError
            If an image cannot be read; the message names its row.
        """
        survey = survey_images(
            source, rows, color=color, value_range=value_range, n_jobs=n_jobs
        )
        is_learned = isinstance(value_range, str)
        clips: dict[str, bool | None] = {
            "auto": True if is_learned else None,
            "raise": False,
            "clip": True,
        }
        chosen = choose_image_size(image_size, survey.size)
        return cls(
            image_format=ImageFormat(
                n_channels=survey.n_channels,
                value_range=survey.value_range,
                clip=clips[out_of_range],
                convert_channels=color != "auto",
                resize=resize,
            ),
            image_size=chosen,
            store_size=choose_store_size(chosen, survey.size),
            image_shape=(*(survey.size or (None, None)), survey.n_channels),
            row_shape=row_shape,
        )

    def for_training_on(
        self,
        source: ImageSource,
        rows: Rows,
        *,
        image_size: ImageSize = None,
        n_jobs: int | None = -1,
    ) -> "ImageReader":
        """Return a reader of this format for further training on other images.

        Parameters
        ----------
        source : ImageSource
        rows : ndarray of int
            The training images.
        image_size : int or (height, width), optional
            Default: the present one.
        n_jobs : int or None

        Raises
        ------
        ValueError
            If an image cannot be read, or if the images need a value range and this
            reader has none, since it was learned from uint8 images.
        """
        known = self.image_format.value_range
        color: Color = "auto"
        if self.image_format.convert_channels:
            color = "gray" if self.image_format.n_channels == 1 else "rgb"
        survey = survey_images(
            source,
            rows,
            color=color,
            value_range="auto" if known is None else known,
            n_jobs=n_jobs,
        )
        if known is None and survey.value_range is not None:
            raise ValueError(
                "the pretrainer was fitted to uint8 images, and these have another "
                "dtype: convert X to uint8 in the same way."
            )
        size = self.image_size
        if image_size is not None:
            size = choose_image_size(image_size, None)
        return replace(
            self,
            image_size=size,
            store_size=choose_store_size(size, survey.size),
            image_shape=(*(survey.size or (None, None)), self.image_shape[2]),
        )

    def open(self, X: Any) -> ImageSource:
        """Wrap images of any kind that `make_source` takes, or rows of a table."""
        if not is_table(X):
            return make_source(X, self.image_shape)
        table = tensor_to_array(X) if isinstance(X, torch.Tensor) else np.asarray(X)
        return ArraySource(fold_rows(table, self.row_shape))

    def store(
        self,
        source: ImageSource,
        rows: Rows,
        *,
        size: tuple[int, int] | None = None,
        groups: np.ndarray | None = None,
        n_jobs: int | None = -1,
    ) -> ImageStore:
        """Decode rows once into memory, at ``store_size`` or another size."""
        return ImageStore.build(
            source,
            rows,
            image_format=self.image_format,
            size=self.store_size if size is None else size,
            groups=groups,
            n_jobs=n_jobs,
        )

    def batches(
        self,
        source: ImageSource,
        batch_size: int,
        *,
        rows: Rows | None = None,
        n_jobs: int | None = -1,
    ) -> Iterator[torch.Tensor]:
        """Yield uint8 batches (b, C, height, width) of all images, or of ``rows``."""
        return iter_batches(
            source,
            image_format=self.image_format,
            size=self.image_size,
            batch_size=batch_size,
            rows=rows,
            n_jobs=n_jobs,
        )

    def config(self) -> dict[str, Any]:
        """Return the reader as a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ImageReader":
        """Make the reader of a `config`, also of one that has been through JSON."""
        image_format = dict(config["image_format"])
        image_format["value_range"] = _as_tuple(image_format["value_range"])
        shapes = {
            name: _as_tuple(value)
            for name, value in config.items()
            if name != "image_format"
        }
        return cls(ImageFormat(**image_format), **shapes)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check_image_parameters(
    image_size: ImageSize, image_shape: ImageShape, value_range: Sequence[float] | str
) -> None:
    """Check pairs and their order, which scikit-learn's constraints cannot.

    Raises
    ------
    ValueError
        If one of the estimators' parameters of these names is not usable.
    """
    if not _is_value_range(value_range):
        raise ValueError(
            "value_range must be 'auto', 'image', 'bits', 'window', 'window:K' with K "
            "from 0, or (low, high), finite numbers with low < high, got "
            f"{value_range!r}."
        )
    shapes = {"image_size": (image_size, (2,)), "image_shape": (image_shape, (2, 3))}
    for name, (shape, lengths) in shapes.items():
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            continue
        are_whole = all(isinstance(side, Integral) for side in shape)
        if len(shape) not in lengths or not are_whole or min(shape) < 1:
            raise ValueError(
                f"{name} must hold {' or '.join(map(str, lengths))} positive "
                f"whole numbers, got {shape!r}."
            )
    sides = image_size if isinstance(image_size, Sequence) else (image_size or 1,) * 2
    if math.prod(sides) > _MAX_PIXELS:
        raise ValueError(
            f"image_size={image_size!r} is too large: an image may have at most "
            f"{_MAX_PIXELS:,} pixels."
        )


def _is_value_range(value: Sequence[float] | str) -> bool:
    if isinstance(value, str):
        kind, _, number = value.partition(":")
        is_number = number.isascii() and number.isdigit()
        return kind == "window" if is_number else value in _RANGE_NAMES
    return (
        len(value) == 2
        and all(isinstance(end, Real) and math.isfinite(end) for end in value)
        and value[0] < value[1]
    )
