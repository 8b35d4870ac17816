"""Conversion of raw pixel arrays to uint8 channels-first images of one size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from skssl.data.files import RawImage

Resize = Literal["squash", "crop", "pad"]
ValueRange = tuple[float, float] | str | None

_MAX_TABLE = 2**16  # values that are converted by a table

# ITU-R BT.601 luma, the weights of gray conversions in PIL and torchvision.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class ImageFormat:
    """How raw images are converted to uint8, derived from the training images.

    Parameters
    ----------
    n_channels : int
        Number of channels of the result. Gray is repeated to 3 channels, RGB is
        converted to 1 by a weighted sum (luma).
    value_range : (low, high), "image", "bits", "window", "window:K" or None
        Values of non-uint8 images that become 0 and 255: two numbers, or for each image
        its own minimum and maximum, the range of its stored bits, or window K of its
        DICOM file. None if all images are uint8.
    clip : bool or None, default=True
        Handling of values outside ``value_range``. True clips them, False raises an
        error, except for rounding: half a gray level is allowed. None clips DICOM
        files, volumes and integers, for which the range is a window on Hounsfield units
        or detector counts, and raises for other floats, which are usually scaled
        differently than assumed.
    convert_channels : bool, default=False
        Whether arrays with another number of channels are converted. Files always are.
    resize : {"squash", "crop", "pad"}, default="squash"
        How images with another aspect ratio are resized: by scaling both sides
        independently, by a centre crop of the longer side, or with black borders.
    """

    n_channels: int
    value_range: ValueRange = None
    clip: bool | None = True
    convert_channels: bool = False
    resize: Resize = "squash"

    @property
    def window(self) -> int | None:
        """Which window of a DICOM file is applied, counted from 0."""
        if not isinstance(self.value_range, str):
            return None
        kind, _, number = self.value_range.partition(":")
        return int(number or 0) if kind == "window" else None

    def render(
        self,
        raw: np.ndarray | RawImage,
        size: tuple[int, int],
        *,
        convert: bool = False,
    ) -> np.ndarray:
        """Convert one raw image.

        Parameters
        ----------
        raw : ndarray of shape (H, W) or (H, W, C), or RawImage
            Any real dtype.
        size : (height, width)
            Size of the result, pixels.
        convert : bool
            Convert between gray and RGB regardless of ``convert_channels``.

        Returns
        -------
        ndarray of shape (n_channels, height, width), uint8

        Raises
        ------
        ValueError
            If values are NaN, infinite or out of range, or the number of channels
            cannot be converted. The caller adds the name of the image.
        """
        if not isinstance(raw, RawImage):
            raw = RawImage(raw)
        image = self._to_uint8(raw)
        if image.ndim == 2:
            image = image[:, :, None]  # (H, W, C)
        if image.shape[2] != self.n_channels:
            convert = convert or self.convert_channels
            image = _match_channels(image, self.n_channels, convert=convert)
        if image.shape[:2] != size:
            image = _resize(image, size, self.resize)
        return image.transpose(2, 0, 1)  # (C, h, w)

    def _to_uint8(self, raw: RawImage) -> np.ndarray:
        image = raw.pixels
        if image.dtype == bool:
            image = image.astype(np.uint8) * np.uint8(255)
        if image.dtype != np.uint8:
            image = self._scaled(raw)
        if raw.padding is not None:
            image = np.where(raw.padding, np.uint8(0), image)
        return image

    def _scaled(self, raw: RawImage) -> np.ndarray:
        """Return values as fractions of the value range, 0 to 255."""
        low, high = self._range_of(raw)
        # With a table for images of few values, which needs no float copy of them.
        minimum, maximum = finite_range(raw.pixels)
        self._check_range(raw, low, high)
        if raw.pixels.dtype.kind in "ui" and maximum - minimum < _MAX_TABLE:
            first = int(minimum)
            table = _gray_levels(np.arange(first, int(maximum) + 1), low, high)
            index = raw.pixels.astype(np.int64) - first
            return table[index]
        return _gray_levels(raw.pixels, low, high)

    def _range_of(self, raw: RawImage) -> tuple[float, float]:
        """Return the values that become 0 and 255 in this image."""
        if isinstance(self.value_range, tuple):
            return self.value_range
        if self.value_range is None:
            raise ValueError(
                f"it holds {raw.pixels.dtype} values, but all training images were "
                "8-bit and no value_range was learned: pass value_range=(low, high)"
            )
        if self.value_range == "image":
            return raw.extremes()
        if self.window is not None and not raw.is_windowed:
            raise ValueError(
                f"it has no window for value_range={self.value_range!r}, which is for "
                "DICOM files: pass (low, high), 'bits' or 'image'"
            )
        if raw.levels is None:
            raise ValueError(
                f"its values of type {raw.pixels.dtype} do not tell their range: pass "
                "value_range=(low, high) or 'image'"
            )
        return raw.levels

    def _check_range(self, raw: RawImage, low: float, high: float) -> None:
        """Raise ValueError for values out of range, where they are not expected."""
        is_strict = not self.clip
        if self.clip is None:
            is_strict = raw.pixels.dtype.kind == "f" and not raw.is_measured
        if not is_strict:
            return
        minimum, maximum = raw.extremes()
        rounding = (high - low) / 510  # half a gray level
        if minimum < low - rounding or maximum > high + rounding:
            raise ValueError(
                f"its values span {minimum:.10g} to {maximum:.10g}, outside "
                f"value_range=({low:.10g}, {high:.10g}): pass a wider range, or "
                "out_of_range='clip' to clip values outside it"
            )


def _gray_levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 for low, 255 for high, and linearly between them, as uint8."""
    # In float64 and halved, so that a range as wide as the dtype does not overflow.
    half = np.float64(high) / 2 - np.float64(low) / 2
    if half == 0:
        return np.zeros(values.shape, dtype=np.uint8)
    levels = np.empty(values.shape, dtype=np.uint8)
    for part, out in zip(_parts(values), _parts(levels), strict=True):
        clipped = np.clip(part.astype(np.float64), low, high)
        out[...] = np.rint(255 * ((clipped / 2 - low / 2) / half))
    return levels


def _parts(array: np.ndarray) -> list[np.ndarray]:
    """Return views of about a million values each, to limit the memory."""
    return np.array_split(array, max(1, array.size // 2**20))


def finite_range(image: np.ndarray) -> tuple[float, float]:
    """Return the minimum and maximum of an image.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    return RawImage(image).extremes()


def _match_channels(image: np.ndarray, n_channels: int, convert: bool) -> np.ndarray:
    """Convert gray to RGB or RGB to gray; other conversions are an error."""
    found = image.shape[2]
    if convert and (found, n_channels) == (1, 3):
        return image.repeat(3, axis=2)
    if convert and (found, n_channels) == (3, 1):
        return np.rint(image @ LUMA).astype(np.uint8)[:, :, None]
    raise ValueError(
        f"it has {found} channels, but {n_channels} are expected: pass color='gray' or "
        "color='rgb' to convert gray and RGB images"
    )


def _resize(image: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """Scale a uint8 (H, W, C) image to ``size`` with antialiasing."""
    height, width = image.shape[:2]
    target_height, target_width = size
    box = (0.0, 0.0, float(width), float(height))
    scaled_size = size
    if resize == "crop":
        scale = min(height / target_height, width / target_width)
        x = (width - scale * target_width) / 2
        y = (height - scale * target_height) / 2
        box = (x, y, width - x, height - y)
    elif resize == "pad":
        scale = max(height / target_height, width / target_width)
        scaled_size = (max(1, round(height / scale)), max(1, round(width / scale)))
    scaled = _resample(image, scaled_size, box)
    if scaled_size == size:
        return scaled
    canvas = np.zeros((*size, image.shape[2]), dtype=np.uint8)
    h, w = scaled_size
    top, left = (target_height - h) // 2, (target_width - w) // 2
    canvas[top : top + h, left : left + w] = scaled
    return canvas


def _resample(
    image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    """Resample ``box`` of all channels: bilinear and antialiased, by pillow."""
    n_channels = image.shape[2]
    if n_channels == 3:
        planes = [Image.fromarray(np.ascontiguousarray(image))]
    else:
        planes = [
            Image.fromarray(np.ascontiguousarray(image[:, :, c]))
            for c in range(n_channels)
        ]
    resampled = [
        np.asarray(
            plane.resize(
                size[::-1], Image.Resampling.BILINEAR, box=box, reducing_gap=3.0
            )
        )
        for plane in planes
    ]
    return resampled[0] if n_channels == 3 else np.stack(resampled, axis=2)
