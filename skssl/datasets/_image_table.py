"""Any set of image files listed in a table."""

from collections.abc import Sequence
from pathlib import Path

from sklearn.utils import Bunch

from skssl._names import unknown_name
from skssl.datasets._listing import (
    SPLIT_NAMES,
    existing_folder,
    file_bunch,
    patient_groups,
    wanted_splits,
)
from skssl.datasets._mending import mend_listing, refuse_contradictions
from skssl.datasets._tables import TableRow, read_header, read_table

__all__ = ["load_image_table"]


def load_image_table(
    table: str | Path,
    *,
    root: str | Path | None = None,
    filename: str = "filename",
    label: str | None = "label",
    group: str | None = None,
    split: str | None = None,
    subset: str | Sequence[str] | None = None,
) -> Bunch:
    r"""List the images of a comma-separated table.

    Parameters
    ----------
    table : str or Path
        The table: UTF-8, separated by commas, with the column names in the first line
        and one image per row.
    root : str, Path or None, default=None
        Folder to which the file names are relative; None means that of the table.
    filename : str, default="filename"
        Column of the file names.
    label : str or None, default="label"
        Column of the class. An image is unlabelled if the cell is empty, -1 (as a
        number, such as -1.0) or nan in any case. None lists all images as unlabelled.
    group : str or None, default=None
        Column of the group of each image, usually the patient; empty or nan if unknown.
    split : str or None, default=None
        Column of the split: train, val (also valid or validation) or test, in any
        case.
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to list; None lists all. Needs ``split``.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, in the order of the table.
        target : ndarray of shape (n,), int64
            Index of the class in ``target_names``; -1 for unlabelled.
        target_names : list of str
            Classes of the whole table as written there; sorted by value if all are
            numbers, else as text. Empty if ``label`` is None.
        groups : ndarray of shape (n,), str, or None
            Groups; None if ``group`` is None.
        split : ndarray of shape (n,), str, or None
            "train", "val" or "test"; None if ``split`` is None.
        DESCR : str
            What was listed.

    Raises
    ------
    FileNotFoundError
        If the table, ``root`` or a listed image does not exist.
    ValueError
        If a column or ``subset`` is unknown, an image is listed twice, a split is
        invalid, a numeric class is written in two ways (1 and 1.0), or no image is in
        ``subset``.

    Warns
    -----
    MissingPatientWarning
        If the group of some images is unknown; each of these images is its own group.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skssl.datasets import load_image_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder) / "scans.csv"
    ...     _ = table.write_text("file,grade,patient\na.png,10,p1\nb.png,9,p2\n")
    ...     for name in ("a.png", "b.png"):
    ...         Image.new("L", (8, 8)).save(Path(folder) / name)
    ...     scans = load_image_table(
    ...         table, filename="file", label="grade", group="patient"
    ...     )
    >>> scans.target, scans.target_names, scans.groups.tolist()
    (array([1, 0]), ['9', '10'], ['p1', 'p2'])
    """
    wanted = wanted_splits(subset)
    if subset is not None and split is None:
        raise ValueError(
            f"subset={subset!r} needs split, the name of the column with the splits."
        )
    file = Path(table).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"table {str(file)!r} is not a file.")
    columns = {"filename": filename, "label": label, "group": group, "split": split}
    header = read_header(file)
    for parameter, column in columns.items():
        if column is not None and column not in header:
            error = unknown_name(parameter, column, header)
            raise ValueError(f"{file} has no such column: {error}")
    rows = read_table(file, [name for name in columns.values() if name is not None])
    base = file.parent if root is None else existing_folder(root, "the images' folder")
    without_name = [row for row in rows if not row[filename]]
    if without_name:
        raise ValueError(f"{file}, line {without_name[0].line}: {filename} is empty.")
    paths = [base / row[filename] for row in rows]
    splits = _splits(rows, split, file) if split else None
    labels = [_label(row[label]) if label else "" for row in rows]
    names = _classes(labels, rows, file)
    class_index = {name: i for i, name in enumerate(names)}
    told = [(label, splits and splits[k]) for k, label in enumerate(labels)]
    refuse_contradictions(paths, told, file)
    kept = [k for k in range(len(rows)) if splits is None or splits[k] in wanted]
    if not kept:
        raise ValueError(f"subset={subset!r} lists none of the images of {file}.")
    groups = None
    if group is not None:
        groups = patient_groups(
            [_cell_text(rows[k][group]) for k in kept],
            [rows[k][filename] for k in kept],
            f"Fill the column {group} of {file}.",
        )
    mended = mend_listing(
        [paths[k] for k in kept],
        file,
        labels=[told[k] for k in kept],
        patients=groups,
    )
    kept, groups = [kept[i] for i in mended.rows], mended.patients
    return file_bunch(
        mended.paths,
        [class_index.get(labels[k], -1) for k in kept],
        target_names=names,
        groups=groups,
        split=None if splits is None else [splits[k] for k in kept],
        descr=(
            f"{len(kept)} image files of {file.name}, listed by "
            "skssl.datasets.load_image_table. Source, license and reference: those of "
            "the files."
        ),
    )


def _splits(rows: Sequence[TableRow], column: str, table: Path) -> list[str]:
    """Return the split of each row."""
    splits = []
    for row in rows:
        name = SPLIT_NAMES.get(row[column].strip().lower())
        if name is None:
            raise ValueError(
                f"{table}, line {row.line}: the split must be one of "
                f"{', '.join(SPLIT_NAMES)}, got {row[column]!r}."
            )
        splits.append(name)
    return splits


def _cell_text(text: str) -> str:
    """Return the text of a cell; empty for "nan", which pandas may write."""
    text = text.strip()
    return "" if text.lower() == "nan" else text


def _number(text: str) -> float | None:
    """Return text as a number, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def _label(text: str) -> str:
    """Return the class in a cell; empty if the image is unlabelled."""
    text = _cell_text(text)
    return "" if _number(text) == -1 else text


def _classes(labels: Sequence[str], rows: Sequence[TableRow], table: Path) -> list[str]:
    """Sort the classes by value if all are numbers, else as text."""
    lines: dict[str, int] = {}
    for label, row in zip(labels, rows, strict=True):
        if label:
            lines.setdefault(label, row.line)
    values = {label: _number(label) for label in lines}
    if None in values.values():
        return sorted(lines)
    spellings: dict[float | None, str] = {}
    for label, value in values.items():
        other = spellings.setdefault(value, label)
        if other != label:
            raise ValueError(
                f"{table}: one label is {other!r} in line {lines[other]} and {label!r} "
                f"in line {lines[label]}. Use one spelling."
            )
    return sorted(lines, key=float)
