"""Image files that pillow decodes: PNG, JPEG, TIFF and other pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from skssl.data.files.picture_facts import (
    WIDE_MODES,
    as_the_tags_say,
    check_depth,
    levels_of,
    orientation_of,
    upright_size,
)
from skssl.data.files.raw import ImageHeader, RawImage
from skssl.exceptions import ImageReadError

__all__ = [
    "PICTURE_SUFFIXES",
    "UnknownFormatError",
    "check_pixels",
    "decode_picture",
    "is_turned_picture",
    "n_pages",
    "open_file",
    "picture_kind",
    "pil_to_array",
    "read_picture",
    "read_picture_header",
]

# Pillow reads more, some of it by starting other programs (PostScript).
_FORMATS = (  # in the order in which they are tried
    "JPEG",
    "PNG",
    "TIFF",
    "BMP",
    "WEBP",
    "GIF",
    "JPEG2000",
    "MPO",  # several JPEG images, of which the first is the picture
    "AVIF",
    "PPM",
    "PCX",
    "TGA",
)
# Files of these are no DICOM files, so their content need not be read to know that.
PICTURE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pcx", ".pgm"),
        *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
    )
)
_GRAY_MODES = ("1", "L", "LA", "La", *WIDE_MODES)


class UnknownFormatError(ImageReadError):
    """A file is no picture; it may be something else."""


def read_picture_header(path: str | Path, page: int | None = None) -> ImageHeader:
    """Read size and type of a picture without decoding its pixels.

    Parameters
    ----------
    path : str or Path
    page : int, optional
        Of a file with several pages or frames, which needs it.
    """
    with _opened(path, page) as image:
        width, height = upright_size(image)
        return ImageHeader(
            height=height,
            width=width,
            n_channels=1 if image.mode in _GRAY_MODES else None,
            eight_bit=image.mode not in WIDE_MODES,
        )


def read_picture(
    path: str | Path, page: int | None = None, min_side: int | None = None
) -> RawImage:
    """Decode a picture to what a viewer shows.

    Parameters
    ----------
    path : str or Path
    page : int, optional
        Of a file with several pages or frames, which needs it.
    min_side : int, optional
        JPEG files may be decoded at a fraction of their size, but not below twice this
        number of pixels.
    """
    with _opened(path, page) as image:
        size = image.size
        if min_side is not None:
            image.draft(None, (2 * min_side, 2 * min_side))
        return replace(decode_picture(image), is_reduced=image.size != size)


def decode_picture(image: Any) -> RawImage:
    """Decode an opened picture to what a viewer shows.

    Parameters
    ----------
    image : PIL.Image.Image
        Also one that was not opened from a file.
    """
    tags = image.tag_v2 if image.format == "TIFF" else None  # read before pixels
    levels = levels_of(image, tags)
    # pillow turns TIFF files by itself.
    if tags is None and orientation_of(image) != 1:
        pixels = pil_to_array(ImageOps.exif_transpose(image))
    else:
        pixels = pil_to_array(image)
    if tags is not None:
        pixels = as_the_tags_say(pixels, tags)
    return RawImage(pixels, levels=levels)


def n_pages(path: str | Path) -> int:
    """Return the number of pages or frames of a file."""
    with open_file(path) as file:
        return _n_pages(_identify(file))


def is_turned_picture(path: str | Path) -> bool:
    """Return whether a picture's orientation turns or mirrors the stored pixels."""
    with open_file(path) as file:
        return orientation_of(_identify(file)) != 1


def picture_kind(path: str | Path) -> tuple[str, str]:
    """Return format and mode of a picture."""
    with open_file(path) as file:
        image = _identify(file)
        return str(image.format), image.mode


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
    if image.mode in WIDE_MODES:
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


def check_pixels(n_pixels: int) -> None:
    """Raise ImageReadError for more pixels than pillow regards as safe."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and n_pixels > limit:
        raise ImageReadError(
            f"has {n_pixels:,} pixels, more than the limit of {limit:,}: make it "
            "smaller or, if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def open_file(path: str | Path) -> IO[bytes]:
    """Open a file for reading bytes, without a Path, which takes as long to make."""
    return open(path, "rb")  # noqa: PTH123


@contextmanager
def _opened(path: str | Path, page: int | None) -> Iterator[Image.Image]:
    """Open a file at a page, after checking its size and depth."""
    # By an open file, since pillow maps some TIFF files by name, and then turns them
    # wrongly.
    with open_file(path) as file, _identify(file) as image:
        n = _n_pages(image)
        if page is None and n > 1:
            raise ImageReadError(
                f"holds {n} {'pages' if image.format == 'TIFF' else 'frames'}: choose "
                "from skssl.data.list_slices(path)"
            )
        if page:
            image.seek(page)
        check_pixels(image.width * image.height)
        check_depth(image)
        yield image


def _identify(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise UnknownFormatError("is not an image in a supported format") from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(f"is too large: {error}") from error


@lru_cache
def _formats() -> list[str]:
    """Return the formats that this pillow was built with."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _n_pages(image: Image.Image) -> int:
    # The further images of an MPO file are previews, or views for stereo glasses.
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _blend_with_black(image: Image.Image) -> Image.Image:
    """Blend an RGBA image with black; an opaque one keeps its exact values."""
    if image.getextrema()[3][0] == 255:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")
