"""DICOM files: rescaled values, MONOCHROME1, names without a suffix."""

import numpy as np
import pytest

from skssl.data import read_header, read_image
from skssl.exceptions import ImageReadError

pydicom = pytest.importorskip("pydicom")


def write(path, pixels, *, slope=1, intercept=0, photometric="MONOCHROME2", frames=1):
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_values_become_hounsfield_units(tmp_path):
    stored = np.array([[0, 24], [1024, 2024]], dtype=np.uint16)
    path = write(tmp_path / "a.dcm", stored, slope=2, intercept=-1024)
    np.testing.assert_array_equal(read_image(path), stored * 2.0 - 1024)
    header = read_header(path)
    assert (header.height, header.width, header.n_channels) == (2, 2, 1)
    assert not header.eight_bit


def test_monochrome1_is_inverted(tmp_path):
    stored = np.array([[0, 55], [200, 255]], dtype=np.uint8)
    path = write(tmp_path / "a.dcm", stored, photometric="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), 255 - stored)
    assert read_header(path).eight_bit


def test_signed_monochrome1_is_inverted_within_its_range(tmp_path):
    stored = np.array([[-100, 0], [99, 500]], dtype=np.int16)
    path = write(tmp_path / "a.dcm", stored, photometric="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), -1 - stored.astype(float))


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.55"])
def test_files_without_a_suffix_are_recognised_by_the_preamble(tmp_path, name):
    stored = np.arange(4, dtype=np.int16).reshape(2, 2)
    path = write(tmp_path / name, stored)
    np.testing.assert_array_equal(read_image(path), stored)


def test_several_frames_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((3, 2, 2), np.uint16), frames=3)
    with pytest.raises(ImageReadError, match="3 frames"):
        read_image(path)


def test_damaged_file_is_named(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"x" * 40)
    with pytest.raises(ImageReadError, match=r"a\.dcm"):
        read_image(tmp_path / "a.dcm")


def test_missing_pydicom_is_reported(tmp_path, monkeypatch):
    import sys

    path = write(tmp_path / "a.dcm", np.zeros((2, 2), np.uint16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"skssl\[dicom\]"):
        read_image(path)
