"""The windows of DICOM files: centre and width, or a lookup table."""

from typing import Any

import numpy as np

from skssl.data.files.modality import functional_group
from skssl.exceptions import ImageReadError

__all__ = ["apply_window"]

_WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")


def apply_window(
    values: np.ndarray, dataset: Any, frame: int, window: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Apply a window of the file to modality values.

    Parameters
    ----------
    values : ndarray of shape (H, W)
    dataset : pydicom.Dataset
    frame : int
        The windows of an enhanced object may differ between frames.
    window : int
        Position in the list of the file's lookup tables or, if it has none, of its
        centres and widths.

    Returns
    -------
    values : ndarray of shape (H, W)
        Between the ends.
    ends : (low, high)
        The values of black and white.

    Raises
    ------
    ImageReadError
        If the file has no such window.
    """
    from pydicom.pixels import apply_voi, apply_windowing

    holder = functional_group(dataset, "FrameVOILUTSequence", frame) or dataset
    tables = holder.get("VOILUTSequence")
    n_windows = (
        len(tables)
        if tables
        else min(_n_values(holder, name) for name in ("WindowCenter", "WindowWidth"))
    )
    if window >= n_windows:
        raise ImageReadError(
            f"has {n_windows or 'no'} {'window' if n_windows == 1 else 'windows'}, but "
            f"value_range asks for number {window}, counted from 0: pass (low, high), "
            "'bits' or 'image'"
        )
    settings = _settings(dataset, holder)
    if tables:
        shown = apply_voi(np.rint(values).astype(np.int64), settings, window)
        return shown, (0.0, 2.0 ** tables[window].LUTDescriptor[2] - 1)
    low, high = apply_windowing(np.array([-1e30, 1e30]), settings, window)
    return apply_windowing(values, settings, window), (float(low), float(high))


def _n_values(holder: Any, name: str) -> int:
    """Return how many values an element has; 0 if it is absent or empty."""
    return holder[name].VM if holder.get(name) not in (None, "") else 0


def _settings(dataset: Any, holder: Any) -> Any:
    """Return a data set with what pydicom needs, free of absent and empty values."""
    from pydicom.dataset import Dataset

    settings = Dataset()
    settings.file_meta = dataset.file_meta
    for name in _WINDOW:
        if holder.get(name) not in (None, ""):
            settings[name] = holder[name]
    settings.PhotometricInterpretation = dataset.PhotometricInterpretation
    # pydicom scales its result to the range of these, with black at 0.
    settings.BitsStored, settings.PixelRepresentation = 16, 0
    return settings
