"""DICOM data sets: recognised, read, and checked before their pixels are decoded."""

import zlib
from os.path import splitext
from pathlib import Path
from typing import Any

from skssl.data.files.pillow import PICTURE_SUFFIXES, check_pixels, open_file
from skssl.exceptions import ImageReadError

__all__ = [
    "check_image",
    "has_preamble",
    "import_pydicom",
    "is_dicom",
    "n_frames",
    "read_dataset",
]

_SUFFIXES = (".dcm", ".dicom", ".ima")
_MAX_BYTES = 2**29  # of a deflated file, once it is inflated
_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")
_SAMPLES = {  # photometric interpretations that can be read
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
_DICOMDIR = "1.2.840.10008.1.3.10"


def is_dicom(path: str | Path) -> bool:
    """Recognise a DICOM file by its suffix or, unless that is a picture's, by content.

    Archives name files by number or UID: "IM0001", "1.2.840.113619.2.55".
    """
    suffix = splitext(path)[1].lower()  # noqa: PTH122
    if suffix in _SUFFIXES or suffix in PICTURE_SUFFIXES:
        return suffix in _SUFFIXES
    return has_preamble(path)


def has_preamble(path: str | Path) -> bool:
    """Return whether a file begins as DICOM files do."""
    with open_file(path) as file:
        return file.read(132)[128:] == b"DICM"


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
        dataset = pydicom.dcmread(path, **options)
    except pydicom.errors.InvalidDicomError as error:
        dataset = pydicom.dcmread(path, force=True, **options)
        if "Rows" not in dataset or "BitsAllocated" not in dataset:
            raise ImageReadError("is not a DICOM file") from error
    if "TransferSyntaxUID" not in dataset.file_meta:
        is_implicit, is_little = dataset.original_encoding
        syntax = pydicom.uid.ImplicitVRLittleEndian
        if not is_implicit:
            syntax = (
                pydicom.uid.ExplicitVRLittleEndian
                if is_little
                else pydicom.uid.ExplicitVRBigEndian
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
    stored = dataset.get("BitsStored")
    if stored is None:  # absent or empty
        stored = dataset.BitsStored = allocated
    if not 1 <= stored <= allocated or allocated not in (1, 8, 16, 32, 64):
        raise ImageReadError(f"has {stored} bits stored in {allocated}")
    if dataset.get("PixelRepresentation", 0) not in (0, 1):
        raise ImageReadError(f"has PixelRepresentation {dataset.PixelRepresentation}")
    n_samples = dataset.get("SamplesPerPixel", 1)
    kind = dataset.get("PhotometricInterpretation")
    if _SAMPLES.get(kind) != n_samples:
        raise ImageReadError(
            f"has {n_samples} samples per pixel of the photometric interpretation "
            f"{kind!r}"
        )
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
