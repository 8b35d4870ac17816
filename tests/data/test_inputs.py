"""What is no sequence of images is refused, and the message says what to pass."""

import collections
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from skssl.data import is_table, list_slices, make_source
from skssl.exceptions import ImageReadError

IMAGES = np.zeros((6, 8, 8), np.uint8)


class Endless(torch.utils.data.Dataset):
    """A dataset that never raises IndexError, as many that augment."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        raise AssertionError("it must not be read")


@pytest.fixture
def paths(tmp_path):
    names = [tmp_path / "class" / f"{i}.png" for i in range(3)]
    for name in names:
        name.parent.mkdir(exist_ok=True)
        Image.fromarray(IMAGES[0]).save(name)
    return names


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda paths: Endless(), r"torch Dataset \(Endless\).*images"),
        (lambda paths: ImageFolder(paths[0].parents[1]), r"X\.samples.*X\.targets"),
        (lambda paths: [(image, 0) for image in IMAGES], "pair"),
        (lambda paths: [(path, 0) for path in paths], "pair"),
        (lambda paths: paths[0].parent.glob("*.png"), r"iterator.*list\(X\)"),
        (lambda paths: (image for image in IMAGES), r"iterator.*list\(X\)"),
        (lambda paths: torch.utils.data.DataLoader(Endless()), "DataLoader"),
        (lambda paths: {"a": 1}, "dict"),
        (lambda paths: b"PNG", "bytes"),
        (lambda paths: io.BytesIO(), "BytesIO"),
        (lambda paths: [path.read_bytes() for path in paths], r"X\[0\].*bytes"),
        (lambda paths: [io.BytesIO(p.read_bytes()) for p in paths], r"X\[0\].*BytesIO"),
        (
            lambda paths: pd.DataFrame({"path": map(str, paths), "y": 0}),
            r"2 columns, and column 'path' holds text.*X\['path'\]",
        ),
    ],
    ids=[
        "Dataset",
        "ImageFolder",
        "pairs",
        "pairs of paths",
        "glob",
        "generator",
        "DataLoader",
        "dict",
        "bytes",
        "BytesIO",
        "list of bytes",
        "list of BytesIO",
        "frame",
    ],
)
def test_what_to_pass_instead(tiny_ssl, paths, make, message):
    with pytest.raises(TypeError, match=message):
        tiny_ssl().fit(make(paths))


@pytest.mark.parametrize("shape", [(6, 28, 28, 28), (4, 40, 64, 64), (4, 3, 64, 64)])
def test_many_channels_are_refused(tiny_ssl, shape):
    X = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match=r"channels"):
        tiny_ssl().fit(X)
    with pytest.raises(ValueError, match=r"X\[0\].*channels"):
        tiny_ssl().fit(list(X))
    if shape[1] > 4:
        with pytest.raises(ValueError, match=r"channels"):
            tiny_ssl().fit(torch.from_numpy(X))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_lists_of_channels_first_arrays_are_refused(tiny_ssl, n_channels):
    X = [np.zeros((n_channels, 64, 64), np.uint8)] * 4
    with pytest.raises(ValueError, match=r"64 channels.*transpose\(1, 2, 0\)"):
        tiny_ssl().fit(X)


def test_channels_that_are_asked_for(tiny_ssl, rng):
    X = rng.integers(0, 256, (4, 16, 16, 7), dtype=np.uint8)
    ssl = tiny_ssl(image_shape=(16, 16, 7)).fit(X)
    assert ssl.image_shape_ == (16, 16, 7)
    np.testing.assert_array_equal(ssl.transform(X), ssl.transform(list(X)))


def test_masked_arrays(tiny_ssl, rng):
    X = rng.integers(0, 256, (4, 16, 16), dtype=np.uint8)
    free = np.ma.masked_array(X, mask=False)
    np.testing.assert_array_equal(
        tiny_ssl().fit_transform(free), tiny_ssl().fit_transform(X)
    )
    masked = np.ma.masked_array(X, mask=X > 200)
    with pytest.raises(ValueError, match=r"X has masked values.*filled"):
        tiny_ssl().fit(masked)
    with pytest.raises(ValueError, match=r"X\[0\] has masked values"):
        tiny_ssl().fit(list(masked))


def test_arrays_of_other_libraries(tiny_ssl):
    """xarray, dask and others: objects with ``__array__`` and ``ndim``."""

    class Array:
        ndim, shape = 3, IMAGES.shape

        def __array__(self, dtype=None, copy=None):
            return IMAGES

        def __len__(self):
            return len(IMAGES)

    assert not is_table(Array())
    assert tiny_ssl().fit_transform(Array()).shape == (6, 16)


def test_columns_of_polars_and_pyarrow(paths):
    names = [str(path) for path in paths]
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"path": names, "y": [0, 1, 0]})
    assert make_source(frame["path"]).items == names
    assert make_source(frame[["path"]]).items == names
    with pytest.raises(TypeError, match="column 'path' holds text"):
        is_table(frame)
    pyarrow = pytest.importorskip("pyarrow")
    assert make_source(pyarrow.array(names)).items == names
    assert make_source(pyarrow.chunked_array([names])).items == names
    table = pyarrow.table({"path": names, "y": [0, 1, 0]})
    assert make_source(table.select(["path"])).items == names
    for bad in (table, frame):
        with pytest.raises(TypeError, match=r"column 'path' holds text.*X\['path'\]"):
            is_table(bad)
    with pytest.raises(TypeError, match=r"X\.collect\(\)"):
        is_table(frame.lazy())


def test_columns_of_xarray(paths):
    xarray = pytest.importorskip("xarray")
    names = [str(path) for path in paths]
    assert make_source(xarray.DataArray(names)).items == names


@pytest.mark.parametrize(
    "wrap", [collections.deque, lambda p: dict(enumerate(p)).values()]
)
def test_other_collections_are_refused(paths, wrap):
    with pytest.raises(TypeError, match=r"pass list\(X\)"):
        is_table(wrap(paths))


def test_a_missing_first_path_is_named(paths):
    X = [None, *paths]
    assert not is_table(X)
    with pytest.raises(TypeError, match=r"X\[0\] is of type None.*X\[1\].*Path"):
        make_source(X)


def test_tensors_without_values_are_refused(tiny_ssl):
    with pytest.raises(ValueError, match="meta"):
        tiny_ssl().fit(torch.zeros(4, 1, 8, 8, device="meta"))


def test_pil_images_are_named_by_row(tiny_ssl, paths, rng):
    closed = Image.open(paths[0])
    closed.close()
    noise = io.BytesIO()
    pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(noise, "PNG")
    cut = Image.open(io.BytesIO(noise.getvalue()[:300]))
    for bad in (closed, cut):
        with pytest.raises(ImageReadError, match=r"X\[1\] is a PIL image"):
            tiny_ssl().fit([Image.fromarray(IMAGES[0]), bad])


def test_rounding_beyond_the_range_is_taken(tiny_ssl, rng):
    X = rng.random((6, 16, 16)).astype(np.float32)
    ssl = tiny_ssl(value_range=(0, 1)).fit(X)
    new = X[:2].copy()
    new[0, 0, 0] = np.nextafter(np.float32(1), np.float32(2))
    np.testing.assert_array_equal(ssl.transform(new), ssl.transform(new.clip(0, 1)))
    new[0, 0, 0] = 1 + 1 / 255
    with pytest.raises(ValueError, match=r"X\[0\]: its values span .* to 1\.00392"):
        ssl.transform(new)


def test_other_programs_are_not_started(tmp_path, monkeypatch):
    """Pillow would hand PostScript to Ghostscript, whatever the name of the file."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "must-not-run")
    path = tmp_path / "scan.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EOF\n")
    with pytest.raises(ImageReadError, match=r"scan\.png.*supported format"):
        make_source([path]).read(0)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("L", (100, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.raises(ImageReadError, match=r"X\[0\].*10,000 pixels.*limit of 9,000"):
        make_source([path]).header(0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert make_source([path]).read(0).shape == (100, 100)


def test_a_named_pipe_does_not_hang(tmp_path):
    import os

    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(ImageReadError, match="no regular file"):
        make_source([tmp_path / "p.png"]).header(0)


def test_each_picture_is_decoded_once_in_a_fit(tmp_path, tiny_ssl, monkeypatch, rng):
    from PIL import ImageFile

    n_decoded = [0]
    load = ImageFile.ImageFile.load

    def counted(self):
        n_decoded[0] += bool(self.tile)
        return load(self)

    paths = [tmp_path / f"{i}.png" for i in range(8)]
    for kind in (np.uint8, np.uint16):
        for path in paths:
            pixels = rng.integers(0, 256, (16, 16), dtype=kind)
            image = Image.fromarray(pixels)
            (image.convert("RGB") if kind == np.uint8 else image).save(path)
        n_decoded[0] = 0
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile.ImageFile, "load", counted)
            tiny_ssl(max_epochs=1, n_jobs=1).fit(paths)
        assert n_decoded[0] == 8


def test_entries_of_a_folder_are_paths(paths):
    import os

    entries = sorted(os.scandir(paths[0].parent), key=lambda entry: entry.name)
    assert make_source(entries).items == [str(path) for path in paths]


def test_slices_have_their_own_digest(tmp_path):
    from skssl.data import image_digests

    pages = [Image.new("L", (4, 4), gray) for gray in (0, 50, 100)]
    path = tmp_path / "a.tiff"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    digests = image_digests(make_source(list_slices(path)))
    assert len(set(digests.tolist())) == 3
    assert str(make_source(list_slices(path)).describe(2)).endswith("a.tiff[2]')")
    assert make_source(list_slices(path)).path(1) == str(Path(path))
