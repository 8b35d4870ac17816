"""Conversion of raw pixel arrays to uint8 channels-first images of one size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Resize = Literal["squash", "crop", "pad"]

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
    value_range : (low, high) or None
        Values of non-uint8 images that become 0 and 255. None if all images are uint8.
    clip : bool or None, default=True
        Handling of values outside ``value_range``. True clips them, False raises an
        error. None clips integers, for which the range is a window on Hounsfield units
        or detector counts, and raises for floats, which are usually scaled differently
        than assumed.
    convert_channels : bool, default=False
        Whether arrays with another number of channels are converted. Files always are.
    resize : {"squash", "crop", "pad"}, default="squash"
        How images with another aspect ratio are resized: by scaling both sides
        independently, by a centre crop of the longer side, or with black borders.
    """

    n_channels: int
    value_range: tuple[float, float] | None = None
    clip: bool | None = True
    convert_channels: bool = False
    resize: Resize = "squash"

    def render(
        self, raw: np.ndarray, size: tuple[int, int], *, convert: bool = False
    ) -> np.ndarray:
        """Convert one raw image.

        Parameters
        ----------
        raw : ndarray of shape (H, W) or (H, W, C)
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
        image = raw[:, :, None] if raw.ndim == 2 else raw  # (H, W, C)
        image = self._to_uint8(image)
        if image.shape[2] != self.n_channels:
            convert = convert or self.convert_channels
            image = _match_channels(image, self.n_channels, convert=convert)
        if image.shape[:2] != size:
            image = _resize(image, size, self.resize)
        return image.transpose(2, 0, 1)  # (C, h, w)

    def _to_uint8(self, image: np.ndarray) -> np.ndarray:
        if image.dtype == np.uint8:
            return image
        if image.dtype == bool:
            return image.astype(np.uint8) * np.uint8(255)
        if self.value_range is None:
            raise ValueError(
                f"it holds {image.dtype} values, but all training images were 8-bit "
                "and no value_range was learned: pass value_range=(low, high)"
            )
        low, high = self.value_range
        minimum, maximum = finite_range(image)
        strict = not self.clip if self.clip is not None else image.dtype.kind == "f"
        if strict and (minimum < low or maximum > high):
            raise ValueError(
                f"its values span {minimum:g} to {maximum:g}, outside "
                f"value_range=({low:g}, {high:g}): pass a wider range, or "
                "out_of_range='clip' to clip values outside it"
            )
        # In float64 and halved, so that a range as wide as the dtype does not overflow.
        half = np.float64(high) / 2 - np.float64(low) / 2
        if half == 0:
            return np.zeros(image.shape, dtype=np.uint8)
        fraction = (np.clip(image.astype(np.float64), low, high) / 2 - low / 2) / half
        return np.rint(255 * fraction).astype(np.uint8)


def finite_range(image: np.ndarray) -> tuple[float, float]:
    """Return the minimum and maximum of an image.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    minimum, maximum = float(image.min()), float(image.max())
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise ValueError("it contains NaN or infinity")
    return minimum, maximum


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
