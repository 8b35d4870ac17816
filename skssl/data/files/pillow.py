"""Image files that pillow decodes: PNG, JPEG, TIFF and other pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from skssl.data.files.raw import ImageHeader, RawImage
from skssl.exceptions import ImageReadError

__all__ = [
    "check_pixels",
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
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # more than 8 bits
_GRAY_MODES = ("1", "L", "LA", "La", *_WIDE_MODES)
_ORIENTATION = int(ExifTags.Base.Orientation)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF files
_SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height
_PNG_SIGNATURE = 8  # bytes before the first chunk


def read_picture_header(path: str | Path, page: int | None = None) -> ImageHeader:
    """Read size and type of a picture without decoding its pixels.

    Parameters
    ----------
    path : str or Path
    page : int, optional
        Of a file with several pages or frames, which needs it.
    """
    with _opened(path, page) as image:
        width, height = _upright_size(image)
        return ImageHeader(
            height=height,
            width=width,
            n_channels=1 if image.mode in _GRAY_MODES else None,
            eight_bit=image.mode not in _WIDE_MODES,
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
        is_reduced = image.size != size
        tags = image.tag_v2 if image.format == "TIFF" else None  # read before pixels
        levels = _levels(image, tags)
        # pillow turns TIFF files by itself.
        if image.format != "TIFF" and _orientation(image) != 1:
            pixels = pil_to_array(ImageOps.exif_transpose(image))
        else:
            pixels = pil_to_array(image)
        if tags is not None:
            pixels = _as_the_tags_say(pixels, tags)
        return RawImage(pixels, levels=levels, is_reduced=is_reduced)


def n_pages(path: str | Path) -> int:
    """Return the number of pages or frames of a file."""
    with open_file(path) as file:
        return _n_pages(_identify(file))


def is_turned_picture(path: str | Path) -> bool:
    """Return whether a picture's orientation turns or mirrors the stored pixels."""
    with open_file(path) as file:
        return _orientation(_identify(file)) != 1


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
        _check_depth(image, file)
        yield image


def _identify(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise ImageReadError("is not an image in a supported format") from error
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


def _upright_size(image: Any) -> tuple[int, int]:
    """Return width and height as a viewer shows them."""
    # Some versions of pillow have swapped the sides of a TIFF file, others have not.
    is_tiff = image.format == "TIFF"
    size = (image.tag_v2[256], image.tag_v2[257]) if is_tiff else image.size
    return size[::-1] if _orientation(image) in _SWAPPED else size


def _orientation(image: Any) -> int:
    if image.format == "TIFF":
        return int(image.tag_v2.get(_ORIENTATION, 1))
    if image.format == "PNG" and "exif" not in image.info:
        # getexif would decode all pixels to reach an EXIF chunk behind them.
        exif = Image.Exif()
        exif.load(_png_exif(image.fp))
        if not exif:
            exif = Image.Image.getexif(image)  # from text chunks before the pixels
        return int(exif.get(_ORIENTATION, 1))
    return int(image.getexif().get(_ORIENTATION, 1))


def _levels(image: Image.Image, tags: Any) -> tuple[float, float] | None:
    """Return the lowest and highest value that the bits of a wide image can hold."""
    if image.mode not in _WIDE_MODES or image.mode == "F":
        return None
    if tags is not None and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        return 0.0, 2.0 ** tags.get(_BITS_PER_SAMPLE, (1,))[0] - 1
    return (0.0, 65535.0) if image.format == "PNG" else None


def _as_the_tags_say(pixels: np.ndarray, tags: Any) -> np.ndarray:
    """Mend pixels of unsigned TIFF files that pillow takes for other ones."""
    if pixels.dtype == np.uint8 or tags.get(_SAMPLE_FORMAT, (1,))[0] != 1:
        return pixels
    if pixels.dtype == np.int32 and tags.get(_BITS_PER_SAMPLE, (1,))[0] == 32:
        pixels = pixels.view(np.uint32)
    if tags.get(_PHOTOMETRIC, 1) == 0 and pixels.dtype.kind == "u":  # white is 0
        top = 2 ** tags.get(_BITS_PER_SAMPLE, (1,))[0] - 1
        pixels = (top - pixels.astype(np.int64)).astype(pixels.dtype)
    return pixels


def _png_exif(file: Any) -> bytes:
    """Return the EXIF chunk of a PNG file, or nothing, without reading its pixels."""
    position = file.tell()
    file.seek(_PNG_SIGNATURE)
    try:
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"eXIf":
                return b"Exif\0\0" + file.read(length)
            if kind == b"IEND":
                break
            file.seek(length + 4, 1)  # the data and their checksum
        return b""
    finally:
        file.seek(position)


def _check_depth(image: Any, file: IO[bytes]) -> None:
    """Refuse files with more than one channel of 16 bits: pillow keeps 8 of them."""
    bits: tuple[int, ...] = ()
    if image.format == "PNG":
        position = file.tell()
        file.seek(24)  # bit depth and colour type of the header chunk
        depth, kind = file.read(2)
        file.seek(position)
        bits = (depth,) * {2: 3, 4: 2, 6: 4}.get(kind, 1)
    elif image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
    if len(bits) > 1 and max(bits) > 8:
        raise ImageReadError(
            f"holds {len(bits)} channels of {max(bits)} bits, of which pillow reads 8: "
            "convert it to 8 bits, or to gray of 16 bits"
        )


def _blend_with_black(image: Image.Image) -> Image.Image:
    """Blend an RGBA image with black; an opaque one keeps its exact values."""
    if image.getextrema()[3][0] == 255:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")
