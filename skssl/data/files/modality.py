"""What the stored values of a DICOM image mean: the one place that decides it."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

__all__ = [
    "Modality",
    "functional_group",
    "is_gray",
    "modality_of",
    "stored_values",
]

_GRAY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Modality:
    """How stored values become modality values, which are Hounsfield units in CT.

    Attributes
    ----------
    slope, intercept : float
        Of the rescaling; 1 and 0 if there is none.
    table : bool
        Whether a lookup table replaces the rescaling.
    low, high : float or None
        The modality values that the bits can hold; None for floating-point pixels.
    inverted : bool
        Whether low values are bright (MONOCHROME1).
    """

    slope: float
    intercept: float
    table: bool
    low: float | None
    high: float | None
    inverted: bool

    @property
    def levels(self) -> tuple[float, float] | None:
        """The modality values that the bits can hold, in ascending order."""
        if self.low is None or self.high is None:
            return None
        return min(self.low, self.high), max(self.low, self.high)

    @property
    def eight_bit(self) -> bool:
        """Whether the values are those of an ordinary image of 8 bits."""
        return (self.low, self.high, self.slope) == (0, 255, 1)

    def apply(self, stored: np.ndarray, dataset: Any) -> np.ndarray:
        """Return modality values.

        Parameters
        ----------
        stored : ndarray of shape (H, W)
        dataset : pydicom.Dataset
            It holds the lookup table, if there is one.

        Returns
        -------
        ndarray of shape (H, W)
            uint8 for ordinary images of 8 bits; otherwise integers if all values are
            whole numbers, else float32.
        """
        if self.table:
            item = dataset.ModalityLUTSequence[0]
            values = _table(item, dataset)
            first = int(item.LUTDescriptor[1])
            index = np.clip(stored.astype(np.int64) - first, 0, len(values) - 1)
            return values[index].astype(np.uint8 if self.eight_bit else np.uint16)
        if self.eight_bit:
            return stored.astype(np.uint8)
        if stored.dtype == np.uint8:  # of other bits than 8: no gray levels of a screen
            stored = stored.astype(np.uint16)
        if self.slope == 1 and self.intercept == 0:
            return stored
        if stored.dtype.kind in "bui" and _whole(self.slope) and _whole(self.intercept):
            values = stored.astype(np.int64) * int(self.slope) + int(self.intercept)
            return values.astype(self._dtype())
        return (stored * self.slope + self.intercept).astype(np.float32)

    def invert(self, values: np.ndarray) -> np.ndarray:
        """Exchange black and white within the values that the bits can hold."""
        if self.levels is None:
            return -values
        total = self.levels[0] + self.levels[1]
        if values.dtype.kind == "f":
            return (total - values).astype(values.dtype)
        return (int(total) - values.astype(np.int64)).astype(values.dtype)

    def _dtype(self) -> np.dtype:
        """Return the smallest signed dtype that holds all values."""
        low, high = self.levels or (-np.inf, np.inf)
        for dtype in (np.int16, np.int32):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return np.dtype(dtype)
        return np.dtype(np.int64)


def modality_of(dataset: Any, frame: int = 0) -> Modality:
    """Decide what the stored values of a gray image mean.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Its pixels are not used.
    frame : int, default=0
        Of an enhanced multi-frame object, whose frames may be rescaled differently.

    Raises
    ------
    ValueError
        If the rescaling is not a finite number.

    Notes
    -----
    Empty values count as absent. Without a slope it is 1, without an intercept 0.
    """
    rescale = functional_group(dataset, "PixelValueTransformationSequence", frame)
    slope = _number(rescale, dataset, "RescaleSlope", 1.0)
    intercept = _number(rescale, dataset, "RescaleIntercept", 0.0)
    tables = dataset.get("ModalityLUTSequence")
    low: float | None = None
    high: float | None = None
    if tables:
        bits = int(tables[0].LUTDescriptor[2])
        if not 1 <= bits <= 16:
            raise ValueError(f"its modality LUT has entries of {bits} bits")
        low, high = 0.0, 2.0**bits - 1
        slope, intercept = 1.0, 0.0
    elif "BitsStored" in dataset and not _has_float_pixels(dataset):
        low, high = (
            value * slope + intercept
            for value in stored_range(dataset.BitsStored, _is_signed(dataset))
        )
    return Modality(
        slope=slope,
        intercept=intercept,
        table=bool(tables),
        low=low,
        high=high,
        inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def is_gray(dataset: Any) -> bool:
    """Return whether an image is gray, and not of a colour palette."""
    return dataset.get("PhotometricInterpretation") in _GRAY


def stored_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the lowest and highest stored value."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def stored_values(pixels: np.ndarray, dataset: Any) -> np.ndarray:
    """Return pixels without the bits that belong to overlays or to nothing.

    Parameters
    ----------
    pixels : ndarray of integers
        All allocated bits, as in the file.
    """
    if pixels.dtype.kind not in "ui":
        return pixels
    bits, high = int(dataset.BitsStored), int(dataset.get("HighBit") or 0)
    shift = max(0, high + 1 - bits)
    unused = pixels.dtype.itemsize * 8 - bits
    if unused - shift < 0:
        raise ValueError(f"its HighBit {high} lies outside the allocated bits")
    if unused == 0:
        return pixels
    # Shifting right repeats the sign of signed values.
    return np.right_shift(np.left_shift(pixels, unused - shift), unused)


def functional_group(dataset: Any, name: str, frame: int) -> Any:
    """Return an item of the functional groups of a frame, or None.

    A group of the frame itself is preferred to one that all frames share.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    own = [frames[frame]] if frame < len(frames) else []
    for group in (*own, *(dataset.get("SharedFunctionalGroupsSequence") or [])):
        if items := group.get(name):
            return items[0]
    return None


def _table(item: Any, dataset: Any) -> np.ndarray:
    """Return the entries of a lookup table, as many as it declares."""
    n = int(item.LUTDescriptor[0]) or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        # Entries of 8 bits may be packed.
        is_little = dataset.file_meta.TransferSyntaxUID.is_little_endian
        dtype = "u1" if len(data) < 2 * n else "<u2" if is_little else ">u2"
        data = np.frombuffer(data, dtype)
    entries = np.atleast_1d(np.asarray(data))
    if len(entries) < n:
        raise ValueError(f"its modality LUT has {len(entries)} of {n} entries")
    bits = int(item.LUTDescriptor[2])
    if entries[:n].max() >= 2**bits:
        raise ValueError(f"its modality LUT has entries of more than {bits} bits")
    return entries[:n]


def _has_float_pixels(dataset: Any) -> bool:
    return "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset


def _is_signed(dataset: Any) -> bool:
    return dataset.get("PixelRepresentation", 0) == 1


def _number(group: Any, dataset: Any, name: str, default: float) -> float:
    """Return a number of a functional group or of the data set itself."""
    for holder in (group, dataset):
        value = None if holder is None else holder.get(name)
        if value is None or str(value) in ("", "[]"):
            continue
        try:
            number = float(value)
        except TypeError as error:  # of several values
            raise ValueError(f"its {name} is {value}") from error
        if not isfinite(number):
            raise ValueError(f"its {name} is {value}")
        return number
    return default


def _whole(value: float) -> bool:
    return value == int(value)
