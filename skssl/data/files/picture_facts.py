"""What pillow does not tell of a picture, or tells wrongly."""

from typing import Any

import numpy as np
from PIL import ExifTags, Image

from skssl.exceptions import ImageReadError

__all__ = [
    "WIDE_MODES",
    "as_the_tags_say",
    "check_depth",
    "levels_of",
    "orientation_of",
    "upright_size",
]

WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # more than 8 bits
_ORIENTATION = int(ExifTags.Base.Orientation)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF files
_SWAPPED = (5, 6, 7, 8)  # orientations that swap width and height
_PNG_SIGNATURE = 8  # bytes before the first chunk
_SIZ_MARKER = b"\xff\x4f\xff\x51"  # begins a JPEG 2000 code stream


def upright_size(image: Any) -> tuple[int, int]:
    """Return width and height as a viewer shows them."""
    # Some versions of pillow have swapped the sides of a TIFF file, others have not.
    is_tiff = image.format == "TIFF"
    size = (image.tag_v2[256], image.tag_v2[257]) if is_tiff else image.size
    return size[::-1] if orientation_of(image) in _SWAPPED else size


def orientation_of(image: Any) -> int:
    """Return the EXIF orientation, 1 to 8, without decoding pixels."""
    if image.format == "TIFF":
        return int(image.tag_v2.get(_ORIENTATION, 1))
    is_unread = getattr(image, "fp", None) is not None and bool(image.tile)
    if image.format == "PNG" and "exif" not in image.info and is_unread:
        # getexif would decode all pixels to reach an EXIF chunk behind them.
        exif = Image.Exif()
        exif.load(_png_exif(image.fp))
        if not exif:
            exif = Image.Image.getexif(image)  # from text chunks before the pixels
        return int(exif.get(_ORIENTATION, 1))
    return int(image.getexif().get(_ORIENTATION, 1))


def levels_of(image: Image.Image, tags: Any) -> tuple[float, float] | None:
    """Return the lowest and highest value that the bits of a wide image can hold."""
    if image.mode not in WIDE_MODES or image.mode == "F":
        return None
    if tags is not None and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        return 0.0, 2.0 ** tags.get(_BITS_PER_SAMPLE, (1,))[0] - 1
    return (0.0, 65535.0) if image.format == "PNG" else None


def as_the_tags_say(pixels: np.ndarray, tags: Any) -> np.ndarray:
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


def check_depth(image: Any) -> None:
    """Refuse depths of which pillow would keep 8 bits, or that it would rescale.

    Parameters
    ----------
    image : PIL.Image.Image
        Its pixels are not loaded yet; otherwise nothing is known, and nothing refused.

    Raises
    ------
    ImageReadError
        The caller adds the name.
    """
    n_channels, bits = _depth(image)
    if n_channels > 1 and bits > 8:
        raise ImageReadError(
            f"holds {n_channels} channels of {bits} bits, of which pillow reads 8: "
            "convert it to 8 bits, or to gray of 16 bits"
        )
    if image.format in ("PPM", "JPEG2000") and bits not in (1, 8, 16):
        raise ImageReadError(
            f"holds values of {bits} bits, which pillow rescales to 16: convert it to "
            "PNG or TIFF"
        )
    is_tiff_of_8_bits = image.format == "TIFF" and bits == 8
    if is_tiff_of_8_bits and image.tag_v2.get(_SAMPLE_FORMAT, (1,))[0] == 2:
        raise ImageReadError(
            "holds signed values of 8 bits, which pillow takes for unsigned ones: "
            "convert it to 16 bits"
        )


def _depth(image: Any) -> tuple[int, int]:
    """Return the number of channels and the bits of each, (1, 8) where unknown."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
        return len(bits), max(bits)
    file = getattr(image, "fp", None)
    if file is None or not getattr(image, "tile", None):
        return 1, 8
    if image.format == "PNG":
        depth, kind = _bytes_at(file, 24, 2)
        return {2: 3, 4: 2, 6: 4}.get(kind, 1), depth
    if image.format == "PPM":
        maximum = image.tile[0].args[-1] if image.mode in ("I", "RGB") else 255
        is_wide = isinstance(maximum, int) and maximum > 255
        return len(image.getbands()), maximum.bit_length() if is_wide else 8
    if image.format == "JPEG2000":
        start = _bytes_at(file, 0, 4096)
        at = start.find(_SIZ_MARKER)
        if at >= 0 and len(start) > at + 43:
            n_channels = int.from_bytes(start[at + 40 : at + 42], "big")
            return n_channels, (start[at + 42] & 0x7F) + 1
    return 1, 8


def _bytes_at(file: Any, start: int, length: int) -> bytes:
    position = file.tell()
    file.seek(start)
    data = file.read(length)
    file.seek(position)
    return data
