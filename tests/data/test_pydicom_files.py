"""Each file that pydicom brings along is read as pydicom shows it, or refused."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from skssl.data import list_slices, read_header, read_image
from skssl.exceptions import ImageReadError

pydicom = pytest.importorskip("pydicom")

ROOT = Path(pydicom.__file__).parent / "data" / "test_files"
# Those of the media directory hold no pixels.
FILES = sorted(
    path
    for path in ROOT.rglob("*")
    if path.is_file() and path.suffix in {".dcm", ""} and "TINY_ALPHA" not in path.parts
)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pipeline(path):
    """Return what pydicom's own functions make of the first frame."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    pixels = pixel_array(dataset, index=0)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        return pixels >> (8 * pixels.dtype.itemsize - 8)
    if pixels.ndim == 3:
        return pixels >> max(0, dataset.BitsStored - 8)
    values = apply_modality_lut(pixels, dataset)
    if kind == "MONOCHROME1":
        ends = np.array([0, 2**dataset.BitsStored - 1])
        return apply_modality_lut(ends, dataset).sum() - values
    return values


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_as_pydicom_or_refused(path):
    try:
        expected = pipeline(path)
    except Exception:  # of any type
        with pytest.raises(ImageReadError, match=re.escape(path.name)) as refusal:
            read_image(list_slices(path)[0])
        assert "force" not in str(refusal.value)
        return
    image = list_slices(path)[0]
    header, pixels = read_header(image), read_image(image)
    np.testing.assert_allclose(pixels, expected, rtol=1e-6)
    assert pixels.shape[:2] == (header.height, header.width)
    assert header.eight_bit == (pixels.dtype == np.uint8)
