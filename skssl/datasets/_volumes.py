"""Slices of volumes: NIfTI, MetaImage, NRRD, and DICOM series read as volumes."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl._warn import warn
from skssl.data.files import ImageSlice
from skssl.data.files.errors import errors_naming
from skssl.data.files.volume_files import series_in
from skssl.data.files.volumes import (
    AXES,
    VOLUME_ENDINGS,
    Axis,
    is_volume,
    n_volume_slices,
    patient_of_series,
    read_volume,
)
from skssl.data.threads import map_rows
from skssl.datasets._listing import (
    MissingPatientWarning,
    contents,
    existing_folder,
)

__all__ = ["choose_slices", "find_volumes", "load_volumes", "slice_bunch"]

Slices = str | int | Callable[[int], Iterable[int]]
#: Path and, for a DICOM series, its SeriesInstanceUID.
Volume = tuple[Path, str | None]


def load_volumes(
    root: str | Path,
    *,
    axis: Axis = "axial",
    slices: Slices = "all",
    drop_empty: bool = False,
    patient: Callable[[Path], str] | None = None,
    n_jobs: int | None = -1,
) -> Bunch:
    """List slices of the volumes of a folder, as images.

    Parameters
    ----------
    root : str or Path
        Its folders are searched, too, for NIfTI (.nii, .nii.gz), MetaImage (.mhd,
        .mha), NRRD (.nrrd, .nhdr), and DICOM files, whose series are volumes.
    axis : {"axial", "coronal", "sagittal"}, default="axial"
        Direction of the slices in the patient, whatever the order of axes in the file.
        Oblique volumes are not resampled: the nearest axis is taken.
    slices : "all", int or callable, default="all"
        Which slices of each volume. An int takes so many, evenly spaced and without the
        first and the last. A callable gets the number of slices, and returns their
        indices.
    drop_empty : bool, default=False
        Leave out slices whose values are all equal. All volumes are decoded to find
        them.
    patient : callable, optional
        Takes the path of a volume, or the folder of a DICOM series, and returns the
        patient. Default: the PatientID of a DICOM series, and the path of a file below
        ``root`` without its suffix, so that each file is a group of its own.
    n_jobs : int or None, default=-1
        Number of threads.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of slices:

        data : ndarray of shape (n,), object
            `~skssl.data.ImageSlice`, which hold no pixels.
        target : ndarray of shape (n,), int64
            -1 for all images: unlabelled, as in :mod:`sklearn.semi_supervised`.
        target_names : list
            Empty.
        groups : ndarray of shape (n,), str
            Patients.
        split : None
            There is no official split.
        volume : ndarray of shape (n,), int64
            Number of the volume.
        slice_index : ndarray of shape (n,), int64
            From the feet, the front, or the patient's right.
        DESCR : str
            Numbers of slices, volumes and patients.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no volume.
    ImageReadError
        If a volume cannot be read; the message names it.
    ValueError
        If ``axis`` or ``slices`` is not usable.
    ImportError
        If SimpleITK is not installed.

    Warns
    -----
    MissingPatientWarning
        If there are several volume files and ``patient`` is not given.

    Notes
    -----
    Slices are shown as radiologists see them: the patient's right is on the left side,
    the front or the head at the top. Their pixels are those of the volume; if these are
    not square, neither are the proportions of coronal and sagittal slices.

    Values are those of the file after its own rescaling, Hounsfield units in CT. Give
    the estimator a window, such as ``value_range=(-1000, 400)``.

    A volume is decoded once for slices that are read one after the other.

    Examples
    --------
    >>> from skssl.datasets import load_volumes
    >>> load_volumes("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    folder = existing_folder(root, "a folder with volumes")
    volumes = find_volumes(folder)
    if not volumes:
        raise FileNotFoundError(
            f"root {str(folder)!r} has no volumes. Expected files ending in "
            f"{', '.join(VOLUME_ENDINGS)}, or DICOM series; found {contents(folder)}."
        )
    chosen = choose_slices(
        volumes, axis=axis, slices=slices, drop_empty=drop_empty, n_jobs=n_jobs
    )
    patients = _patients(folder, volumes, patient)
    descr = (
        f"{sum(map(len, chosen))} {axis} slices of {len(volumes)} volumes of "
        f"{len(set(patients))} patients in {folder}\n"
    )
    return slice_bunch(volumes, chosen, patients, axis=axis, descr=descr)


def find_volumes(folder: Path) -> list[Volume]:
    """Return the volumes below a folder, in the order of their names."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    found: list[Volume] = []
    for parent in sorted(folders):
        if any(part.startswith(".") for part in parent.relative_to(folder).parts):
            continue
        files = sorted(
            path
            for path in parent.iterdir()
            if path.is_file() and not path.name.startswith(".")
        )
        found += [(path, None) for path in files if is_volume(path)]
        if any(not is_volume(path) for path in files):
            found += [(parent, series) for series in series_in(parent)]
    return found


def choose_slices(
    volumes: list[Volume],
    *,
    axis: Axis,
    slices: Slices,
    drop_empty: bool = False,
    n_jobs: int | None = -1,
) -> list[list[int]]:
    """Return the indices of the chosen slices of each volume.

    Raises
    ------
    ValueError
        If ``axis`` or ``slices`` is not usable.
    ImageReadError
        If a volume cannot be read.
    """
    if axis not in AXES:
        raise ValueError(f"axis must be one of {', '.join(AXES)}, got {axis!r}.")
    is_count = isinstance(slices, int) and not isinstance(slices, bool) and slices > 0
    if not (slices == "all" or is_count or callable(slices)):
        raise ValueError(
            f"slices must be 'all', an int above 0 or a callable, got {slices!r}."
        )

    def choose(row: int) -> list[int]:
        path, series = volumes[row]
        with errors_naming(path, folder=series is not None):
            n = n_volume_slices(path, axis, series)
            wanted = _wanted(slices, n, path)
            if drop_empty:
                volume = np.moveaxis(read_volume(path, series), AXES.index(axis), 0)
                wanted = [index for index in wanted if np.ptp(volume[index])]
            return wanted

    return map_rows(choose, range(len(volumes)), n_jobs)


def slice_bunch(
    volumes: list[Volume],
    chosen: list[list[int]],
    patients: list[str],
    *,
    axis: Axis,
    descr: str,
) -> Bunch:
    """Return slices of volumes as the Bunch of all loaders."""
    listed = [(v, index) for v, indices in enumerate(chosen) for index in indices]
    data = np.empty(len(listed), dtype=object)
    data[:] = [
        ImageSlice(str(volumes[v][0]), index, axis, volumes[v][1])
        for v, index in listed
    ]
    return Bunch(
        data=data,
        target=np.full(len(listed), -1, dtype=np.int64),
        target_names=[],
        groups=np.array([patients[v] for v, _ in listed], dtype=str),
        split=None,
        volume=np.array([v for v, _ in listed], dtype=np.int64),
        slice_index=np.array([index for _, index in listed], dtype=np.int64),
        DESCR=descr,
    )


def _patients(
    folder: Path, volumes: list[Volume], patient: Callable[[Path], str] | None
) -> list[str]:
    """Return the patient of each volume; warn where a file is its own group."""
    if patient is not None:
        return [str(patient(path)) for path, _ in volumes]
    n_unknown = sum(series is None for _, series in volumes)
    if n_unknown > 1:
        warn(
            MissingPatientWarning(
                f"The patients of {n_unknown} volumes are not known; each is its own "
                "group, so a split by groups may divide a patient's volumes. Pass "
                "patient=, a function of the path."
            )
        )
    return [
        _without_ending(path.relative_to(folder))
        if series is None
        else patient_of_series(path, series)
        for path, series in volumes
    ]


def _without_ending(path: Path) -> str:
    name = path.as_posix()
    endings = sorted(VOLUME_ENDINGS, key=len, reverse=True)
    return name[: -len(next(e for e in endings if name.lower().endswith(e)))]


def _wanted(slices: Slices, n: int, path: Path) -> list[int]:
    if callable(slices):
        indices = [int(index) for index in slices(n)]
        if any(not 0 <= index < n for index in indices):
            raise ValueError(
                f"slices returned {indices} for {path}, which has {n} slices."
            )
        return indices
    if slices == "all":
        return list(range(n))
    return evenly_spaced(n, int(slices))


def evenly_spaced(n: int, k: int) -> list[int]:
    """Return k of n indices, evenly spaced and without the ends; all if n <= k.

    Examples
    --------
    >>> evenly_spaced(100, 2), evenly_spaced(3, 5)
    ([33, 66], [0, 1, 2])
    """
    if n <= k:
        return list(range(n))
    return np.linspace(0, n - 1, k + 2)[1:-1].round().astype(int).tolist()
