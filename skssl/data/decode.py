"""Decoding of image files: DICOM, and all formats that pillow reads."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from skssl.exceptions import ImageNotFoundError, ImageReadError

_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # more than 8 bits
_GRAY_MODES = ("1", "L", "LA", "La", *_WIDE_MODES)
_EXIF_ORIENTATION = 0x0112
_EXIF_TRANSPOSED = (5, 6, 7, 8)  # orientations that swap width and height
_CLOCK_TICK_NS = 2 * 10**9  # two changes within a tick may have the same time
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


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


def read_header(path: str | Path) -> ImageHeader:
    """Read size and type of an image file without decoding its pixels.

    Parameters
    ----------
    path : str or Path
        An image file or, with pydicom installed, a DICOM file.

    Returns
    -------
    ImageHeader

    Raises
    ------
    ImageNotFoundError
        If the file does not exist.
    ImageReadError
        If the file cannot be read as an image.
    ImportError
        If it is a DICOM file and pydicom is not installed.
    """
    with _errors_naming(path):
        if _is_dicom(path):
            dataset = _pydicom().dcmread(path, stop_before_pixels=True)
            return ImageHeader(
                height=dataset.Rows,
                width=dataset.Columns,
                n_channels=1 if dataset.get("SamplesPerPixel", 1) == 1 else None,
                eight_bit=_dicom_is_eight_bit(dataset),
            )
        with Image.open(path) as image:
            _check_single_page(path, image)
            size = image.size
            if image.getexif().get(_EXIF_ORIENTATION, 1) in _EXIF_TRANSPOSED:
                size = size[::-1]
            return ImageHeader(
                height=size[1],
                width=size[0],
                n_channels=1 if image.mode in _GRAY_MODES else None,
                eight_bit=image.mode not in _WIDE_MODES,
            )


def read_image(path: str | Path, *, min_side: int | None = None) -> np.ndarray:
    """Decode an image file.

    Parameters
    ----------
    path : str or Path
        An image file or, with pydicom installed, a DICOM file.
    min_side : int, optional
        The caller will scale the image to at most this many pixels. JPEG files may
        then be decoded at 1/2, 1/4 or 1/8 of their size, but not below twice
        ``min_side``. This is several times faster.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3)
        uint8 for 8-bit files. Otherwise the stored values (16-bit, 32-bit or float);
        for DICOM, the rescaled values (Hounsfield units in CT) as float32.

    Raises
    ------
    ImageNotFoundError, ImageReadError, ImportError
        As in `read_header`.

    Notes
    -----
    The array is what a viewer shows: palettes are converted to colours, transparent
    pixels are blended with black, and the EXIF orientation is applied.
    """
    with _errors_naming(path):
        if _is_dicom(path):
            return _read_dicom(path)
        with Image.open(path) as image:
            _check_single_page(path, image)
            if min_side is not None:
                image.draft(None, (2 * min_side, 2 * min_side))
            return pil_to_array(ImageOps.exif_transpose(image))


def digest_file(path: str | Path) -> bytes:
    """Return the SHA-256 digest of a file, which is cached until the file changes.

    Raises
    ------
    ImageNotFoundError, ImageReadError
        If the file cannot be read.
    """
    with _errors_naming(path):
        stat = Path(path).stat()
        version = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if time.time_ns() - stat.st_mtime_ns < _CLOCK_TICK_NS:
            return _digest_version.__wrapped__(str(path), version)
        return _digest_version(str(path), version)


@lru_cache(maxsize=1_000_000)
def _digest_version(path: str, version: tuple[int, ...]) -> bytes:  # noqa: ARG001
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def pil_to_array(image: Image.Image) -> np.ndarray:
    """Convert a PIL image of any mode to an array.

    Parameters
    ----------
    image : PIL.Image.Image
        Any mode: 1-bit, gray, palette, RGB(A), CMYK, 16-bit, 32-bit, float.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3)
        uint8, unless the mode has more than 8 bits.

    Examples
    --------
    >>> from PIL import Image
    >>> pil_to_array(Image.new("1", (4, 2), 1)).max()
    np.uint8(255)
    """
    if image.mode in _WIDE_MODES:
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "La":  # premultiplied alpha: blended with black already
        return np.asarray(image.getchannel(0))
    if image.has_transparency_data:
        gray = image.mode in _GRAY_MODES
        image = _blend_with_black(image.convert("RGBA"))
        return np.asarray(image.convert("L") if gray else image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image)


def _check_single_page(path: str | Path, image: Image.Image) -> None:
    """Refuse a TIFF file with several pages, of which only the first would be read."""
    n_pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if n_pages > 1:
        raise ImageReadError(
            f"{str(path)!r} holds {n_pages} pages: pass each page as a file or "
            "an array of its own"
        )


def _blend_with_black(image: Image.Image) -> Image.Image:
    """Blend an RGBA image with black; an opaque one keeps its exact values."""
    if image.getextrema()[3][0] == 255:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


@contextmanager
def _errors_naming(path: str | Path) -> Iterator[None]:
    """Convert all errors of decoders to errors that name the file."""
    try:
        yield
    except (ImageReadError, ImportError):
        raise
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"no such file: {str(path)!r}") from error
    except UnidentifiedImageError as error:
        raise ImageReadError(
            f"{str(path)!r} is not an image that pillow can read"
        ) from error
    # Decoders raise errors of nearly any type for damaged files, even SyntaxError.
    except Exception as error:
        raise ImageReadError(f"{str(path)!r} could not be decoded: {error}") from error


def _is_dicom(path: str | Path) -> bool:
    """Recognise a DICOM file by its suffix or, without a suffix, by its preamble."""
    suffix = Path(path).suffix.lower()
    if suffix in _DICOM_SUFFIXES:
        return True
    # Archives name files by number or UID: "IM0001", "1.2.840.113619.2.55".
    if suffix and not suffix[1:].isdigit():
        return False
    with Path(path).open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            "reading DICOM files needs pydicom: pip install 'skssl[dicom]'"
        ) from error
    return pydicom


def _dicom_is_eight_bit(dataset: Any) -> bool:
    return (
        dataset.BitsAllocated == 8
        and dataset.get("PixelRepresentation", 0) == 0
        and float(dataset.get("RescaleSlope", 1)) == 1
        and float(dataset.get("RescaleIntercept", 0)) == 0
    )


def _read_dicom(path: str | Path) -> np.ndarray:
    """Decode one DICOM frame, and convert it to modality values (HU in CT)."""
    _pydicom()
    from pydicom import dcmread
    from pydicom.pixels import apply_rescale, pixel_array

    dataset = dcmread(path)
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        raise ImageReadError(
            f"{str(path)!r} holds {dataset.NumberOfFrames} frames: pass each frame as "
            "a file or an array of its own"
        )
    pixels = pixel_array(dataset)  # (H, W) or (H, W, 3), YBR converted to RGB
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        # Low values are bright in this mode: invert them within the stored bits.
        signed = dataset.get("PixelRepresentation", 0) == 1
        top = -1 if signed else 2 ** int(dataset.BitsStored) - 1
        pixels = (top - pixels.astype(np.int64)).astype(pixels.dtype)
    if _dicom_is_eight_bit(dataset):
        return pixels.astype(np.uint8, copy=False)
    return apply_rescale(pixels, dataset).astype(np.float32)
