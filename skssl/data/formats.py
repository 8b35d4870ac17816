"""Raw pixel arrays to uint8 channels-first images of one size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

Resize = Literal["squash", "crop", "pad"]

# ITU-R BT.601 luma, the weights of PIL's and torchvision's gray conversions.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class ImageFormat:
    """How raw images of a set become uint8 tensors: fitted once, used for ever.

    Parameters
    ----------
    n_channels : int
        Channels of the result. Gray is repeated to 3, RGB is weighed to 1 (luma).
    value_range : (low, high) or None
        Values of non-uint8 images that become 0 and 255. None where all are uint8.
    clip : bool or None, default=True
        What to do with values outside ``value_range``: True clips, False is an
        error, None clips integers (a window on Hounsfield units or detector
        counts) and refuses floats (which mostly means another scale).
    convert_channels : bool, default=False
        Whether arrays of another channel count are converted; files always are.
    resize : {"squash", "crop", "pad"}, default="squash"
        How another aspect ratio is met: by scaling both sides, by cutting the
        longer one about the centre, or by black borders.
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
            Repeat gray to 3 channels, or weigh 3 to gray, whatever
            ``convert_channels`` says.

        Returns
        -------
        ndarray of shape (n_channels, height, width), uint8

        Raises
        ------
        ValueError
            If values are NaN, infinite or out of range, or the channel count
            cannot be converted. The caller adds which image it was.
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
                f"it holds {image.dtype} values, while the training images were all "
                "8-bit, so that no value_range is known: give value_range=(low, high)"
            )
        low, high = self.value_range
        least, most = finite_range(image)
        strict = not self.clip if self.clip is not None else image.dtype.kind == "f"
        if strict and (least < low or most > high):
            raise ValueError(
                f"its values span {least:g} to {most:g}, outside "
                f"value_range=({low:g}, {high:g}): widen the range, or pass "
                "out_of_range='clip' to use it as a window"
            )
        # Halves in float64, so that a range as wide as the dtype does not overflow.
        half = np.float64(high) / 2 - np.float64(low) / 2
        if half == 0:
            return np.zeros(image.shape, dtype=np.uint8)
        share = (np.clip(image.astype(np.float64), low, high) / 2 - low / 2) / half
        return np.rint(255 * share).astype(np.uint8)


def finite_range(image: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest value of an image.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    least, most = float(image.min()), float(image.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError("it contains NaN or infinity")
    return least, most


def _match_channels(image: np.ndarray, n_channels: int, convert: bool) -> np.ndarray:
    """Repeat gray or weigh RGB to gray; any other change of channels is an error."""
    have = image.shape[2]
    if convert and (have, n_channels) == (1, 3):
        return image.repeat(3, axis=2)
    if convert and (have, n_channels) == (3, 1):
        return np.rint(image @ LUMA).astype(np.uint8)[:, :, None]
    raise ValueError(
        f"it has {have} channels where {n_channels} are expected (color='gray' or "
        "'rgb' would convert them)"
    )


def _resize(image: np.ndarray, size: tuple[int, int], how: Resize) -> np.ndarray:
    """Scale a uint8 (H, W, C) image to ``size`` with antialiasing."""
    height, width = image.shape[:2]
    target_height, target_width = size
    box = (0.0, 0.0, float(width), float(height))
    inner = size
    if how == "crop":
        scale = min(height / target_height, width / target_width)
        cut_w = (width - scale * target_width) / 2
        cut_h = (height - scale * target_height) / 2
        box = (cut_w, cut_h, width - cut_w, height - cut_h)
    elif how == "pad":
        scale = max(height / target_height, width / target_width)
        inner = (max(1, round(height / scale)), max(1, round(width / scale)))
    scaled = _resample(image, inner, box)
    if inner == size:
        return scaled
    canvas = np.zeros((*size, image.shape[2]), dtype=np.uint8)
    top, left = (target_height - inner[0]) // 2, (target_width - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = scaled
    return canvas


def _resample(
    image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    """Bilinear, antialiased resampling of ``box`` by pillow, all channels."""
    n_channels = image.shape[2]
    if n_channels == 3:
        planes = [Image.fromarray(np.ascontiguousarray(image))]
    else:
        planes = [
            Image.fromarray(np.ascontiguousarray(image[:, :, c]))
            for c in range(n_channels)
        ]
    done = [
        np.asarray(
            plane.resize(
                size[::-1], Image.Resampling.BILINEAR, box=box, reducing_gap=3.0
            )
        )
        for plane in planes
    ]
    return done[0] if n_channels == 3 else np.stack(done, axis=2)
