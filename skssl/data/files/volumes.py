"""Volumes: NIfTI, MetaImage, NRRD and DICOM series, with SimpleITK."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from skssl.data.files.dicom import read_dicom
from skssl.data.files.pillow import check_pixels
from skssl.data.files.raw import ImageHeader, RawImage
from skssl.data.files.volume_files import (
    check_complete,
    data_files,
    import_sitk,
    series_files,
)
from skssl.exceptions import ImageReadError

__all__ = [
    "AXES",
    "VOLUME_ENDINGS",
    "Axis",
    "is_volume",
    "n_volume_slices",
    "patient_of_series",
    "read_volume",
    "read_volume_slice",
    "read_volume_slice_header",
]

Axis = Literal["axial", "coronal", "sagittal"]
AXES: tuple[Axis, ...] = get_args(Axis)

VOLUME_ENDINGS = (".nii", ".nii.gz", ".mhd", ".mha", ".nrrd", ".nhdr")
_N_OPEN = 4  # volumes that are kept in memory
_MAX_VOXELS = 2**31


class _Version(NamedTuple):
    """A volume as it is on the disk; another one if the file has changed."""

    path: str
    series: str | None
    changed: tuple[tuple[int, int], ...]  # time and size of each of its files


def is_volume(path: str | Path) -> bool:
    """Return whether a file name is that of a volume."""
    return str(path).lower().endswith(VOLUME_ENDINGS)


def n_volume_slices(
    path: str | Path, axis: Axis = "axial", series: str | None = None
) -> int:
    """Return the number of slices along an axis, without decoding the volume."""
    return _info(_version(path, series))[0][AXES.index(axis)]


def read_volume(path: str | Path, series: str | None = None) -> np.ndarray:
    """Decode a volume, or return the one that was decoded recently.

    Parameters
    ----------
    path : str or Path
        A volume file or, with ``series``, a folder of DICOM files.
    series : str, optional
        The SeriesInstanceUID.

    Returns
    -------
    ndarray of shape (S, P, L)
        With the first slice at the feet, the first row in front, and the first column
        at the patient's right. Not writeable.
    """
    return _decoded(_version(path, series))


def read_volume_slice_header(
    path: str | Path, index: int, axis: Axis, series: str | None = None
) -> ImageHeader:
    """Return size and type of a slice, without decoding the volume."""
    shape, eight_bit = _info(_version(path, series))
    _check_index(index, axis, shape)
    height, width = (shape[i] for i in range(3) if i != AXES.index(axis))
    return ImageHeader(height, width, 1, eight_bit)


def read_volume_slice(
    path: str | Path, index: int, axis: Axis, series: str | None = None
) -> RawImage:
    """Return a slice as a radiologist sees it.

    The patient's right is on the left side of axial and coronal slices. The front is at
    the top of axial slices, and on the left side of sagittal ones. The head is at the
    top of coronal and sagittal slices.
    """
    volume = read_volume(path, series)
    _check_index(index, axis, volume.shape)
    pixels = volume.take(index, AXES.index(axis))
    if axis != "axial":
        pixels = np.ascontiguousarray(pixels[::-1])
    return RawImage(pixels, is_measured=pixels.dtype != np.uint8)


def patient_of_series(folder: str | Path, series: str) -> str:
    """Return the PatientID of a DICOM series, or the series where it is unknown."""
    reader = _reader(_version(folder, series))
    name = "0010|0020"
    known = reader.GetMetaData(name).strip() if reader.HasMetaDataKey(name) else ""
    return known or series


def _version(path: str | Path, series: str | None) -> _Version:
    stats = [Path(name).stat() for name in data_files(path, series)]
    changed = tuple((stat.st_mtime_ns, stat.st_size) for stat in stats)
    return _Version(str(path), series, changed)


def _reader(version: _Version) -> Any:
    """Return a reader of SimpleITK that has read the header."""
    sitk = import_sitk()
    first = version.path
    if version.series is not None:
        first = series_files(version.path, version.series)[0]
    reader = sitk.ImageFileReader()
    reader.SetFileName(first)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageReadError(f"is no volume that SimpleITK reads: {error}") from error
    size = reader.GetSize()
    if len(size) > 3 and prod(size[3:]) == 1:  # one point in time
        reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
    return reader


@lru_cache(maxsize=4096)
def _info(version: _Version) -> tuple[tuple[int, int, int], bool]:
    """Return the shape (S, P, L) of a volume, and whether it holds uint8 values."""
    sitk = import_sitk()
    reader = _reader(version)
    size = _spatial(reader.GetSize())
    if version.series is not None:
        names = series_files(version.path, version.series)
        if len(size) != 3 or size[2] != 1:
            raise ImageReadError(
                f"holds several frames in a file of series {version.series}: list them "
                "by load_dicom_folder"
            )
        _check_positions(names, version.series)
        size = [*size[:2], len(names)]
    _check_volume(size, reader.GetNumberOfComponents())
    # Each axis of the file goes to the axis of the body that it is nearest to.
    n = reader.GetDimension()
    direction = np.abs(np.reshape(reader.GetDirection(), (n, n))[:3, :3])
    shape = [0, 0, 0]
    for axis_of_file, axis_of_body in _assignment(direction):
        shape[2 - axis_of_body] = size[axis_of_file]
    # Values of series are read by another decoder, which is the one to know.
    is_byte = version.series is None and reader.GetPixelIDValue() == sitk.sitkUInt8
    return (shape[0], shape[1], shape[2]), is_byte


def _spatial(size: Sequence[int]) -> list[int]:
    """Return a size without further axes of one point each, such as time."""
    return list(size[:3] if prod(size[3:]) == 1 else size)


def _assignment(direction: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of an axis of the file and the axis of the body, largest first."""
    pairs: list[tuple[int, int]] = []
    cosines = direction.copy()  # (axis of the body, axis of the file)
    for _ in range(3):
        body, file = np.unravel_index(cosines.argmax(), cosines.shape)
        pairs.append((int(file), int(body)))
        cosines[body, :] = cosines[:, file] = -1
    return pairs


_locks: dict[_Version, Lock] = {}
_locks_lock = Lock()


def _decoded(version: _Version) -> np.ndarray:
    """Decode once, even if several threads ask for slices of the same volume."""
    with _locks_lock:
        lock = _locks.setdefault(version, Lock())
    with lock:
        return _decode(version)


@lru_cache(maxsize=_N_OPEN)
def _decode(version: _Version) -> np.ndarray:
    sitk = import_sitk()
    reader = _reader(version)
    if version.series is None:
        _check_volume(_spatial(reader.GetSize()), reader.GetNumberOfComponents())
        check_complete(version.path)
        image = reader.Execute()
    else:
        image = sitk.GetImageFromArray(_series_values(version))
        image.SetDirection(reader.GetDirection())
    volume = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS"))  # (S, P, L)
    volume.flags.writeable = False
    return volume


def _series_values(version: _Version) -> np.ndarray:
    """Return the modality values (n, H, W) of a DICOM series, as those of its files."""
    slices = []
    for name in series_files(version.path, version.series or ""):
        raw = read_dicom(name)
        if (
            raw.padding is not None
        ):  # as low as the image, since volumes have no padding
            low = raw.extremes()[0]
            slices.append(np.where(raw.padding, low, raw.pixels))
        else:
            slices.append(raw.pixels)
    shapes = {pixels.shape for pixels in slices}
    if len(shapes) > 1 or slices[0].ndim != 2:
        raise ImageReadError(
            f"has slices of shapes {sorted(shapes)} in series {version.series}: list "
            "them by load_dicom_folder"
        )
    values = np.stack(slices)
    return values.astype(np.float32) if values.dtype == np.float64 else values


def _check_volume(size: Sequence[int], n_components: int) -> None:
    """Raise ImageReadError for what is no volume of gray values."""
    if len(size) != 3 or n_components != 1:
        values = "" if n_components == 1 else f" with {n_components} values each"
        raise ImageReadError(
            f"holds {' × '.join(map(str, size))} points{values}: expected a volume of "
            "gray values with three dimensions"
        )
    if prod(size) > _MAX_VOXELS:
        raise ImageReadError(
            f"holds {prod(size):,} voxels, more than the limit of {_MAX_VOXELS:,}"
        )
    for a, b in ((0, 1), (0, 2), (1, 2)):
        check_pixels(size[a] * size[b])


def _check_positions(names: Sequence[str], series: str) -> None:
    """Refuse a series with several slices in one place, such as points in time."""
    sitk = import_sitk()
    reader, places = sitk.ImageFileReader(), []
    for name in names:
        reader.SetFileName(name)
        reader.ReadImageInformation()
        places.append(tuple(np.round(reader.GetOrigin(), 3)))
    if len(set(places)) < len(places):
        raise ImageReadError(
            f"has several slices in one place in series {series}, perhaps several "
            "points in time: list them by load_dicom_folder"
        )


def _check_index(index: int, axis: Axis, shape: Sequence[int]) -> None:
    n = shape[AXES.index(axis)]
    if not 0 <= index < n:
        raise ImageReadError(f"has no {axis} slice {index}: it holds {n}")
