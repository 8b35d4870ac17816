"""ChestX-ray14: chest X-rays with fourteen findings, or pneumonia versus healthy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl._names import unknown_name
from skssl._random import RandomState, spawn_seeds
from skssl.datasets._listing import (
    file_bunch,
    folder_with,
    image_files,
    wanted_splits,
)
from skssl.datasets._mending import mend_listing
from skssl.datasets._tables import read_table

__all__ = ["load_chestxray14"]

_FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
_HEALTHY = "No Finding"
_TASKS = ("pneumonia", "findings")
_TABLES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_LAYOUT = (
    "a folder with Data_Entry_2017.csv (or Data_Entry_2017_v2020.csv), "
    "train_val_list.txt, test_list.txt and the images in images_001/images/ to "
    "images_012/images/ or in images/"
)
_DESCR = """\
ChestX-ray14
------------

{n_images} frontal chest X-rays of {n_groups} patients of the NIH Clinical Center, in
the official split by patient ("train" is train_val_list.txt). {target} Labels were
extracted automatically from the radiology reports.

Source: https://nihcc.app.box.com/v/ChestXray-NIHCC. License: free use, with a link to
the source, the citation below and an acknowledgement of the NIH Clinical Center.
References: Wang et al., "ChestX-ray8: hospital-scale chest X-ray database and
benchmarks on weakly-supervised classification and localization of common thorax
diseases", CVPR (2017), 3462-3471, doi:10.1109/CVPR.2017.369.
"""


def load_chestxray14(
    root: str | Path,
    *,
    task: str = "pneumonia",
    random_state: RandomState = 0,
    subset: str | Sequence[str] | None = None,
) -> Bunch:
    """List images of ChestX-ray14: pneumonia versus healthy, or all findings.

    Parameters
    ----------
    root : str or Path
        Folder with ``Data_Entry_2017.csv`` (or ``Data_Entry_2017_v2020.csv``),
        ``train_val_list.txt``, ``test_list.txt``, and the images in
        ``images_001/images`` to ``images_012/images`` or in ``images``.
    task : {"pneumonia", "findings"}, default="pneumonia"
        "pneumonia" lists, in each split, every image with the finding Pneumonia and the
        same number of images of healthy patients. "findings" lists all images.
    random_state : int, RandomState, Generator or None, default=0
        Seeds the selection of the healthy images, which does not depend on ``subset``.
        Not used for "findings".
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to list; None lists all. "val" has no image.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted by name within each split.
        target : ndarray of shape (n,) or (n, 14), int64
            "pneumonia": 1 for pneumonia, 0 for healthy. "findings": 1 where the image
            has the finding of the column.
        target_names : list of str
            ``["healthy", "pneumonia"]``, or the fourteen findings.
        groups : ndarray of shape (n,), str
            Patients.
        split : ndarray of shape (n,), str
            "train" for ``train_val_list.txt``, or "test".
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or a listed image does not exist.
    ValueError
        If ``task`` or ``subset`` is unknown, a table lacks a column, a finding is
        unknown, an image is in neither list, there are too few healthy images, or no
        image is in ``subset``.

    Notes
    -----
    Gazda et al. [2]_ use the patients with pneumonia and the same number of healthy
    controls, 1,353 images of each; the number here follows from the table. **Choice**:
    healthy patients are those without a finding in any of their images, and their
    images are sampled at random, without replacement.

    References
    ----------
    .. [1] Wang et al. (2017). "ChestX-ray8: hospital-scale chest X-ray database and
       benchmarks on weakly-supervised classification and localization of common thorax
       diseases." CVPR, 3462-3471. https://doi.org/10.1109/CVPR.2017.369
    .. [2] Gazda et al. (2021). "Self-supervised deep convolutional neural network for
       chest X-ray classification." IEEE Access 9.
       https://doi.org/10.1109/ACCESS.2021.3125324

    Examples
    --------
    >>> from skssl.datasets import load_chestxray14
    >>> load_chestxray14("ChestX-ray14", task="finding")
    Traceback (most recent call last):
    ...
    ValueError: task='finding' is unknown. Did you mean 'findings'? Known: findings,...
    """
    if task not in _TASKS:
        raise unknown_name("task", task, _TASKS)
    wanted = wanted_splits(subset)
    folder = folder_with(root, _TABLES, need=any, what="ChestX-ray14", layout=_LAYOUT)
    folder_with(folder, tuple(_LISTS.values()), what="ChestX-ray14", layout=_LAYOUT)
    table = next(folder / name for name in _TABLES if (folder / name).is_file())
    names, findings, patients = _read_entries(table)
    splits = _splits(folder, names)
    chosen = np.isin(splits, wanted)
    if task == "pneumonia":
        rng = np.random.default_rng(spawn_seeds(random_state, 1)[0])
        chosen &= _balanced(rng, findings, patients, splits)
    if not chosen.any():
        raise ValueError(
            f"subset={subset!r} lists no image; the official split has train and test."
        )
    rows = np.flatnonzero(chosen)  # by name
    rows = rows[np.argsort(splits[rows] == "test", kind="stable")]
    image_paths = _image_paths(folder)
    mended = mend_listing(
        [image_paths.get(name, folder / "images" / name) for name in names[rows]],
        table,
        labels=[found.tobytes() for found in findings[rows]],
        patients=patients[rows].tolist(),
    )
    rows = rows[mended.rows]
    groups = np.array(mended.patients)
    target, target_names = findings[rows], list(_FINDINGS)
    about = "Targets are fourteen findings; an image may have several."
    if task == "pneumonia":
        target = target[:, _FINDINGS.index("Pneumonia")]
        target_names = ["healthy", "pneumonia"]
        about = (
            f"{target.sum()} have pneumonia (target 1), the others belong to patients "
            "without any finding (target 0)."
        )
    return file_bunch(
        mended.paths,
        target,
        target_names=target_names,
        groups=groups,
        split=splits[rows],
        descr=_DESCR.format(
            n_images=len(rows), n_groups=len(set(groups)), target=about
        ),
    )


def _read_entries(table: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return names (n,), findings (n, 14) of 0 and 1, and patients (n,), by name."""
    rows = read_table(table, ("Image Index", "Finding Labels", "Patient ID"))
    column = {name: place for place, name in enumerate(_FINDINGS)}
    findings = np.zeros((len(rows), len(_FINDINGS)), np.int64)
    for number, row in enumerate(rows):
        for name in row["Finding Labels"].split("|"):
            if name in column:
                findings[number, column[name]] = 1
            elif name != _HEALTHY:
                error = unknown_name("Finding Labels", name, (*_FINDINGS, _HEALTHY))
                raise ValueError(f"{table}, line {row.line}: {error}")
    names = np.array([row["Image Index"] for row in rows])
    patients = np.array([row["Patient ID"] for row in rows])
    order = np.argsort(names, kind="stable")
    return names[order], findings[order], patients[order]


def _splits(folder: Path, names: np.ndarray) -> np.ndarray:
    """Return the official split of each image, from its two lists."""
    listed = {
        line.strip(): split
        for split, name in _LISTS.items()
        for line in (folder / name).read_text(encoding="utf-8-sig").splitlines()
    }
    absent = [name for name in names if name not in listed]
    if absent:
        raise ValueError(
            f"{absent[0]} is in neither {' nor '.join(_LISTS.values())} of "
            f"{str(folder)!r} ({len(absent)} images are missing in total)."
        )
    return np.array([listed[name] for name in names])


def _balanced(
    rng: np.random.Generator,
    findings: np.ndarray,
    patients: np.ndarray,
    splits: np.ndarray,
) -> np.ndarray:
    """Mark the images with pneumonia, and as many healthy ones, in each split."""
    chosen = findings[:, _FINDINGS.index("Pneumonia")] == 1
    healthy = ~np.isin(patients, np.unique(patients[findings.any(axis=1)]))
    for split, list_name in _LISTS.items():
        n_pneumonia = np.sum(chosen & (splits == split))
        candidates = np.flatnonzero(healthy & (splits == split))
        if len(candidates) < n_pneumonia:
            raise ValueError(
                f"{list_name} has {n_pneumonia} images with Pneumonia, but only "
                f"{len(candidates)} of patients without any finding."
            )
        chosen[rng.choice(candidates, n_pneumonia, replace=False)] = True
    return chosen


def _image_paths(folder: Path) -> dict[str, Path]:
    """Map the names of all images to their paths."""
    return {
        path.name: path
        for image_folder in sorted(folder.glob("images*"))
        if image_folder.is_dir()
        for path in image_files(image_folder)
    }
