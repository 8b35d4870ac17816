"""Image files are decoded to what a viewer shows; errors name the file."""

import numpy as np
import pytest
from PIL import Image

from skssl.data import read_header, read_image
from skssl.exceptions import ImageNotFoundError, ImageReadError


@pytest.fixture
def gray(rng):
    return rng.integers(0, 256, (6, 4), dtype=np.uint8)


def save(tmp_path, image, name="image.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_gray_png(tmp_path, gray):
    path = save(tmp_path, Image.fromarray(gray))
    np.testing.assert_array_equal(read_image(path), gray)
    header = read_header(path)
    assert (header.height, header.width) == (6, 4)
    assert header.n_channels == 1
    assert header.eight_bit


def test_rgb_header_has_no_channel_count(tmp_path, rng):
    rgb = rng.integers(0, 256, (5, 3, 3), dtype=np.uint8)
    path = save(tmp_path, Image.fromarray(rgb))
    np.testing.assert_array_equal(read_image(path), rgb)
    assert read_header(path).n_channels is None


def test_transparent_pixels_are_black(tmp_path):
    rgba = np.full((2, 2, 4), 200, dtype=np.uint8)
    rgba[..., 3] = [[255, 0], [255, 255]]
    path = save(tmp_path, Image.fromarray(rgba))
    expected = np.full((2, 2, 3), 200)
    expected[0, 1] = 0
    np.testing.assert_array_equal(read_image(path), expected)


def test_opaque_rgba_keeps_its_colours(tmp_path, rng):
    rgba = rng.integers(0, 256, (4, 4, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    path = save(tmp_path, Image.fromarray(rgba))
    np.testing.assert_array_equal(read_image(path), rgba[..., :3])


def test_gray_with_alpha_stays_gray(tmp_path):
    image = Image.merge("LA", (Image.new("L", (3, 3), 90), Image.new("L", (3, 3), 255)))
    array = read_image(save(tmp_path, image))
    np.testing.assert_array_equal(array, np.full((3, 3), 90))


def test_palette_is_converted_to_colours(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    array = read_image(save(tmp_path, image))
    np.testing.assert_array_equal(array, np.broadcast_to([10, 20, 30], (4, 4, 3)))


def test_one_bit_is_black_and_white(tmp_path):
    bits = np.array([[True, False], [False, True]])
    array = read_image(save(tmp_path, Image.fromarray(bits)))
    np.testing.assert_array_equal(array, bits * 255)


def test_sixteen_bits_are_kept(tmp_path):
    deep = np.array([[0, 1000], [40000, 65535]], dtype=np.uint16)
    path = save(tmp_path, Image.fromarray(deep))
    np.testing.assert_array_equal(read_image(path), deep)
    assert not read_header(path).eight_bit


def test_float_tiff_is_kept(tmp_path):
    values = np.array([[-1000.5, 0], [1.5, 3000]], dtype=np.float32)
    path = save(tmp_path, Image.fromarray(values), "image.tiff")
    np.testing.assert_array_equal(read_image(path), values)


def test_exif_orientation_is_applied(tmp_path, gray):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees clockwise
    path = save(tmp_path, Image.fromarray(gray), exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(gray, -1))
    header = read_header(path)
    assert (header.height, header.width) == (4, 6)


def test_tiff_of_several_pages_is_refused(tmp_path, gray):
    pages = [Image.fromarray(gray)] * 3
    path = save(
        tmp_path, pages[0], "stack.tiff", save_all=True, append_images=pages[1:]
    )
    for read in (read_header, read_image):
        with pytest.raises(ImageReadError, match="3 pages"):
            read(path)


def test_large_jpeg_is_decoded_at_reduced_size(tmp_path):
    path = save(tmp_path, Image.new("L", (640, 480), 77), "image.jpg")
    small = read_image(path, min_side=50)
    assert small.shape == (120, 160)
    assert read_image(path).shape == (480, 640)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageNotFoundError, match=r"no such file: .*none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.png")


def test_text_file_is_named(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not an image")
    for read in (read_header, read_image):
        with pytest.raises(ImageReadError, match=r"notes\.png.* is not an image"):
            read(path)


def test_truncated_png_is_named(tmp_path, rng):
    noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageReadError, match=r"image\.png.* could not be decoded"):
        read_image(path)
    with pytest.raises(ValueError, match="could not be decoded"):
        read_image(path)


def test_empty_file_and_folder_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    for name in ("empty.png", "."):
        with pytest.raises(ImageReadError):
            read_image(tmp_path / name)
