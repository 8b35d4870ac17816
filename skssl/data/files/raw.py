"""What is known of an image before and after its pixels are decoded."""

from dataclasses import dataclass

import numpy as np

__all__ = ["ImageHeader", "RawImage"]


@dataclass(frozen=True)
class ImageHeader:
    """Properties of an image that are known before its pixels are decoded.

    Attributes
    ----------
    height, width : int
        Size in pixels, with the orientation that a viewer shows.
    n_channels : int or None
        None if the pixels have to be examined: gray scans are often stored as RGB
        files.
    eight_bit : bool
        Whether the values are 0..255 and need no ``value_range``.
    """

    height: int
    width: int
    n_channels: int | None
    eight_bit: bool


@dataclass(frozen=True)
class RawImage:
    """Decoded pixels, and what their file says about the values.

    Attributes
    ----------
    pixels : ndarray of shape (H, W) or (H, W, C)
        Any real dtype.
    levels : (low, high) or None
        The values of black and white: those that the bits of the file can hold or,
        where a window was applied, its ends. None if neither is known.
    padding : ndarray of shape (H, W), bool, or None
        Pixels that the file declares not to belong to the image.
    is_windowed : bool
        Whether a window of the file was applied.
    is_measured : bool
        Whether values beyond a value range are expected, since the range is a window on
        a measured quantity. It is True for DICOM files and volumes.
    is_reduced : bool
        Whether the file holds more pixels than were decoded.
    """

    pixels: np.ndarray
    levels: tuple[float, float] | None = None
    padding: np.ndarray | None = None
    is_windowed: bool = False
    is_measured: bool = False
    is_reduced: bool = False

    def extremes(self) -> tuple[float, float]:
        """Return the lowest and highest value, without the padding.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        values = self.pixels
        if self.padding is not None and not self.padding.all():
            values = values[~self.padding]
        minimum, maximum = float(values.min()), float(values.max())
        if not (np.isfinite(minimum) and np.isfinite(maximum)):
            raise ValueError("it contains NaN or infinity")
        return minimum, maximum
