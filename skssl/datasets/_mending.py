"""Mend what published lists of files get wrong, and say so."""

import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from skssl._warn import warn

__all__ = ["ListingWarning", "Mended", "mend_listing", "refuse_contradictions"]

_MAX_MISSING = 0.05  # of the rows; if more files are missing, the folder is wrong


class ListingWarning(UserWarning):
    """A list of files has blemishes, which were mended."""


class Mended(NamedTuple):
    """The rows of a list that can be used.

    Attributes
    ----------
    rows : list of int
        In ascending order.
    paths : list of str
        The files of these rows, under the names that they have on the disk.
    patients : list of str or None
        The patient of each of these rows; one name for patients who share a file.
    """

    rows: list[int]
    paths: list[str]
    patients: list[str] | None


def mend_listing(
    paths: Sequence[str | Path],
    table: Path,
    *,
    labels: Sequence[Hashable] | None = None,
    patients: Sequence[str] | None = None,
) -> Mended:
    """Find listed files, and mend the list where its meaning is certain.

    Parameters
    ----------
    paths : sequence of str or Path
        The file of each row.
    table : Path
        Where they are listed, for messages.
    labels : sequence, optional
        What two rows of one file must agree on.
    patients : sequence of str, optional

    Returns
    -------
    Mended

    Raises
    ------
    FileNotFoundError
        If more than a few files are missing.
    ValueError
        If a file is listed with different labels.

    Warns
    -----
    ListingWarning
        If files have names that differ by spaces, case or ``%`` for ``_``; if a few
        files are missing, whose rows are left out; if a file is listed repeatedly. If
        it has several patients then, they become one patient.
    """
    # os.path, since creating a Path costs more than the check itself.
    absent = [i for i, path in enumerate(paths) if not os.path.isfile(path)]  # noqa: PTH113
    found = [os.path.normpath(path) for path in paths]
    renamed = _find_renamed(found, absent)
    for row, path in renamed.items():
        found[row] = path
    missing = [row for row in absent if row not in renamed]
    _check_missing(found, missing, table)
    left_out = set(missing)
    rows = [row for row in range(len(found)) if row not in left_out]
    if labels is not None:
        refuse_contradictions(found, labels, table)
    first: dict[str, int] = {}
    kept, repeated = [], []
    for row in rows:
        earlier = first.setdefault(found[row], row)
        if earlier == row:
            kept.append(row)
            continue
        repeated.append((earlier, row))
    merged = None if patients is None else _join(patients, repeated)
    _warn_of(table, found, renamed, missing, repeated)
    return Mended(
        kept,
        [found[row] for row in kept],
        None if merged is None else [merged[row] for row in kept],
    )


def refuse_contradictions(
    paths: Sequence[str | Path], labels: Sequence[Hashable], table: Path
) -> None:
    """Raise ValueError if a file is listed with different labels."""
    known: dict[str, Hashable] = {}
    for path, label in zip(paths, labels, strict=True):
        other = known.setdefault(str(path), label)
        if other != label:
            raise ValueError(
                f"{path} is listed in {table} as {other!r} and as {label!r}: correct "
                "the table."
            )


def _find_renamed(paths: Sequence[str], absent: Sequence[int]) -> dict[int, str]:
    """Return the files that are meant by names of absent ones, by row."""
    by_folder: dict[str, dict[str, list[str]]] = {}
    claimed = set(paths)
    renamed = {}
    for row in absent:
        folder, name = os.path.split(paths[row].strip())
        if folder not in by_folder:
            by_folder[folder] = _by_key(folder)
        candidates = by_folder[folder].get(_key(name), [])
        # A file that another row lists by its own name is not meant.
        if len(candidates) == 1 and candidates[0] not in claimed:
            renamed[row] = candidates[0]
    return renamed


def _by_key(folder: str) -> dict[str, list[str]]:
    """Return the files of a folder by what their names are compared by."""
    names: dict[str, list[str]] = defaultdict(list)
    if Path(folder).is_dir():
        for path in Path(folder).iterdir():
            if path.is_file():
                names[_key(path.name)].append(os.path.normpath(path))
    return names


def _key(name: str) -> str:
    return name.strip().lower().replace("%", "_").replace(".jpeg", ".jpg")


def _check_missing(paths: Sequence[str], missing: Sequence[int], table: Path) -> None:
    """Raise FileNotFoundError if more than a few files are missing."""
    if len(missing) > _MAX_MISSING * len(paths):
        total = f" ({len(missing)} files are missing in total)"
        raise FileNotFoundError(
            f"{paths[missing[0]]} is listed in {table} but does not exist"
            f"{total if len(missing) > 1 else ''}."
        )


def _join(patients: Sequence[str], repeated: Sequence[tuple[int, int]]) -> list[str]:
    """Return patients, with one name for those who share a file."""
    parent: dict[str, str] = {}

    def root(patient: str) -> str:
        while patient in parent:
            patient = parent[patient]
        return patient

    for first, other in repeated:
        one, two = root(patients[first]), root(patients[other])
        if one != two:
            parent[two] = one
    return [root(patient) for patient in patients]


def _warn_of(
    table: Path,
    paths: Sequence[str],
    renamed: dict[int, str],
    missing: Sequence[int],
    repeated: Sequence[tuple[int, int]],
) -> None:
    told = []
    for what, rows in (
        ("found under another name", list(renamed)),
        ("missing and left out", list(missing)),
        ("listed repeatedly and taken once", [row for _, row in repeated]),
    ):
        if rows:
            name = PurePath(paths[rows[0]]).name
            told.append(f"{len(rows)} {what} (such as {name})")
    if told:
        warn(ListingWarning(f"files of {table}: {', '.join(told)}."))
