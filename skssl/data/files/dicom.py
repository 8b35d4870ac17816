"""DICOM files, with pydicom: modality values, windows, palettes and frames."""

import zlib
from os.path import splitext
from pathlib import Path
from typing import Any

import numpy as np

from skssl.data.files.modality import (
    is_gray,
    modality_of,
    stored_values,
)
from skssl.data.files.pillow import check_pixels, open_file
from skssl.data.files.raw import ImageHeader, RawImage
from skssl.data.files.windows import apply_window
from skssl.exceptions import ImageReadError

__all__ = [
    "check_image",
    "import_pydicom",
    "is_dicom",
    "n_dicom_frames",
    "n_frames",
    "read_dataset",
    "read_dicom",
    "read_dicom_header",
]

_SUFFIXES = (".dcm", ".dicom", ".ima")
_MAX_BYTES = 2**29  # of a deflated file, once it is inflated
_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")
_DICOMDIR = "1.2.840.10008.1.3.10"


def is_dicom(path: str | Path) -> bool:
    """Recognise a DICOM file by its suffix or, without a suffix, by its preamble."""
    suffix = splitext(path)[1].lower()  # noqa: PTH122
    if suffix in _SUFFIXES:
        return True
    # Archives name files by number or UID: "IM0001", "1.2.840.113619.2.55".
    if suffix and not suffix[1:].isdigit():
        return False
    with open_file(path) as file:
        return file.read(132)[128:] == b"DICM"


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
    pixels = _pixels(dataset, frame)
    if not is_gray(dataset):
        return RawImage(_eight_bit_colours(pixels, dataset), is_measured=True)
    stored = pixels
    modality = modality_of(dataset, frame)
    values = modality.apply(stored, dataset)
    levels = modality.levels
    if window is not None:
        values, levels = apply_window(values, dataset, modality, frame, window)
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


def read_dataset(
    path: str | Path, *, pixels: bool, tags: list[str] | None = None
) -> Any:
    """Read a DICOM file; one without a header is read if it describes an image.

    Parameters
    ----------
    path : str or Path
    pixels : bool
        Whether to read beyond the header.
    tags : list of str, optional
        The elements to read. Default: all.

    Raises
    ------
    ImageReadError
        If it is not a DICOM file. The caller adds its name.
    ImportError
        If pydicom is not installed.
    """
    pydicom = import_pydicom()
    _check_inflated_size(path)
    options = {"stop_before_pixels": not pixels, "specific_tags": tags}
    try:
        return pydicom.dcmread(path, **options)
    except pydicom.errors.InvalidDicomError as error:
        dataset = pydicom.dcmread(path, force=True, **options)
        if "Rows" not in dataset or "BitsAllocated" not in dataset:
            raise ImageReadError("is not a DICOM file") from error
        if "TransferSyntaxUID" not in dataset.file_meta:
            is_little, is_implicit = dataset.is_little_endian, dataset.is_implicit_VR
            uid = pydicom.uid
            syntax = uid.ImplicitVRLittleEndian
            if not is_implicit:
                syntax = (
                    uid.ExplicitVRLittleEndian if is_little else uid.ExplicitVRBigEndian
                )
            dataset.file_meta.TransferSyntaxUID = syntax
        return dataset


def import_pydicom() -> Any:
    """Return pydicom; raise ImportError that names the extra."""
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            "reading DICOM files needs pydicom: pip install 'skssl[dicom]'"
        ) from error
    return pydicom


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


def check_image(dataset: Any) -> None:
    """Raise ImageReadError if a header does not describe an image that can be read."""
    kind = dataset.get("SOPClassUID") or dataset.get("file_meta", {}).get(
        "MediaStorageSOPClassUID"
    )
    if kind == _DICOMDIR:
        raise ImageReadError("is a DICOMDIR, the index of a medium, and no image")
    for name in ("Rows", "Columns"):
        if not dataset.get(name):
            what = getattr(kind, "name", None) or "object of unknown kind"
            raise ImageReadError(f"holds no image ({what})")
    allocated = dataset.get("BitsAllocated") or 0
    stored = dataset.get("BitsStored", allocated)
    if not 1 <= stored <= allocated or allocated not in (1, 8, 16, 32, 64):
        raise ImageReadError(f"has {stored} bits stored in {allocated}")
    if dataset.get("PixelRepresentation", 0) not in (0, 1):
        raise ImageReadError(f"has PixelRepresentation {dataset.PixelRepresentation}")
    if dataset.get("SamplesPerPixel", 1) not in (1, 3, 4):
        raise ImageReadError(f"has {dataset.SamplesPerPixel} samples per pixel")
    check_pixels(int(dataset.Rows) * int(dataset.Columns))


def n_frames(dataset: Any) -> int:
    """Return the number of frames of a data set.

    Raises
    ------
    ImageReadError
        If the file is too small to hold them.
    """
    n = max(1, int(dataset.get("NumberOfFrames") or 1))
    path = getattr(dataset, "filename", None)
    if n > 1 and path and n > Path(path).stat().st_size:
        raise ImageReadError(f"declares {n:,} frames, more than it has bytes")
    return n


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
    if pixels.ndim == 2:
        raise ImageReadError(
            f"has the unknown photometric interpretation "
            f"{dataset.PhotometricInterpretation!r}"
        )
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        bits = 8 * pixels.dtype.itemsize  # as pydicom returns the entries
    else:
        bits = int(dataset.BitsStored)
    shift = max(0, bits - 8)
    return np.right_shift(pixels[:, :, :3], shift).astype(np.uint8)


def _padding(stored: np.ndarray, dataset: Any) -> np.ndarray | None:
    """Return which pixels the file declares as padding, if it has any."""
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "" or isinstance(value, bytes):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # A negative value may have been written as an unsigned one.
    top = np.iinfo(stored.dtype).max if stored.dtype.kind in "ui" else np.inf
    ends = sorted(
        int(end) - (2 * top + 2 if int(end) > top else 0)
        for end in (value, value if limit in (None, "") else limit)
    )
    mask = (stored >= ends[0]) & (stored <= ends[1])
    return mask if mask.any() else None


def _check_inflated_size(path: str | Path) -> None:
    """Refuse a deflated file of a few MB that would fill the memory."""
    from pydicom.filereader import read_file_meta_info

    path = Path(path)
    if path.stat().st_size * 1032 < _MAX_BYTES:  # the highest ratio of deflate
        return
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") not in _DEFLATED:
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    n_bytes = 0
    with path.open("rb") as file:
        # Behind the preamble, the length of the header and the header.
        file.seek(132 + 12 + meta.FileMetaInformationGroupLength)
        while chunk := file.read(2**16):
            n_bytes += len(inflate.decompress(chunk))
            if n_bytes > _MAX_BYTES:
                raise ImageReadError(f"inflates to more than {_MAX_BYTES:,} bytes")
