"""CheXpert: chest X-rays of 65,240 patients, with labels read from reports."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sklearn.utils import Bunch

from skssl._names import unknown_name
from skssl.datasets._listing import (
    SPLIT_NAMES,
    contents,
    file_bunch,
    folder_with,
    wanted_splits,
)
from skssl.datasets._mending import mend_listing
from skssl.datasets._tables import read_table

__all__ = ["load_chexpert"]

_FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_UNCERTAIN = {"ignore": -1, "positive": 1, "negative": 0}
_VIEWS = ("frontal", "lateral")
_TABLES = {
    "train": ("train.csv",),
    "val": ("valid.csv",),
    "test": ("test.csv", "test_labels.csv"),
}
# At full size, the images are published in several folders; one holds the tables.
_BATCHES = "CheXpert-v1.0 batch *"
_LAYOUT = (
    "a folder with train.csv, valid.csv and the images in train/patient*/study*/ and "
    "valid/patient*/study*/, or the folders 'CheXpert-v1.0 batch 1 (validate & csv)' "
    "to 'batch 4 (train 3)'"
)
_DESCR = """\
CheXpert
--------

{n_images} chest X-rays of {n_groups} patients of Stanford Hospital, 2002 to 2017, in
the official split. {target} Labels of train were extracted automatically from the
radiology reports; those of the other splits were given by radiologists.

Source: https://stanfordmlgroup.github.io/competitions/chexpert/. License: Stanford
University Dataset Research Use Agreement.
References: Irvin et al., "CheXpert: a large chest radiograph dataset with uncertainty
labels and expert comparison", AAAI 33 (2019), 590-597,
doi:10.1609/aaai.v33i01.3301590.
"""


def load_chexpert(
    root: str | Path,
    *,
    finding: str | None = None,
    uncertain: str = "ignore",
    view: str | None = None,
    subset: str | Sequence[str] | None = None,
) -> Bunch:
    """List the images of CheXpert, without labels or with those of one finding.

    Parameters
    ----------
    root : str or Path
        Folder with ``train.csv``, ``valid.csv`` and, in some releases, ``test.csv``,
        or a folder that contains it as ``CheXpert-v1.0*``. The column ``Path`` names
        the images; the folder before ``train/``, ``valid/`` or ``test/``
        is ignored, so that ``root`` may have another name. At full size, ``root`` holds
        the folders "CheXpert-v1.0 batch …" with the patients of train.
    finding : str or None, default=None
        Column of the label, such as "Pneumonia". None lists all images as unlabelled,
        for pretraining.
    uncertain : {"ignore", "positive", "negative"}, default="ignore"
        Replaces uncertain labels (-1 in the table) by -1 (unlabelled), 1 or 0: the
        policies U-Ignore, U-Ones and U-Zeros of [1]_.
    view : {"frontal", "lateral"} or None, default=None
        Which views to list; None lists both.
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to list; None lists all whose table exists.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted within each split.
        target : ndarray of shape (n,), int64
            1 with the finding, 0 without it or where the report does not mention it,
            -1 for unlabelled.
        target_names : list of str
            ``["not <finding>", "<finding>"]``; empty without ``finding``.
        groups : ndarray of shape (n,), str
            Patients.
        split : ndarray of shape (n,), str
            "train", "val" or "test".
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or the table of a requested split or a
        listed image does not exist.
    ValueError
        If a parameter has an unknown value, a table lacks a column or has an invalid
        label or path, or no image has the view.

    Notes
    -----
    The existence of every image is checked. **Choice**: an empty label is 0, as in
    [1]_, whose policies differ for uncertain labels only.

    References
    ----------
    .. [1] Irvin et al. (2019). "CheXpert: a large chest radiograph dataset with
       uncertainty labels and expert comparison." AAAI 33, 590-597.
       https://doi.org/10.1609/aaai.v33i01.3301590

    Examples
    --------
    >>> from skssl.datasets import load_chexpert
    >>> load_chexpert("CheXpert-v1.0-small", finding="pneumonia")
    Traceback (most recent call last):
    ...
    ValueError: finding='pneumonia' is unknown. Did you mean 'Pneumonia'...
    """
    for name, value, known in (
        ("finding", finding, _FINDINGS),
        ("uncertain", uncertain, _UNCERTAIN),
        ("view", view, _VIEWS),
    ):
        if value is not None and value not in known:
            raise unknown_name(name, value, known)
    tables = _tables(root, subset)
    rows: list[_Row] = []
    for split, table in tables.items():
        listed = _read_split(table, split, finding, _UNCERTAIN[uncertain], view)
        if split == "train":
            listed = _batch_paths(listed, table.parent)
        mended = mend_listing(
            [row.path for row in listed], table, labels=[row.label for row in listed]
        )
        rows += [
            listed[k]._replace(path=path)
            for k, path in zip(mended.rows, mended.paths, strict=True)
        ]
    if not rows:
        raise ValueError(
            f"view={view!r} lists none of the images of root {str(root)!r}."
        )
    about = f"Target: 1 with {finding}, 0 without, uncertain labels: {uncertain}."
    return file_bunch(
        [row.path for row in rows],
        [row.label for row in rows],
        target_names=[f"not {finding}", finding] if finding else [],
        groups=[row.patient for row in rows],
        split=[row.split for row in rows],
        descr=_DESCR.format(
            n_images=len(rows),
            n_groups=len({row.patient for row in rows}),
            target=about if finding else "Unlabelled: target is -1 everywhere.",
        ),
    )


class _Row(NamedTuple):
    path: str
    label: int
    patient: str
    split: str


def _tables(root: str | Path, subset: str | Sequence[str] | None) -> dict[str, Path]:
    """Return the tables of the requested splits."""
    wanted = wanted_splits(subset)
    folder = folder_with(
        root,
        ("train.csv", "valid.csv"),
        below=("CheXpert-v1.0*",),
        need=any,
        what="CheXpert",
        layout=_LAYOUT,
    )
    tables = {
        split: [folder / name for name in _TABLES[split] if (folder / name).is_file()]
        for split in wanted
    }
    found = {split: paths[0] for split, paths in tables.items() if paths}
    if subset is not None and len(found) < len(wanted):
        split = next(split for split in wanted if split not in found)
        absent = folder / _TABLES[split][0]
        raise FileNotFoundError(
            f"subset={subset!r} needs {absent}, which does not exist; found "
            f"{contents(folder)}."
        )
    return found


def _read_split(
    table: Path, split: str, finding: str | None, uncertain: int, view: str | None
) -> list[_Row]:
    """Read one table, sorted by path."""
    columns = ("Path", finding) if finding else ("Path",)
    labels = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
    labels |= {"-1": uncertain, "-1.0": uncertain}
    base = f"{table.parent}/"
    rows = []
    for row in read_table(table, columns):
        path = row["Path"]
        first, _, rest = path.partition("/")
        below = path if first in SPLIT_NAMES else rest
        parts = below.split("/")
        if len(parts) < 3 or parts[0] not in SPLIT_NAMES:
            raise ValueError(
                f"{table}, line {row.line}: Path must be such as CheXpert-v1.0-small/"
                f"train/patient00001/study1/view1_frontal.jpg, got {path!r}."
            )
        if view is not None and not parts[-1].partition(".")[0].endswith(view):
            continue
        label = labels.get(row[finding]) if finding else -1
        if label is None:
            raise ValueError(
                f"{table}, line {row.line}: {finding} must be 1, 0, -1 or empty, got "
                f"{row[columns[-1]]!r}."
            )
        rows.append(_Row(base + below, label, parts[1], split))
    return sorted(rows)


def _batch_paths(rows: list[_Row], folder: Path) -> list[_Row]:
    """Return rows of train with paths into the folders of the full-size release."""
    if (folder / "train").is_dir():
        return rows
    patient_folders = {
        patient.name: str(patient)
        for batch in sorted(folder.parent.glob(_BATCHES))
        for patient in batch.glob("patient*")
    }
    n_before = len(f"{folder}/train/")
    moved = []
    for row in rows:
        if row.patient in patient_folders:
            below = row.path[n_before + len(row.patient) :]
            moved.append(row._replace(path=patient_folders[row.patient] + below))
        else:
            moved.append(row)
    return moved
