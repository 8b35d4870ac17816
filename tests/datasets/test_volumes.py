"""Slices of volumes are those of the body, whatever the order of the file's axes."""

import os

import numpy as np
import pytest

from skssl.data import (
    ImageFormat,
    ImageStore,
    check_images,
    image_digests,
    list_slices,
    make_source,
    read_header,
)
from skssl.data import read_image as read
from skssl.data.files import volumes as files
from skssl.datasets import MissingPatientWarning, load_luna, load_volumes
from skssl.exceptions import ImageNotFoundError, ImageReadError
from tests.dicom_files import write_dicom

sitk = pytest.importorskip("SimpleITK")

SHAPE = (5, 8, 11)  # from the feet, from the front, from the right


@pytest.fixture
def values(rng):
    """Hounsfield units of a volume, in the standard orientation."""
    return rng.integers(-1024, 3000, SHAPE).astype(np.int16)


def write(path, values, code="LPS"):
    """Write a volume with the axes of the file in another orientation."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.7, 2.5))
    path.parent.mkdir(exist_ok=True, parents=True)
    sitk.WriteImage(sitk.DICOMOrient(image, code), str(path))
    return path


@pytest.mark.parametrize("code", ["LPS", "RAS", "ASL", "PIR", "SLP"])
@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_orientations(tmp_path, values, code, ending):
    path = write(tmp_path / f"a{ending}", values, code)
    expected = {
        "axial": list(values),
        "coronal": [values[::-1, i, :] for i in range(8)],  # the head is at the top
        "sagittal": [values[::-1, :, i] for i in range(11)],
    }
    for axis, slices in expected.items():
        listed = list_slices(path, axis)
        assert len(listed) == len(slices)
        for image, pixels in zip(listed, slices, strict=True):
            np.testing.assert_array_equal(read(image), pixels)
        header = read_header(listed[0])
        assert (header.height, header.width) == slices[0].shape
        assert (header.n_channels, header.eight_bit) == (1, False)


@pytest.mark.parametrize("code", ["LPS", "ASL"])
def test_one_point_in_time_is_a_volume(tmp_path, values, code):
    """Some programs write a fourth axis of one point."""
    image = sitk.DICOMOrient(sitk.GetImageFromArray(values), code)
    sitk.WriteImage(sitk.JoinSeries([image]), str(tmp_path / "a.nii"))
    for z, slice_ in enumerate(list_slices(tmp_path / "a.nii")):
        np.testing.assert_array_equal(read(slice_), values[z])


def test_slices_of_a_folder(tmp_path, values):
    write(tmp_path / "sub-01_ct.nii.gz", values)
    write(tmp_path / "b" / "sub-02_ct.mha", values[:4])
    (tmp_path / "._sub-01_ct.nii.gz").write_bytes(b"of a Mac")
    with pytest.warns(MissingPatientWarning, match="2 volumes .*patient="):
        scans = load_volumes(tmp_path)
    assert len(scans.data) == 9
    assert scans.groups.tolist() == ["sub-01_ct"] * 5 + ["b/sub-02_ct"] * 4
    assert scans.slice_index.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert str(scans.data[6]).endswith("sub-02_ct.mha[axial 1]")
    scans = load_volumes(
        tmp_path, axis="coronal", slices=2, patient=lambda path: path.name[:6]
    )
    assert scans.slice_index.tolist() == [2, 5, 2, 5]
    assert scans.groups.tolist() == ["sub-01"] * 2 + ["sub-02"] * 2
    scans = load_volumes(tmp_path, slices=lambda n: [n - 1], patient=str)
    assert scans.slice_index.tolist() == [4, 3]
    assert set(scans.target.tolist()) == {-1}


def test_empty_slices_are_left_out_on_request(tmp_path, values):
    values[1] = -1024
    write(tmp_path / "a.nii", values)
    scans = load_volumes(tmp_path, drop_empty=True)
    assert scans.slice_index.tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "z"}, "axis must be one of axial, coronal, sagittal, got 'z'"),
        ({"slices": 0}, "slices must be 'all', an int above 0"),
        ({"slices": "some"}, "slices must be 'all'"),
        ({"slices": lambda n: [n]}, r"slices returned \[5\] .* has 5 slices"),
    ],
)
def test_wrong_parameters(tmp_path, values, options, message):
    write(tmp_path / "a.nii", values)
    with pytest.raises(ValueError, match=message):
        load_volumes(tmp_path, **options)


def test_a_volume_is_decoded_once(tmp_path, values, monkeypatch):
    scans = load_volumes(write(tmp_path / "a.nii", values).parent)
    n_decoded = [0]
    execute = sitk.ImageFileReader.Execute

    def counted(self):
        n_decoded[0] += 1
        return execute(self)

    monkeypatch.setattr(sitk.ImageFileReader, "Execute", counted)
    source = make_source(scans.data)
    form = ImageFormat(1, (-1000.0, 400.0))
    for _ in range(2):
        ImageStore.build(source, np.arange(5), image_format=form, size=(8, 8))
    assert n_decoded[0] == 1


def test_a_changed_file_is_decoded_again(tmp_path, values):
    image = list_slices(write(tmp_path / "a.nii", values))[0]
    np.testing.assert_array_equal(read(image), values[0])
    write(tmp_path / "a.nii", values[::-1])
    os.utime(tmp_path / "a.nii", ns=(1, 1))
    np.testing.assert_array_equal(read(image), values[-1])


def test_series_in_one_folder(tmp_path, values):
    hounsfield = {"RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}
    for patient in ("A", "B"):
        for z in range(4):
            write_dicom(
                tmp_path / f"{patient}{z}",
                (values[z] + 1024).astype(np.uint16),
                PatientID=patient,
                SeriesInstanceUID=f"1.2.{ord(patient)}",
                ImagePositionPatient=[0, 0, 5 * z],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                PixelSpacing=[1, 1],
                InstanceNumber=10 - z,
                **hounsfield,
            )
    scans = load_volumes(tmp_path)
    assert scans.groups.tolist() == ["A"] * 4 + ["B"] * 4
    for z in range(4):
        np.testing.assert_array_equal(read(scans.data[z]), values[z])
    report = check_images(scans.data, verbose=0)
    assert len(report.readable) == 8
    digests = image_digests(make_source(scans.data)).tolist()
    assert len(set(digests)) == 8
    coronal = load_volumes(tmp_path, axis="coronal", slices=1)
    np.testing.assert_array_equal(read(coronal.data[0]), values[3::-1, 4])


def test_equal_names_in_two_folders_are_two_patients(tmp_path, values):
    for patient in ("p1", "p2"):
        write(tmp_path / patient / "t1.nii.gz", values)
    with pytest.warns(MissingPatientWarning):
        scans = load_volumes(tmp_path)
    assert set(scans.groups) == {"p1/t1", "p2/t1"}


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_the_content_is_that_of_the_data_files(tmp_path, values, ending):
    """Headers of equal volumes are equal: their digest must be that of the data."""
    paths = [tmp_path / patient / f"ct{ending}" for patient in ("p1", "p2")]
    for path, content in zip(paths, (values, values[::-1]), strict=True):
        path.parent.mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(content), str(path))
    X = [list_slices(path)[0] for path in paths]
    first, second = image_digests(make_source(X)).tolist()
    assert first != second
    np.testing.assert_array_equal(read(X[0]), values[0])
    data = next(path for path in paths[0].parent.iterdir() if path != paths[0])
    stored = data.read_bytes()
    data.write_bytes(bytes(len(stored)) if data.suffix == ".raw" else stored)
    os.utime(data, ns=(1, 1))
    if data.suffix == ".raw":
        assert not read(X[0]).any()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_truncated_nifti_files_are_refused(tmp_path, values, ending):
    path = write(tmp_path / f"a{ending}", values)
    data = path.read_bytes()
    image = list_slices(path)[0]
    read(image)
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(ImageReadError, match=r"a\.nii.* is truncated"):
        read(image)


@pytest.mark.parametrize("slopes", [(1, 5, 7, 3), (1, 0.25, 7.3, 2.5)], ids=str)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_series_have_the_values_of_their_files(tmp_path, rng, slopes, photometric):
    """ITK takes the type of the first slice for all of them."""
    for z, slope in enumerate(slopes):
        write_dicom(
            tmp_path / f"{z}.dcm",
            rng.integers(0, 60_000, (8, 8), dtype=np.uint16),
            photometric=photometric,
            RescaleSlope=slope,
            RescaleIntercept=-1024,
            SeriesInstanceUID="1.2.3",
            PatientID="A",
            ImagePositionPatient=[0, 0, z],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
        )
    scans = load_volumes(tmp_path)
    for z, image in enumerate(scans.data):
        np.testing.assert_allclose(read(image), read(tmp_path / f"{z}.dcm"), rtol=1e-6)


def test_a_series_with_points_in_time_is_refused(tmp_path, values):
    for time in range(2):
        for z in range(3):
            write_dicom(
                tmp_path / f"{time}{z}.dcm",
                values[z].astype(np.uint16),
                SeriesInstanceUID="1.2.3",
                ImagePositionPatient=[0, 0, z],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            )
    with pytest.raises(ImageReadError, match=r"points in time.*load_dicom_folder"):
        load_volumes(tmp_path)


def test_luna_from_the_published_volumes(tmp_path, values, tiny_pretrainer):
    write(tmp_path / "subset0" / "1.3.6.mhd", values)
    write(tmp_path / "subset3" / "1.3.5.mhd", values[:, ::-1])
    scans = load_luna(tmp_path)
    assert scans.groups.tolist() == ["1.3.6"] * 2 + ["1.3.5"] * 2
    assert scans.slice_index.tolist() == [1, 3, 1, 3]
    assert "4 axial slices of 2" in scans.DESCR
    store = ImageStore.build(
        make_source(scans.data),
        np.arange(4),
        image_format=ImageFormat(1, (-1000.0, 400.0)),
        size=SHAPE[1:],
    )
    hu = np.stack([*values[[1, 3]], *values[[1, 3], ::-1]]).astype(float)
    levels = np.rint(255 * (np.clip(hu, -1000, 400) + 1000) / 1400).astype(np.uint8)
    np.testing.assert_array_equal(store.images[:, 0].numpy(), levels)
    ssl = tiny_pretrainer.set_params(value_range=(-1000, 400))
    features = ssl.fit(scans.data, groups=scans.groups).transform(scans.data)
    np.testing.assert_array_equal(features, ssl.transform(scans.data))
    assert features.shape == (4, 16)


def test_errors_name_the_file(tmp_path, values):
    (tmp_path / "a.nii").write_bytes(b"no volume")
    with pytest.raises(ImageReadError, match=r"a\.nii' is no volume"):
        load_volumes(tmp_path)
    path = write(tmp_path / "b.nii", values)
    with pytest.raises(ImageReadError, match=r"X\[0\].*b\.nii' is a volume.*load_vol"):
        make_source([path]).read(0)
    first = list_slices(path)[0]
    path.unlink()
    with pytest.raises(ImageNotFoundError, match=r"X\[0\]: no such file.*b\.nii"):
        make_source([first]).read(0)
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "c.nii"))
    with pytest.raises(ImageReadError, match=r"c\.nii' holds 5 × 4 × 3 × 2 points"):
        list_slices(tmp_path / "c.nii")


def test_impossible_sizes_are_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "a.nrrd").write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 10 10 99999999\n"
        "space: left-posterior-superior\nencoding: raw\nendian: little\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n0"
    )
    with pytest.raises(ImageReadError, match=r"a\.nrrd' holds 9,999,999,900 voxels"):
        list_slices(tmp_path / "a.nrrd")


def test_images_of_the_libraries_are_refused(values, tiny_pretrainer):
    with pytest.raises(TypeError, match=r"image of SimpleITK.*list_slices"):
        tiny_pretrainer.fit(sitk.GetImageFromArray(values))
    with pytest.raises(TypeError, match=r"X\[0\] is an image of SimpleITK"):
        tiny_pretrainer.fit([sitk.GetImageFromArray(values)] * 2)


def test_missing_simpleitk_names_the_extra(tmp_path, values, monkeypatch):
    import sys

    path = write(tmp_path / "a.nii", values)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    files._info.cache_clear()
    with pytest.raises(ImportError, match=r"skssl\[volumes\]"):
        list_slices(path)


def test_a_folder_without_volumes_is_named(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(FileNotFoundError, match=r"no volumes.*found 'a\.png'"):
        load_volumes(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no volumes.*found 'a\.png'"):
        load_luna(tmp_path)
