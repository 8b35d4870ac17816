"""Folders of DICOM files: sorted, grouped, and with a word on what was left out."""

import numpy as np
import pytest

from skssl.data import ImageSlice, read_image
from skssl.datasets import (
    DicomFolderWarning,
    MissingPatientWarning,
    load_dicom_folder,
)
from tests.dicom_files import write_dicom

pydicom = pytest.importorskip("pydicom")

PIXELS = np.arange(16, dtype=np.uint16).reshape(4, 4)
AXIAL = [1, 0, 0, 0, 1, 0]


def write_series(folder, name, patient, positions, **tags):
    """Write one series, in an order that is not that of its positions."""
    folder.mkdir(exist_ok=True, parents=True)
    tags = {"PatientID": patient, "Modality": "CT", **tags}
    tags.setdefault("StudyInstanceUID", f"1.{name}")
    paths = []
    for number, z in enumerate(positions):
        paths.append(folder / f"{name}{number:02}")
        write_dicom(
            paths[-1],
            PIXELS + number,
            SeriesInstanceUID=f"2.{name}",
            InstanceNumber=number + 1,
            ImagePositionPatient=[0, 0, z],
            ImageOrientationPatient=AXIAL,
            **tags,
        )
    return paths


@pytest.fixture
def study(tmp_path):
    write_series(tmp_path / "x", "9", "B", [3.0, 1.0, 2.0], PatientAge="045Y")
    write_series(tmp_path, "5", "A ", [0.0, 5.0], PatientAge="006M", PatientSex="F")
    return tmp_path


def test_order_patients_and_columns(study):
    scans = load_dicom_folder(study)
    assert [path.rsplit("/", 1)[1] for path in scans.data] == [
        "500",
        "501",
        "901",
        "902",
        "900",
    ]
    assert scans.groups.tolist() == ["A", "A", "B", "B", "B"]
    assert scans.position.tolist() == [0, 5, 1, 2, 3]
    assert scans.age.tolist() == [0.5, 0.5, 45, 45, 45]
    assert scans.sex.tolist() == ["F", "F", "", "", ""]
    assert scans.series.tolist() == ["2.5"] * 2 + ["2.9"] * 3
    assert set(scans.kind) == {"CT Image Storage"}
    assert set(scans.target.tolist()) == {-1}
    assert "5 images in 5 files: 2 patients, 2 studies, 2 series of 2 to 3" in (
        scans.DESCR
    )


def test_sorting_follows_the_normal_of_the_slices(tmp_path):
    """Sagittal slices are sorted along x, in the direction of the normal."""
    for x in (0, 10, 5):
        write_dicom(
            tmp_path / f"{x}.dcm",
            PIXELS,
            PatientID="A",
            ImagePositionPatient=[x, 7, 7],
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1],  # normal: -x
        )
    scans = load_dicom_folder(tmp_path)
    assert scans.position.tolist() == [-10, -5, 0]


def test_without_positions_the_instance_number_decides(tmp_path):
    for number in (10, 9, 2):
        write_dicom(
            tmp_path / f"{number}", PIXELS, PatientID="A", InstanceNumber=number
        )
    scans = load_dicom_folder(tmp_path)
    assert [path.rsplit("/", 1)[1] for path in scans.data] == ["2", "9", "10"]
    assert np.isnan(scans.position).all()


def test_what_is_left_out_is_told(study):
    (study / "notes.txt").write_text("no DICOM")
    write_dicom(
        study / "DICOMDIR", PIXELS, SOPClassUID="1.2.840.10008.1.3.10", Rows=None
    )
    (study / "bad").write_bytes(b"\0" * 128 + b"DICM" + b"x" * 40)
    again = pydicom.dcmread(study / "500")
    again.save_as(study / "copy")
    with pytest.warns(DicomFolderWarning, match="2 DICOM files were left out") as told:
        scans = load_dicom_folder(study)
    assert len(scans.data) == 5
    reasons = dict(scans.skipped)
    assert set(reasons) == {str(study / "bad"), str(study / "copy")}
    assert str(study / "500") in reasons[str(study / "copy")]
    assert "left out: 2 damaged or repeated, 2 without an image" in scans.DESCR
    assert told[0].filename == __file__


def test_several_kinds_are_told_and_can_be_chosen(study):
    capture = pydicom.uid.SecondaryCaptureImageStorage
    write_series(study, "7", "C", [0.0], Modality="OT", SOPClassUID=capture)
    with pytest.warns(DicomFolderWarning, match="5 CT .*1 OT .Secondary Capture"):
        scans = load_dicom_folder(study)
    assert scans.modality.tolist() == ["CT"] * 5 + ["OT"]
    assert len(load_dicom_folder(study, modality="CT").data) == 5
    assert len(load_dicom_folder(study, modality=["OT", "MR"]).data) == 1
    with pytest.raises(FileNotFoundError, match=r"modality US.*found images of .*CT"):
        load_dicom_folder(study, modality="US")


def test_frames_are_images(tmp_path):
    frames = np.stack([PIXELS, PIXELS + 1])
    write_dicom(tmp_path / "us.dcm", frames, PatientID="A", SeriesInstanceUID="2.1")
    scans = load_dicom_folder(tmp_path)
    path = str(tmp_path / "us.dcm")
    assert scans.data.tolist() == [ImageSlice(path, 0), ImageSlice(path, 1)]
    assert "2 images in 1 files" in scans.DESCR


def test_x_rays(tmp_path):
    kind = pydicom.uid.DigitalXRayImageStorageForPresentation
    for name, side in (("a", "L"), ("b", "R")):
        write_dicom(
            tmp_path / name,
            PIXELS,
            SOPClassUID=kind,
            PatientID="A",
            Modality="DX",
            ImageLaterality=side,
            ViewPosition="AP",
        )
    scans = load_dicom_folder(tmp_path)
    assert scans.laterality.tolist() == ["L", "R"]
    assert scans.view.tolist() == ["AP", "AP"]


def test_without_a_patient_the_study_is_the_group(tmp_path):
    write_series(tmp_path, "5", "", [0.0, 1.0])
    with pytest.warns(MissingPatientWarning, match="2 of 2 DICOM files"):
        scans = load_dicom_folder(tmp_path)
    assert scans.groups.tolist() == ["study 1.5"] * 2


def test_files_without_a_preamble_and_with_other_suffixes(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, PatientID="A", preamble=False)
    write_dicom(tmp_path / "b.v2", PIXELS + 1, PatientID="B")
    scans = load_dicom_folder(tmp_path)
    assert scans.groups.tolist() == ["A", "B"]
    for path in scans.data:
        assert read_image(path).shape == (4, 4)


def test_if_all_files_are_damaged_the_reasons_are_told(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, BitsStored=40)
    with (
        pytest.warns(DicomFolderWarning, match="40 bits stored"),
        pytest.raises(FileNotFoundError, match="no DICOM image"),
    ):
        load_dicom_folder(tmp_path)


def test_a_folder_without_dicom_is_named(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(FileNotFoundError, match=r"no DICOM image; found 'a\.png'"):
        load_dicom_folder(tmp_path)
