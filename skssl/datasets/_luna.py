"""LUNA16 slices: unlabelled lung CT for pretraining."""

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl.datasets._listing import (
    contents,
    existing_folder,
    file_bunch,
    patient_groups,
    sub_folders,
)
from skssl.datasets._mending import mend_listing
from skssl.datasets._tables import TableRow, read_table
from skssl.datasets._volumes import Slices, Volume, choose_slices, slice_bunch

__all__ = ["load_luna", "load_luna_slices"]

_LAYOUT = "a folder with metadata.csv (filename, subject_id, slice) and the images"

_VOLUMES_LAYOUT = "subset0 to subset9 with MetaImage volumes (.mhd and .raw)"

_VOLUMES_DESCR = """\
LUNA16
------

{n_images} axial slices of {n_subjects} low-dose chest CT volumes of the LUNA16
challenge, which are those of LIDC-IDRI with a slice thickness of at most 2.5 mm.
Unlabelled: target is -1 everywhere, as in sklearn.semi_supervised. Groups: the subject
(series identifier). Values: Hounsfield units.
{source}"""

_DESCR = """\
LUNA16 slices
-------------

{n_images} axial slices of {n_subjects} subjects, taken from the low-dose chest CT
volumes of the LUNA16 challenge, which are those of LIDC-IDRI with a slice thickness of
at most 2.5 mm. Unlabelled: target is -1 everywhere, as in sklearn.semi_supervised.
Groups: the subject (series identifier).
{source}"""

_SOURCE = """
Source: https://luna16.grand-challenge.org. License: CC BY 3.0 (LIDC-IDRI) and
CC BY 4.0 (LUNA16).
References: Setio et al., Medical Image Analysis 42 (2017), 1-13,
doi:10.1016/j.media.2017.06.015; Armato et al., Medical Physics 38 (2011), 915-931,
doi:10.1118/1.3528204.
"""


def load_luna(
    root: str | Path, *, slices: Slices = 2, n_jobs: int | None = -1
) -> Bunch:
    """List slices of the LUNA16 volumes as they are published.

    Parameters
    ----------
    root : str or Path
        Folder with ``subset0`` to ``subset9``, or some of them, or with the volumes
        themselves. A volume is a pair of files, ``.mhd`` and ``.raw``.
    slices : "all", int or callable, default=2
        As in `load_volumes`. He et al. [2]_ take two slices of each subject, and do not
        say which; here they are at one and two thirds of the volume (**choice**).
    n_jobs : int or None, default=-1
        Number of threads.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        As `load_volumes`; a subject is a volume, named by its series identifier.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no volume.
    ImageReadError
        If a volume cannot be read; the message names it.
    ImportError
        If SimpleITK is not installed.

    References
    ----------
    .. [1] Setio et al. (2017). "Validation, comparison, and combination of
       algorithms for automatic detection of pulmonary nodules in computed tomography
       images: The LUNA16 challenge." Medical Image Analysis 42, 1-13.
       https://doi.org/10.1016/j.media.2017.06.015
    .. [2] X. He et al. (2020). "Sample-Efficient Deep Learning for COVID-19 Diagnosis
       Based on CT Scans." https://doi.org/10.1101/2020.04.13.20063941

    Examples
    --------
    >>> from skssl.datasets import load_luna
    >>> load_luna("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected subset0 to ...
    """
    folder = existing_folder(root, _VOLUMES_LAYOUT)
    subsets = [path for path in sub_folders(folder) if path.name.startswith("subset")]
    volumes: list[Volume] = [
        (path, None)
        for parent in subsets or [folder]
        for path in sorted(parent.rglob("*.mhd"))
        if not path.name.startswith(".")
    ]
    if not volumes:
        raise FileNotFoundError(
            f"root {str(folder)!r} has no volumes. Expected {_VOLUMES_LAYOUT}; found "
            f"{contents(folder)}."
        )
    chosen = choose_slices(volumes, axis="axial", slices=slices, n_jobs=n_jobs)
    descr = _VOLUMES_DESCR.format(
        n_images=sum(map(len, chosen)), n_subjects=len(volumes), source=_SOURCE
    )
    subjects = [path.stem for path, _ in volumes]
    return slice_bunch(volumes, chosen, subjects, axis="axial", descr=descr)


def load_luna_slices(root: str | Path) -> Bunch:
    """List slices of LUNA16 volumes that are stored as images.

    Parameters
    ----------
    root : str or Path
        Folder with ``metadata.csv``, whose columns ``filename``, ``subject_id`` and
        ``slice`` hold the path of each image (relative to ``root``), its subject and
        the number of the slice in the volume.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, in the order of the table.
        target : ndarray of shape (n,), int64
            -1 for all images: unlabelled, as in :mod:`sklearn.semi_supervised`.
        target_names : list
            Empty.
        groups : ndarray of shape (n,), str
            Subjects.
        split : None
            The set has no official split.
        slice_index : ndarray of shape (n,), int64
            Number of each slice in its volume.
        DESCR : str
            Source, license and references.

    Raises
    ------
    FileNotFoundError
        If the folder, its table, or a listed image does not exist.
    ValueError
        If the table lacks a column or rows, lists an image twice, or a slice number
        is not an integer.

    Warns
    -----
    MissingPatientWarning
        If the subject of some images is unknown; each of these images is its own group.

    References
    ----------
    .. [1] Setio et al. (2017). "Validation, comparison, and combination of
       algorithms for automatic detection of pulmonary nodules in computed tomography
       images: The LUNA16 challenge." Medical Image Analysis 42, 1-13.
       https://doi.org/10.1016/j.media.2017.06.015

    Examples
    --------
    >>> from skssl.datasets import load_luna_slices
    >>> load_luna_slices("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    folder = existing_folder(root, _LAYOUT)
    table = folder / "metadata.csv"
    if not table.is_file():
        raise FileNotFoundError(
            f"root {str(folder)!r} has no metadata.csv. Expected {_LAYOUT}; found "
            f"{contents(folder)}."
        )
    rows = read_table(table, ("filename", "subject_id", "slice"))
    groups = patient_groups(
        [row["subject_id"] for row in rows],
        [row["filename"] for row in rows],
        f"Fill subject_id in {table}.",
    )
    numbers = _slice_numbers(rows, table)
    listed = [folder / row["filename"] for row in rows]
    mended = mend_listing(listed, table, labels=numbers, patients=groups)
    groups = mended.patients or []
    return file_bunch(
        mended.paths,
        [-1] * len(mended.paths),
        target_names=[],
        groups=groups,
        split=None,
        slice_index=np.array([numbers[k] for k in mended.rows]),
        descr=_DESCR.format(
            n_images=len(mended.paths), n_subjects=len(set(groups)), source=_SOURCE
        ),
    )


def _slice_numbers(rows: list[TableRow], table: Path) -> list[int]:
    """Return the number of each slice; raise ValueError if it is not an int."""
    numbers = []
    for row in rows:
        try:
            numbers.append(int(row["slice"]))
        except ValueError as error:
            raise ValueError(
                f"{table}, line {row.line}: slice must be a whole number, got "
                f"{row['slice']!r}."
            ) from error
    return numbers
