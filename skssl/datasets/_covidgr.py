"""COVIDGR 1.0: chest X-rays with and without COVID-19 from one hospital."""

from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl.datasets._listing import file_bunch, folder_with, required_images
from skssl.datasets._tables import read_table

__all__ = ["load_covidgr"]

_LAYOUT = "a folder with P/ (positive) and N/ (negative), here or one folder below"
_DESCR = """\
COVIDGR 1.0
-----------

{n_images} postero-anterior chest X-rays of Hospital Universitario San Cecilio, Granada,
taken with the same type of equipment: {n_positive} positive by RT-PCR within 24 hours
(target 1) and {n_negative} negative (target 0). In the published set, 76 of the 426
positive images appear normal to radiologists. Patients are not published: groups is
None. There is no official split; the authors use 5-fold cross-validation, repeated five
times.

Source: https://github.com/ari-dasci/OD-covidgr. License: none is given there; ask the
authors.
References: Tabik et al., "COVIDGR dataset and COVID-SDNet methodology for predicting
COVID-19 based on chest X-ray images", IEEE Journal of Biomedical and Health Informatics
24 (2020), 3595-3605, doi:10.1109/JBHI.2020.3037127.
"""


def load_covidgr(root: str | Path) -> Bunch:
    """List the X-rays of COVIDGR 1.0, with the severity of the positive ones.

    Parameters
    ----------
    root : str or Path
        Folder with ``P``, ``N`` and, optionally, ``severity.csv`` (columns ``Name``,
        without the file extension, and ``Severity``), or its parent folder. Names are
        case-sensitive.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted by class (N before P) and name.
        target : ndarray of shape (n,), int64
            1 for positive, 0 for negative.
        target_names : list of str
            ``["N", "P"]``.
        groups : None
            The set has no patient identifiers.
        split : None
            The set has no official split.
        severity : ndarray of shape (n,), object, or None
            Severity of the positive images as in the table ("NORMAL-PCR+", "MILD",
            "MODERATE", "SEVERE"); "" for negative images and for images missing in the
            table (one in the published set). None without the table.
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or a class has no images.
    ValueError
        If ``severity.csv`` lacks a column.

    References
    ----------
    .. [1] Tabik et al. (2020). "COVIDGR dataset and COVID-SDNet methodology for
       predicting COVID-19 based on chest X-ray images." IEEE Journal of Biomedical and
       Health Informatics 24, 3595-3605. https://doi.org/10.1109/JBHI.2020.3037127

    Examples
    --------
    >>> from skssl.datasets import load_covidgr
    >>> load_covidgr("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    folder = folder_with(
        root, ("P", "N"), below=("*",), what="COVIDGR 1.0", layout=_LAYOUT
    )
    negative, positive = required_images(folder / "N"), required_images(folder / "P")
    return file_bunch(
        negative + positive,
        [0] * len(negative) + [1] * len(positive),
        target_names=["N", "P"],
        groups=None,
        split=None,
        severity=_severity(folder / "severity.csv", len(negative), positive),
        descr=_DESCR.format(
            n_images=len(negative) + len(positive),
            n_positive=len(positive),
            n_negative=len(negative),
        ),
    )


def _severity(table: Path, n_negative: int, positive: list[Path]) -> np.ndarray | None:
    """Return the severity of each image, negative ones first; None without a table."""
    if not table.is_file():
        return None
    # The table lists positive images only; negative ones may have the same names.
    graded = {
        row["Name"].strip(): row["Severity"].strip()
        for row in read_table(table, ("Name", "Severity"))
    }
    grades = [graded.get(path.stem, graded.get(path.name, "")) for path in positive]
    return np.array([""] * n_negative + grades, dtype=object)
