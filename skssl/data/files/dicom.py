"""DICOM files, with pydicom: modality values, windows, palettes and frames."""

from pathlib import Path
from typing import Any

import numpy as np

from skssl.data.files.dicom_dataset import check_image, n_frames, read_dataset
from skssl.data.files.modality import (
    is_gray,
    modality_of,
    stored_values,
)
from skssl.data.files.raw import ImageHeader, RawImage
from skssl.data.files.windows import apply_window
from skssl.exceptions import ImageReadError

__all__ = ["n_dicom_frames", "read_dicom", "read_dicom_header"]


def read_dicom_header(path: str | Path, frame: int | None = None) -> ImageHeader:
    """Read size and type of an image without decoding its pixels.

    Parameters
    ----------
    path : str or Path
    frame : int, optional
        Of a file with several frames, which needs it.

    Raises
    ------
    ImportError
        If pydicom is not installed.
    """
    dataset = read_dataset(path, pixels=False)
    frame = _checked_frame(dataset, frame)
    eight_bit = not is_gray(dataset) or modality_of(dataset, frame).eight_bit
    return ImageHeader(
        height=int(dataset.Rows),
        width=int(dataset.Columns),
        n_channels=1 if is_gray(dataset) else None,
        eight_bit=eight_bit,
    )


def read_dicom(
    path: str | Path, frame: int | None = None, window: int | None = None
) -> RawImage:
    """Decode one frame to modality values or, with a window, to what it shows.

    Parameters
    ----------
    path : str or Path
    frame : int, optional
        Of a file with several frames, which needs it.
    window : int, optional
        Apply this one of the file's windows (window centre and width, or VOI LUT),
        counted from 0.

    Raises
    ------
    ImportError
        If pydicom is not installed.
    """
    dataset = read_dataset(path, pixels=True)
    frame = _checked_frame(dataset, frame)
    stored = _pixels(dataset, frame)
    if not is_gray(dataset):
        return RawImage(_eight_bit_colours(stored, dataset), is_measured=True)
    modality = modality_of(dataset, frame)
    values = modality.apply(stored, dataset)
    levels = modality.levels
    if window is not None:
        values, levels = apply_window(values, dataset, frame, window)
        if modality.inverted:
            values = levels[0] + levels[1] - values
    elif modality.inverted:
        values = modality.invert(values)
    return RawImage(
        values,
        levels=levels,
        padding=_padding(stored, dataset),
        is_windowed=window is not None,
        is_measured=True,
    )


def n_dicom_frames(path: str | Path) -> int:
    """Return the number of frames of a file."""
    dataset = read_dataset(path, pixels=False)
    check_image(dataset)
    return n_frames(dataset)


def _checked_frame(dataset: Any, frame: int | None) -> int:
    """Return the frame to read, after checking what the header says of the pixels."""
    check_image(dataset)
    n = n_frames(dataset)
    if frame is None and n > 1:
        raise ImageReadError(
            f"holds {n} frames: choose from skssl.data.list_slices(path)"
        )
    if frame is not None and not 0 <= frame < n:
        raise ImageReadError(f"has no frame {frame}: it holds {n}")
    return frame or 0


def _pixels(dataset: Any, frame: int) -> np.ndarray:
    """Decode the stored values of a frame; YBR and palettes become RGB."""
    from pydicom.pixels import apply_color_lut, pixel_array

    names = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if not any(dataset.get(name) for name in names):
        raise ImageReadError("has no pixel data")
    gray = is_gray(dataset)
    native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    # pydicom drops unused bits, but takes the highest used one to be BitsStored - 1.
    options = {"correct_unused_bits": False} if gray and native else {}
    try:
        pixels = pixel_array(dataset, index=frame, **options)
    except (RuntimeError, NotImplementedError) as error:
        if "missing dependencies" not in str(error):
            raise
        name = dataset.file_meta.TransferSyntaxUID.name
        raise ImageReadError(
            f"is compressed as {name}, which needs another decoder: pip install "
            "'skssl[dicom-codecs]'"
        ) from error
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(pixels, dataset)
    return stored_values(pixels, dataset) if gray and native else pixels


def _eight_bit_colours(pixels: np.ndarray, dataset: Any) -> np.ndarray:
    """Return colours (H, W, 3) in 8 bits, the depth of a screen."""
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        bits = 8 * pixels.dtype.itemsize  # as pydicom returns the entries
    else:
        bits = int(dataset.BitsStored)
    shift = max(0, bits - 8)
    return np.right_shift(pixels, shift).astype(np.uint8)


def _padding(stored: np.ndarray, dataset: Any) -> np.ndarray | None:
    """Return which pixels the file declares as padding, if it has any."""
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "" or isinstance(value, bytes):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # A negative value may have been written as an unsigned one.
    top = np.iinfo(stored.dtype).max if stored.dtype.kind in "ui" else np.inf
    given = (value, value if limit in (None, "") else limit)
    ends = [int(end) - (2 * top + 2 if int(end) > top else 0) for end in given]
    if stored.dtype.kind in "ui":  # without unused bits, as the pixels
        ends = stored_values(np.array(ends).astype(stored.dtype), dataset).tolist()
    ends.sort()
    mask = (stored >= ends[0]) & (stored <= ends[1])
    return mask if mask.any() else None
