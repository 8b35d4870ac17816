"""COVID-CT: CT slices with and without COVID-19, with the official split."""

from collections.abc import Sequence
from pathlib import Path

from sklearn.utils import Bunch

from skssl.datasets._covid_ct_published import (
    CLASSES,
    LAYOUT,
    CovidImage,
    mend_images,
    read_published,
)
from skssl.datasets._listing import (
    SPLITS,
    contents,
    existing_folder,
    file_bunch,
    patient_groups,
    wanted_splits,
)
from skssl.datasets._tables import read_table

__all__ = ["load_covid_ct"]

_DESCR = """\
COVID-CT
--------

{n_images} axial chest CT slices of {n_groups} patients, {n_covid} slices with the
findings of COVID-19 (target 1) and {n_other} without (target 0), in the official
split by patient. The images were taken from figures of preprints and from other
published sets, so the two classes differ in source as well as in disease, and sizes,
gray values and file formats vary.

Source: https://github.com/UCSD-AI4H/COVID-CT. License: given there; the images belong
to the publications from which they were taken.
References: Yang et al., "COVID-CT-Dataset: a CT scan dataset about COVID-19",
arXiv:2003.13865 (2020), doi:10.48550/arXiv.2003.13865; He et al.,
"Sample-efficient deep learning for COVID-19 diagnosis based on CT scans", medRxiv
(2020), doi:10.1101/2020.04.13.20063941.
"""


def load_covid_ct(
    root: str | Path, *, subset: str | Sequence[str] | None = None
) -> Bunch:
    """List the COVID-CT images with labels, patients and the official split.

    Parameters
    ----------
    root : str or Path
        Folder in one of two layouts. As published: ``Images-processed/CT_COVID`` and
        ``CT_NonCOVID``, ``Data-split/{COVID,NonCOVID}/{train,val,test}CT_*.txt``, and
        ``COVID-CT-MetaInfo`` and ``NonCOVID-CT-MetaInfo`` (each ``.csv``, or ``.xlsx``
        if pandas and openpyxl are installed). Or as a table: ``metadata.csv`` with the
        columns ``filename``, ``label``, ``split``, ``patient_id``, and the files in
        ``images/`` or beside the table.
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to list; None lists all.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted by class and name.
        target : ndarray of shape (n,), int64
            1 for COVID, 0 for NonCOVID.
        target_names : list of str
            ``["NonCOVID", "COVID"]``.
        groups : ndarray of shape (n,), str
            Patients.
        split : ndarray of shape (n,), str
            "train", "val" or "test".
        DESCR : str
            Source, license and references.

    Raises
    ------
    FileNotFoundError
        If ``root`` has neither layout, or a listed image does not exist.
    ValueError
        If ``subset``, a label or a split is unknown, a table lacks a column, an image
        is listed twice, or none is in ``subset``.
    ImportError
        If patients are in an ``.xlsx`` file, and pandas or openpyxl is missing.

    Warns
    -----
    MissingPatientWarning
        If the patient of some images is unknown. Each of these images is its own group,
        so a split by groups may divide a patient's images.

    Notes
    -----
    The published lists and tables spell some file names with ``_`` instead of ``%``;
    both match, and the file extension in the tables may be missing or different.
    Patient numbers of the two classes are independent: groups from the published tables
    are prefixed with the class.

    References
    ----------
    .. [1] Yang et al. (2020). "COVID-CT-Dataset: a CT scan dataset about COVID-19."
       https://doi.org/10.48550/arXiv.2003.13865

    Examples
    --------
    >>> from skssl.datasets import load_covid_ct
    >>> load_covid_ct("covid-ct", subset="training")
    Traceback (most recent call last):
    ...
    ValueError: subset must be 'train', 'val', 'test', several of them or None, got...
    """
    wanted = wanted_splits(subset)
    images = sorted(image for image in _listed(root) if image.split in wanted)
    if not images:
        raise ValueError(
            f"subset={subset!r} lists no image: root {str(root)!r} has none of these "
            "splits."
        )
    groups = patient_groups(
        [image.patient for image in images],
        [f"{image.label}/{image.path.name}" for image in images],
        "Put COVID-CT-MetaInfo and NonCOVID-CT-MetaInfo into root, or fill patient_id "
        "in metadata.csv.",
    )
    target = [CLASSES.index(image.label) for image in images]
    return file_bunch(
        [image.path for image in images],
        target,
        target_names=CLASSES,
        groups=groups,
        split=[image.split for image in images],
        descr=_DESCR.format(
            n_images=len(images),
            n_groups=len(set(groups)),
            n_covid=sum(target),
            n_other=len(target) - sum(target),
        ),
    )


def _listed(root: str | Path) -> list[CovidImage]:
    """Read the images from ``root``, or from the first folder COVID-CT* below it."""
    top = existing_folder(root, f"a folder with {LAYOUT}")
    for folder in (top, *sorted(top.glob("COVID-CT*"))):
        if (folder / "metadata.csv").is_file():
            return _read_metadata(folder)
        if all((folder / name).is_dir() for name in ("Images-processed", "Data-split")):
            return read_published(folder)
    raise FileNotFoundError(
        f"root {str(top)!r} is not laid out as COVID-CT. Expected {LAYOUT}; found "
        f"{contents(top)}."
    )


def _read_metadata(folder: Path) -> list[CovidImage]:
    """Read the layout with one table of file, label, split and patient."""
    table = folder / "metadata.csv"
    base = folder / "images" if (folder / "images").is_dir() else folder
    images = []
    for row in read_table(table, ("filename", "label", "split", "patient_id")):
        for column, allowed in (("label", CLASSES), ("split", SPLITS)):
            if row[column] not in allowed:
                raise ValueError(
                    f"{table}, line {row.line}: {column} must be one of {allowed}, got "
                    f"{row[column]!r}."
                )
        path = base / row["filename"]
        images.append(CovidImage(path, row["label"], row["split"], row["patient_id"]))
    return mend_images(images, table)
