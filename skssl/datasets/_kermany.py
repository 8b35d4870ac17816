"""Cell: chest X-rays of children with and without pneumonia (Kermany et al.)."""

import re
from collections.abc import Sequence
from pathlib import Path

from sklearn.utils import Bunch

from skssl.datasets._listing import (
    contents,
    file_bunch,
    folder_with,
    required_images,
    wanted_splits,
)

__all__ = ["load_kermany"]

_CLASSES = ("NORMAL", "PNEUMONIA")
_LAYOUT = (
    "a folder with train/, test/ and optionally val/, each with NORMAL/ and PNEUMONIA/"
)
_PERSON = re.compile(r"(person\d+)_")
_NUMBER = re.compile(r"((?:NORMAL2-)?IM-\d+)-|(?:BACTERIA|VIRUS|NORMAL)-(\d+)-")
_DESCR = """\
Cell (Kermany)
--------------

{n_images} frontal chest X-rays of children aged one to five years at one hospital in
Guangzhou, {n_normal} normal (target 0) and {n_pneumonia} with bacterial or viral
pneumonia (target 1), in the official split. {n_groups} groups: the children, as
identified by the file names. The folder val/ of some releases has 16 images, too few to
select a model.

Source: https://data.mendeley.com/datasets/rscbjbr9sj/3. License: CC BY 4.0.
References: Kermany et al., "Identifying medical diagnoses and treatable diseases by
image-based deep learning", Cell 172 (2018), 1122-1131, doi:10.1016/j.cell.2018.02.010.
"""


def _patient(path: Path, split: str) -> str:
    """Return the patient from the name of a file."""
    person = _PERSON.match(path.name)
    if person:
        # Numbering restarts in test; val was taken from train and shares its numbers.
        return f"{'test' if split == 'test' else 'train'}/{person[1]}"
    number = _NUMBER.match(path.name)
    if number is None:
        raise ValueError(
            f"the name of {path} does not identify a patient. Expected a name such as "
            "person1_bacteria_1.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-1427-0001.jpeg or "
            "BACTERIA-1008087-0001.jpeg."
        )
    return number[1] or number[2]


def load_kermany(
    root: str | Path, *, subset: str | Sequence[str] | None = None
) -> Bunch:
    """List Kermany's chest X-rays ("Cell") with labels, patients and official split.

    Parameters
    ----------
    root : str or Path
        Folder with ``{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg``, where ``val`` is
        optional, or a folder that contains it as ``chest_xray`` or
        ``CellData/chest_xray``.
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to list; None lists all that exist.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted within each split and class.
        target : ndarray of shape (n,), int64
            0 for NORMAL, 1 for PNEUMONIA.
        target_names : list of str
            ``["NORMAL", "PNEUMONIA"]``.
        groups : ndarray of shape (n,), str
            Patients.
        split : ndarray of shape (n,), str
            "train", "val" or "test".
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or a class of a split has no images.
    ValueError
        If ``subset`` is unknown, or a file name does not identify a patient.

    Notes
    -----
    Patients are identified by the file names of two releases.
    ``BACTERIA-1008087-0001.jpeg`` gives the number only. ``IM-0115-0001.jpeg`` and
    ``NORMAL2-IM-1427-0001.jpeg`` give ``IM-0115`` and ``NORMAL2-IM-1427``; these two
    numberings continue across the splits. ``person1_bacteria_1.jpeg`` gives
    ``train/person1`` or ``test/person1``. **Choice**: a number of train may recur in
    test with the other kind of pneumonia (``person100_virus_184.jpeg`` and
    ``person100_bacteria_475.jpeg``). These are treated as two children: bacterial and
    viral images are numbered separately, and the split is prefixed to the number.
    Within a split, a number that occurs with both kinds is treated as one child, since
    the names do not rule it out; merging two children costs little, dividing one leaks.
    Images of ``val`` were taken from train and share its numbers.

    References
    ----------
    .. [1] Kermany et al. (2018). "Identifying medical diagnoses and treatable diseases
       by image-based deep learning." Cell 172, 1122-1131.
       https://doi.org/10.1016/j.cell.2018.02.010

    Examples
    --------
    >>> from skssl.datasets import load_kermany
    >>> load_kermany("no-such-folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: root 'no-such-folder' does not exist. Expected a folder with...
    """
    wanted = wanted_splits(subset)
    folder = folder_with(
        root,
        ("train", "test"),
        below=("chest_xray", "CellData/chest_xray"),
        what="Kermany's chest X-rays",
        layout=_LAYOUT,
    )
    if subset is None and not (folder / "val").is_dir():
        wanted = ("train", "test")
    elif not all((folder / name).is_dir() for name in wanted):
        raise FileNotFoundError(
            f"subset={subset!r} needs a folder that {str(folder)!r} lacks; found "
            f"{contents(folder)}."
        )
    listed = [
        (path, label, split)
        for split in wanted
        for label, name in enumerate(_CLASSES)
        for path in required_images(folder / split / name)
    ]
    paths, target, splits = zip(*listed, strict=True)
    groups = [_patient(path, split) for path, _, split in listed]
    return file_bunch(
        paths,
        target,
        target_names=_CLASSES,
        groups=groups,
        split=splits,
        descr=_DESCR.format(
            n_images=len(listed),
            n_groups=len(set(groups)),
            n_normal=len(listed) - sum(target),
            n_pneumonia=sum(target),
        ),
    )
