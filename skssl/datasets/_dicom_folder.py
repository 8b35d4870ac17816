"""A folder of DICOM files: slices with patients and series from the headers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl._warn import warn
from skssl.data import ImageSlice
from skssl.data.files import FileItem
from skssl.datasets._dicom_headers import DicomHeader, read_headers_of
from skssl.datasets._listing import MissingPatientWarning, contents, existing_folder

__all__ = ["DicomFolderWarning", "load_dicom_folder"]

_N_NAMED = 5  # files that a message names


class DicomFolderWarning(UserWarning):
    """Files of a folder were left out, or do not seem to belong together."""


def load_dicom_folder(
    root: str | Path,
    *,
    modality: str | Sequence[str] | None = None,
    n_jobs: int | None = -1,
) -> Bunch:
    """List the images of a folder of DICOM files, with what their headers say.

    Parameters
    ----------
    root : str or Path
        Its folders are searched, too. DICOM files are recognised by their content, so
        they need no suffix.
    modality : str or sequence of str, optional
        Keep these modalities only, such as "CT" or ("CR", "DX").
    n_jobs : int or None, default=-1
        Number of threads that read headers.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images. Images are sorted by
        patient, study and series and, in a series, by position or, where positions are
        missing, by instance number. Text is "" and numbers are NaN where a header does
        not give them.

        data : ndarray of shape (n,), object
            Paths, str; `~skssl.data.ImageSlice` for the frames of multi-frame files.
        target : ndarray of shape (n,), int64
            -1 for all images: unlabelled, as in :mod:`sklearn.semi_supervised`.
        target_names : list
            Empty.
        groups : ndarray of shape (n,), str
            PatientID, for splits that keep patients together.
        split : None
            There is no official split.
        study, series : ndarray of shape (n,), str
            StudyInstanceUID and SeriesInstanceUID.
        modality, kind : ndarray of shape (n,), str
            Modality, such as "CT", and the name of the SOP class, such as "Secondary
            Capture Image Storage".
        description : ndarray of shape (n,), str
            SeriesDescription.
        laterality, view : ndarray of shape (n,), str
            ImageLaterality (or Laterality), and ViewPosition.
        age : ndarray of shape (n,), float64
            PatientAge in years.
        sex : ndarray of shape (n,), str
            PatientSex.
        position : ndarray of shape (n,), float64
            Along the normal of the slice, in mm.
        skipped : list of (str, str)
            Path and reason of each DICOM file that was left out.
        DESCR : str
            A summary, to be printed.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no DICOM image.
    ImportError
        If pydicom is not installed.

    Warns
    -----
    DicomFolderWarning
        If DICOM files were left out: damaged ones, and repetitions of a SOPInstanceUID.
        Also if the images are of several modalities or kinds.
    MissingPatientWarning
        If files have no PatientID; the study is then their group.

    Notes
    -----
    Files that are not DICOM, and DICOM objects without an image (DICOMDIR, reports,
    structure sets), are left out without a warning. The summary counts them.

    Pixels are not decoded: `~skssl.data.check_images` does that for all images.

    Examples
    --------
    >>> from skssl.datasets import load_dicom_folder
    >>> load_dicom_folder("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    folder = existing_folder(root, "a folder with DICOM files")
    found = read_headers_of(folder, n_jobs)
    wanted = (modality,) if isinstance(modality, str) else modality
    headers = [
        header
        for header in sorted(found.headers, key=_order)
        if wanted is None or header.modality in wanted
    ]
    headers, repeated = _unique(headers)
    skipped = [*found.damaged, *repeated]
    if not headers:
        _warn_of(skipped, headers)
        kinds = ", ".join(sorted({header.modality for header in found.headers}))
        raise FileNotFoundError(
            f"root {str(folder)!r} has no DICOM image"
            + ("" if wanted is None else f" of modality {', '.join(wanted)}")
            + f"; found {f'images of modality {kinds}' if kinds else contents(folder)}."
        )
    _warn_of(skipped, headers)
    return _as_bunch(folder, headers, skipped, n_other=found.n_other)


def _order(header: DicomHeader) -> tuple:
    position = header.position
    return (
        header.patient,
        header.study,
        header.series,
        np.isnan(position),
        position if not np.isnan(position) else header.instance,
        header.path,
    )


def _unique(
    headers: Iterable[DicomHeader],
) -> tuple[list[DicomHeader], list[tuple[str, str]]]:
    """Return headers without repetitions of an object, and what was left out."""
    first: dict[str, DicomHeader] = {}
    kept, repeated = [], []
    for header in headers:
        earlier = first.setdefault(header.uid or header.path, header)
        if earlier is header:
            kept.append(header)
        else:
            reason = f"has the SOPInstanceUID of {earlier.path}"
            repeated.append((header.path, reason))
    return kept, repeated


def _warn_of(skipped: list[tuple[str, str]], headers: list[DicomHeader]) -> None:
    if skipped:
        named = "; ".join(f"{path}: {why}" for path, why in skipped[:_N_NAMED])
        more = len(skipped) - _N_NAMED
        warn(
            DicomFolderWarning(
                f"{len(skipped)} DICOM files were left out: {named}"
                + (f"; and {more} more in bunch.skipped." if more > 0 else ".")
            )
        )
    kinds = Counter((header.modality, header.kind) for header in headers)
    if len(kinds) > 1:
        counts = ", ".join(f"{n} {m} ({kind})" for (m, kind), n in kinds.most_common())
        warn(
            DicomFolderWarning(
                f"The images are of several kinds: {counts}. Choose by modality=, or "
                "by bunch.modality and bunch.kind."
            )
        )
    n_unknown = sum(not header.patient for header in headers)
    if n_unknown:
        warn(
            MissingPatientWarning(
                f"{n_unknown} of {len(headers)} DICOM files have no PatientID; their "
                "study is their group, so a split may divide a patient's studies."
            )
        )


def _as_bunch(
    folder: Path,
    headers: list[DicomHeader],
    skipped: list[tuple[str, str]],
    n_other: int,
) -> Bunch:
    rows = [(header, item) for header in headers for item in _images(header)]
    data = np.empty(len(rows), dtype=object)
    data[:] = [item for _, item in rows]
    listed = [header for header, _ in rows]
    groups = [h.patient or f"study {h.study}" for h in listed]
    text = {
        name: np.array([getattr(header, name) for header in listed], dtype=str)
        for name in (
            "study",
            "series",
            "modality",
            "kind",
            "description",
            "laterality",
            "view",
            "sex",
        )
    }
    bunch = Bunch(
        data=data,
        target=np.full(len(rows), -1, dtype=np.int64),
        target_names=[],
        groups=np.array(groups, dtype=str),
        split=None,
        **text,
        age=np.array([header.age for header in listed], dtype=float),
        position=np.array([header.position for header in listed], dtype=float),
        skipped=skipped,
    )
    bunch.DESCR = _summary(folder, bunch, len(headers), n_other)
    return bunch


def _images(header: DicomHeader) -> list[FileItem]:
    if header.n_frames == 1:
        return [header.path]
    return [ImageSlice(header.path, index) for index in range(header.n_frames)]


def _summary(folder: Path, bunch: Bunch, n_files: int, n_other: int) -> str:
    kinds = Counter(zip(bunch.modality, bunch.kind, strict=True))
    sizes = Counter(bunch.series.tolist()).values()
    by_kind = "".join(
        f"  {n:>6}  {modality or 'no modality'}: {kind}\n"
        for (modality, kind), n in kinds.items()
    )
    return (
        f"DICOM files of {folder}\n\n{len(bunch.data)} images in {n_files} files: "
        f"{len(set(bunch.groups))} patients, {len(set(bunch.study))} studies, "
        f"{len(set(bunch.series))} series of {min(sizes)} to {max(sizes)} images\n"
        f"{by_kind}left out: {len(bunch.skipped)} damaged or repeated, {n_other} "
        "without an image\n"
    )
