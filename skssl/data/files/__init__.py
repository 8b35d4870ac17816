"""Image files: their headers and their pixels, whatever their format."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from skssl.data.files.dicom import read_dicom, read_dicom_header
from skssl.data.files.dicom_dataset import has_preamble, is_dicom
from skssl.data.files.digests import digest_file
from skssl.data.files.errors import errors_naming
from skssl.data.files.picture_facts import check_depth
from skssl.data.files.pillow import (
    UnknownFormatError,
    decode_picture,
    is_turned_picture,
    picture_kind,
    pil_to_array,
    read_picture,
    read_picture_header,
)
from skssl.data.files.raw import ImageHeader, RawImage
from skssl.data.files.slices import ImageSlice, list_slices
from skssl.data.files.volumes import (
    is_volume,
    read_volume_slice,
    read_volume_slice_header,
)
from skssl.exceptions import ImageReadError

__all__ = [
    "FileItem",
    "ImageHeader",
    "ImageSlice",
    "RawImage",
    "check_depth",
    "decode_file",
    "decode_picture",
    "digest_file",
    "file_kind",
    "is_turned",
    "list_slices",
    "pil_to_array",
    "read_header",
    "read_image",
]

FileItem = str | Path | ImageSlice
Result = TypeVar("Result")


def read_header(image: FileItem) -> ImageHeader:
    """Read size and type of an image file without decoding its pixels.

    Parameters
    ----------
    image : str, Path or ImageSlice
        A picture (PNG, JPEG, TIFF and others), a DICOM file, or one image of a file
        that holds several.

    Returns
    -------
    ImageHeader

    Raises
    ------
    ImageNotFoundError
        If the file does not exist.
    ImageReadError
        If the file cannot be read as an image, or holds several images and none was
        chosen.
    ImportError
        If the file needs a package that is not installed.
    """
    return _by_kind(
        image,
        volume=read_volume_slice_header,
        dicom=read_dicom_header,
        picture=read_picture_header,
    )


def read_image(
    image: FileItem, *, min_side: int | None = None, window: int | None = None
) -> np.ndarray:
    """Decode an image file.

    Parameters
    ----------
    image : str, Path or ImageSlice
        As in `read_header`.
    min_side : int, optional
        The caller will scale the image to at most this many pixels. JPEG files may
        then be decoded at 1/2, 1/4 or 1/8 of their size, but not below twice
        ``min_side``. This is several times faster.
    window : int, optional
        For DICOM files: apply this one of the file's windows, counted from 0.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, 3)
        uint8 for 8-bit files. Otherwise the stored values (16-bit, 32-bit or float);
        for DICOM files and volumes, the rescaled values (Hounsfield units in CT), as
        integers if all are whole numbers, and else as floats.

    Raises
    ------
    ImageNotFoundError, ImageReadError, ImportError
        As in `read_header`.

    Notes
    -----
    The array is what a viewer shows: palettes are converted to colours, transparent
    pixels are blended with black, the EXIF orientation is applied, and MONOCHROME1 is
    inverted within the range of the stored bits.
    """
    return decode_file(image, min_side=min_side, window=window).pixels


def decode_file(
    image: FileItem, *, min_side: int | None = None, window: int | None = None
) -> RawImage:
    """Decode an image file, and return what it says about the values, too.

    Parameters and errors are those of `read_image`.
    """
    return _by_kind(
        image,
        volume=read_volume_slice,
        dicom=partial(read_dicom, window=window),
        picture=partial(read_picture, min_side=min_side),
    )


def file_kind(image: FileItem) -> tuple[str, str | None]:
    """Return format and mode, such as ("PNG", "L"); DICOM and volumes have no mode."""
    return _by_kind(
        image,
        volume=lambda *_: ("volume", None),
        dicom=lambda *_: ("DICOM", None),
        picture=lambda path, _: picture_kind(path),
    )


def is_turned(image: FileItem) -> bool:
    """Return whether the EXIF orientation of a picture turns or mirrors it."""
    return _by_kind(
        image,
        volume=lambda *_: False,
        dicom=lambda *_: False,
        picture=lambda path, _: is_turned_picture(path),
    )


def _by_kind(
    image: FileItem,
    *,
    volume: Callable[..., Result],
    dicom: Callable[..., Result],
    picture: Callable[..., Result],
) -> Result:
    """Call the function of the kind of a file; its errors name the file."""
    if not isinstance(image, ImageSlice):
        path, index = image, None
    elif image.axis is None:
        path, index = image.path, image.index
    else:
        with errors_naming(image.path, folder=image.series is not None):
            return volume(image.path, image.index, image.axis, image.series)
    with errors_naming(path):
        _refuse_volume(path)
        if is_dicom(path):
            return dicom(path, index)
        try:
            return picture(path, index)
        except UnknownFormatError as error:
            if has_preamble(path):  # a DICOM file with the suffix of a picture
                return dicom(path, index)
            raise ImageReadError(str(error)) from error


def _refuse_volume(path: str | Path) -> None:
    if is_volume(path):
        raise ImageReadError(
            "is a volume: choose slices of it by skssl.data.list_slices(path), or list "
            "them by skssl.datasets.load_volumes(folder)"
        )
