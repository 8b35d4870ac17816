"""The headers of all DICOM files of a folder."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skssl.data.files import dicom_dataset as dicom
from skssl.data.files.errors import errors_naming
from skssl.data.threads import map_rows
from skssl.exceptions import ImageReadError

__all__ = ["DicomHeader", "FoundHeaders", "read_headers_of"]

_TAGS = [
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ImageLaterality",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "InstanceNumber",
    "Laterality",
    "Modality",
    "NumberOfFrames",
    "PatientAge",
    "PatientID",
    "PatientSex",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SliceLocation",
    "StudyInstanceUID",
    "ViewPosition",
]
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True)
class DicomHeader:
    """What a folder of DICOM files is sorted and grouped by; "" or NaN if unknown."""

    path: str
    uid: str
    patient: str
    study: str
    series: str
    modality: str
    kind: str
    description: str
    laterality: str
    view: str
    sex: str
    age: float  # years
    position: float  # mm along the normal of the slice
    instance: float
    n_frames: int


class FoundHeaders(NamedTuple):
    """Headers of the images of a folder, and what else it holds."""

    headers: list[DicomHeader]
    damaged: list[tuple[str, str]]  # path and reason
    n_other: int  # files without an image


def read_headers_of(folder: Path, n_jobs: int | None) -> FoundHeaders:
    """Read the headers of all DICOM files below a folder, in threads.

    Raises
    ------
    ImportError
        If pydicom is not installed.
    """
    dicom.import_pydicom()
    paths = sorted(_files(folder))

    def examine(row: int) -> DicomHeader | tuple[str, str] | None:
        try:
            return _read(paths[row])
        except ImageReadError as error:
            return paths[row], str(error).removeprefix(f"{paths[row]!r} ")

    found = map_rows(examine, range(len(paths)), n_jobs)
    return FoundHeaders(
        headers=[item for item in found if isinstance(item, DicomHeader)],
        damaged=[item for item in found if isinstance(item, tuple)],
        n_other=sum(item is None for item in found),
    )


def _files(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (f"{parent}{os.sep}{n}" for n in names if not n.startswith("."))


def _read(path: str) -> DicomHeader | None:
    """Return the header of an image; None for other files and objects."""
    with errors_naming(path):
        if not (dicom.has_preamble(path) or dicom.is_dicom(path)):
            return None
        dataset = dicom.read_dataset(path, pixels=False, tags=_TAGS)
        if not dataset.get("SOPClassUID"):
            raise ImageReadError("is damaged: it does not say what it holds")
        if not dataset.get("Rows") or not dataset.get("BitsAllocated"):
            return None
        dicom.check_image(dataset)
        return _header(path, dataset)


def _header(path: str, dataset: Any) -> DicomHeader:
    def text(name: str) -> str:
        value = dataset.get(name)
        return "" if value is None else str(value).strip()

    kind = dataset.get("SOPClassUID")
    return DicomHeader(
        path=path,
        uid=text("SOPInstanceUID"),
        patient=text("PatientID"),
        study=text("StudyInstanceUID"),
        series=text("SeriesInstanceUID"),
        modality=text("Modality"),
        kind="" if kind is None else str(kind.name),
        description=text("SeriesDescription"),
        laterality=text("ImageLaterality") or text("Laterality"),
        view=text("ViewPosition"),
        sex=text("PatientSex"),
        age=_age(text("PatientAge")),
        position=_position(dataset),
        instance=_number(dataset.get("InstanceNumber")),
        n_frames=dicom.n_frames(dataset),
    )


def _age(value: str) -> float:
    """Return an age in years; DICOM writes "045Y" or "006M"."""
    unit = _YEARS.get(value[-1:].upper())
    if unit is None or not value[:-1].isdigit():
        return math.nan
    return int(value[:-1]) * unit


def _position(dataset: Any) -> float:
    """Return the position along the normal of the slice, in mm."""
    place = dataset.get("ImagePositionPatient")
    axes = dataset.get("ImageOrientationPatient")
    if place and axes and len(place) == 3 and len(axes) == 6:
        numbers = np.array([*place, *axes], dtype=float)
        normal = np.cross(numbers[3:6], numbers[6:9])
        return float(normal @ numbers[:3])
    return _number(dataset.get("SliceLocation"))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
