"""C19-Cohen: chest X-rays of COVID-19 and other pneumonias."""

from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl.datasets._listing import (
    file_bunch,
    folder_with,
    patient_groups,
)
from skssl.datasets._mending import mend_listing
from skssl.datasets._tables import read_table

__all__ = ["load_c19_cohen"]

_LAYOUT = (
    "a folder with metadata.csv (patientid, finding, view, modality, filename) and "
    "images/"
)
_VIEWS = ("PA", "AP", "AP Supine")
# Findings of tables before June 2020 that do not contain the word "pneumonia".
_OTHER_PNEUMONIAS = {
    "bacterial",
    "chlamydophila",
    "e.coli",
    "influenza",
    "invasive aspergillosis",
    "klebsiella",
    "legionella",
    "lipoid",
    "mers-cov",
    "mrsa",
    "nocardia",
    "pneumocystis",
    "sars",
    "streptococcus",
    "varicella",
}
_DESCR = """\
C19-Cohen (covid-chestxray-dataset)
-----------------------------------

{n_images} frontal chest X-rays (views PA, AP, AP supine) of {n_groups} patients:
{n_covid} with COVID-19 (target 1) and {n_other} with another pneumonia (target 0).
{n_excluded} images of these views with neither are excluded: {excluded}.
The images were collected from publications and web sites, so the two classes differ in
source as well as in disease. There is no official split; Gazda et al. use 70 % of the
images for training, 10 % for validation and 20 % for testing, with all images of a
patient in one split.

Source: https://github.com/ieee8023/covid-chestxray-dataset. License: given for each
image in the column license of metadata.csv; the table itself is CC BY-NC-SA 4.0.
References: Cohen et al., "COVID-19 image data collection: prospective predictions are
the future", arXiv:2006.11988 (2020), doi:10.48550/arXiv.2006.11988; Gazda et al., IEEE
Access 9 (2021), doi:10.1109/ACCESS.2021.3125324.
"""


def _label(finding: str) -> int | None:
    """Return 1 for COVID-19, 0 for another pneumonia, None for neither."""
    names = [name.strip() for name in finding.lower().split(",")]
    if any("covid-19" in name for name in names):
        return 1
    # Newer tables: Pneumonia/Viral/SARS. Older tables: SARS, or Lobar Pneumonia.
    if any("pneumonia" in name or name in _OTHER_PNEUMONIAS for name in names):
        return 0
    return None


def load_c19_cohen(root: str | Path) -> Bunch:
    """List the X-rays of the covid-chestxray-dataset: COVID-19 or other pneumonia.

    Parameters
    ----------
    root : str or Path
        Folder with ``metadata.csv`` and ``images/``, or a folder that contains it as
        ``covid-chestxray-dataset*``, the name of the repository.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted.
        target : ndarray of shape (n,), int64
            1 for COVID-19, 0 for another pneumonia.
        target_names : list of str
            ``["other pneumonia", "COVID-19"]``.
        groups : ndarray of shape (n,), str
            Patients.
        split : None
            The set has no official split.
        finding : ndarray of shape (n,), object
            The finding in the table, str.
        DESCR : str
            Numbers of included and excluded images, source, license and references.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or more than a few listed images do not
        exist.
    ValueError
        If the table lacks a column, no image qualifies, or an image is listed with both
        labels.

    Warns
    -----
    MissingPatientWarning
        If the patient of some images is unknown; each of these images is its own group.
    ListingWarning
        If images are listed twice. The published table lists some under two patients,
        who become one group. Also if a few images are missing, which are left out.

    Notes
    -----
    Only X-rays of the views PA, AP and AP Supine are listed. Findings of the newer
    tables (``Pneumonia/Viral/COVID-19``) and of the older ones (``COVID-19, ARDS``) are
    supported. **Choice**: every finding that names a pneumonia or its pathogen counts
    as another pneumonia; [2]_ does the same, without listing the findings. ARDS alone,
    tuberculosis, no finding, unknown and todo count as neither.

    References
    ----------
    .. [1] Cohen et al. (2020). "COVID-19 image data collection: prospective
       predictions are the future." https://doi.org/10.48550/arXiv.2006.11988
    .. [2] Gazda et al. (2021). "Self-supervised deep convolutional neural network for
       chest X-ray classification." IEEE Access 9.
       https://doi.org/10.1109/ACCESS.2021.3125324

    Examples
    --------
    >>> from skssl.datasets import load_c19_cohen
    >>> load_c19_cohen("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    folder = folder_with(
        root,
        ("metadata.csv", "images"),
        below=("covid-chestxray-dataset*",),
        what="C19-Cohen",
        layout=_LAYOUT,
    )
    table = folder / "metadata.csv"
    columns = ("patientid", "finding", "view", "modality", "filename")
    frontal = [
        row
        for row in read_table(table, columns)
        if row["modality"] == "X-ray" and row["view"] in _VIEWS
    ]
    frontal.sort(key=lambda row: row["filename"])
    labels = [_label(row["finding"]) for row in frontal]
    rows = [r for r, label in zip(frontal, labels, strict=True) if label is not None]
    if not rows:
        raise ValueError(
            f"{table} has no X-ray of the views {_VIEWS} whose finding is COVID-19 or "
            f"another pneumonia; {len(frontal)} rows have one of these views."
        )
    target = [label for label in labels if label is not None]
    groups = patient_groups(
        [row["patientid"] for row in rows],
        [row["filename"] for row in rows],
        f"Fill patientid in {table}.",
    )
    listed = [folder / "images" / row["filename"] for row in rows]
    mended = mend_listing(listed, table, labels=target, patients=groups)
    rows = [rows[k] for k in mended.rows]
    target = [target[k] for k in mended.rows]
    groups = mended.patients or []
    pairs = zip(frontal, labels, strict=True)
    excluded = Counter(
        row["finding"] or "empty" for row, label in pairs if label is None
    )
    return file_bunch(
        mended.paths,
        target,
        target_names=["other pneumonia", "COVID-19"],
        groups=groups,
        split=None,
        finding=np.array([row["finding"].strip() for row in rows], dtype=object),
        descr=_DESCR.format(
            n_images=len(rows),
            n_groups=len(set(groups)),
            n_covid=sum(target),
            n_other=len(rows) - sum(target),
            n_excluded=excluded.total(),
            excluded=", ".join(f"{n} {name}" for name, n in sorted(excluded.items())),
        ),
    )
