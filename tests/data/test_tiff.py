"""Orientations of pictures: every one, in all formats and modes, and their sizes."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from skssl.data import list_slices, make_source, read_header, read_image
from skssl.exceptions import ImageReadError

# What a viewer does with the stored pixels, by the number of the orientation.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
FORMATS = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff packbits": ("TIFF", {"compression": "packbits"}),
    "jpeg": ("JPEG", {"quality": 100, "subsampling": 0}),
}
MODES = {
    "png": ("L", "RGB", "I;16", "1"),
    "webp": ("RGB",),
    "jpeg": ("L", "RGB"),
}
CASES = [
    (kind, mode)
    for kind in FORMATS
    for mode in MODES.get(kind, ("L", "RGB", "I;16", "F", "1"))
]


def make(mode, rng):
    smooth = np.add.outer(np.arange(24), 3 * np.arange(40)) % 256
    if mode == "RGB":
        return np.stack([smooth, smooth[::-1], 255 - smooth], axis=2).astype(np.uint8)
    if mode == "1":
        return rng.random((24, 40)) > 0.5
    return smooth.astype({"L": np.uint8, "I;16": np.uint16, "F": np.float32}[mode])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("kind", "mode"), CASES, ids=" ".join)
def test_orientation(tmp_path, rng, kind, mode, orientation):
    pixels = make(mode, rng)
    format_, options = FORMATS[kind]
    path = tmp_path / f"image.{format_.lower()}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, format_, exif=exif, **options)
    image = read_image(path)
    stored = pixels * np.uint8(255) if mode == "1" else pixels
    expected = UPRIGHT[orientation](stored)
    assert image.shape == expected.shape
    if format_ == "JPEG":
        assert np.abs(image.astype(int) - expected).mean() < 8
    else:
        np.testing.assert_array_equal(image, expected)
    header = read_header(path)
    assert (header.height, header.width) == expected.shape[:2]
    # A PIL image that somebody opened gives what its file gives.
    with Image.open(path) as opened:
        source = make_source([opened])
        for _ in range(2):  # from the file, and from the loaded image
            np.testing.assert_array_equal(source.read(0), image)


def tiff(pixels, photometric):
    """Return a TIFF file of unsigned or signed integers or floats."""
    data = pixels.tobytes()
    height, width = pixels.shape
    kinds = {"u": 1, "i": 2, "f": 3}
    shorts = {
        256: width,
        257: height,
        258: 8 * pixels.dtype.itemsize,
        259: 1,
        262: photometric,
        277: 1,
        278: height,
        339: kinds[pixels.dtype.kind],
    }
    tags = [(tag, 3, 1, value) for tag, value in shorts.items()]
    tags += [(273, 4, 1, 8), (279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    start = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return start + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("photometric", [0, 1], ids=["white is 0", "black is 0"])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.float32]
)
def test_values_of_tiff_files(tmp_path, dtype, photometric):
    pixels = (np.arange(12).reshape(3, 4) * 20).astype(dtype)
    if dtype == np.uint32:
        pixels[0, 0] = 3_000_000_000
    if dtype == np.int16:
        pixels[0, 0] = -5
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(pixels, photometric))
    is_signed = pixels.dtype.kind != "u"
    if photometric == 0 and dtype in (np.int16, np.int32, np.uint32):
        with pytest.raises(ImageReadError):  # pillow does not know them
            read_image(path)
        return
    image = read_image(path)
    if photometric == 0 and not is_signed:
        pixels = np.iinfo(dtype).max - pixels
    np.testing.assert_array_equal(image, pixels)
    with Image.open(path) as opened:
        raw = make_source([opened]).decode(0)
    np.testing.assert_array_equal(raw.pixels, pixels)
    is_wide = dtype in (np.uint16, np.uint32)
    assert raw.levels == ((0, np.iinfo(dtype).max) if is_wide else None)


def test_an_exif_chunk_behind_the_pixels(tmp_path, rng):
    pixels = rng.integers(0, 256, (6, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    chunk, rest = data[start:end], data[:start] + data[end:]
    iend = rest.index(b"IEND") - 4
    path.write_bytes(rest[:iend] + chunk + rest[iend:])
    header = read_header(path)
    assert (header.height, header.width) == (4, 6)
    np.testing.assert_array_equal(read_image(path), np.rot90(pixels, -1))


def test_pages_and_frames_are_chosen(tmp_path, rng):
    frames = rng.integers(0, 256, (3, 8, 6), dtype=np.uint8)
    for name in ("a.tiff", "a.gif", "a.png", "a.webp"):
        first, *others = map(Image.fromarray, frames)
        options = {"lossless": True} if name == "a.webp" else {}
        first.save(tmp_path / name, save_all=True, append_images=others, **options)
        for read in (read_header, read_image):
            with pytest.raises(ImageReadError, match=rf"{name}.*list_slices"):
                read(tmp_path / name)
        images = [read_image(image) for image in list_slices(tmp_path / name)]
        gray = [image if image.ndim == 2 else image[..., 0] for image in images]
        np.testing.assert_array_equal(gray, frames)


def test_deep_colours_are_refused(tmp_path):
    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    for kind, n_bytes in ((2, 6), (4, 4), (6, 8)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, kind, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(bytes(2 * (1 + 2 * n_bytes))))
        path = tmp_path / f"{kind}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
        with pytest.raises(ImageReadError, match=r"channels of 16 bits.*convert"):
            read_image(path)
        with (
            Image.open(path) as opened,
            pytest.raises(ImageReadError, match=r"X\[0\].*channels of 16 bits"),
        ):
            make_source([opened]).read(0)


@pytest.mark.parametrize(
    ("maximum", "kind", "message"),
    [(4095, b"P5", "12 bits"), (65535, b"P6", "3 channels of 16 bits")],
    ids=["12 bits", "colours"],
)
def test_deep_pnm_files_that_pillow_changes_are_refused(
    tmp_path, maximum, kind, message
):
    values = np.arange(12, dtype=">u2")
    path = tmp_path / "a.ppm"
    path.write_bytes(kind + b" 2 2 %d\n" % maximum + values.tobytes())
    with pytest.raises(ImageReadError, match=message):
        read_image(path)


def test_deep_pgm_files_are_kept(tmp_path):
    values = np.array([[0, 700], [40000, 65535]], dtype=">u2")
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 2 65535\n" + values.tobytes())
    np.testing.assert_array_equal(read_image(path), values)


def test_jpeg_2000(tmp_path, rng):
    for dtype in (np.uint8, np.uint16):
        pixels = rng.integers(0, np.iinfo(dtype).max, (32, 40), dtype=dtype)
        path = tmp_path / "a.jp2"
        Image.fromarray(pixels).save(path)
        np.testing.assert_array_equal(read_image(path), pixels)
    # Of 12 bits by its header, which pillow would shift to 16.
    data = bytearray(path.read_bytes())
    place = data.find(b"\xff\x4f\xff\x51") + 42
    assert data[place] == 15
    data[place] = 11
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match="12 bits"):
        read_image(path)


def test_signed_tiff_files_of_8_bits_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(np.arange(-6, 6, dtype=np.int8).reshape(3, 4), 1))
    with pytest.raises(ImageReadError, match="signed values of 8 bits"):
        read_image(path)
