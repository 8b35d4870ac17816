"""What the loaders of image files share: listing, checking, reading tables."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

__all__ = [
    "SPLITS",
    "MissingPatientWarning",
    "contents",
    "existing_folder",
    "file_bunch",
    "read_table",
    "require_files",
]

SPLITS = ("train", "val", "test")


class MissingPatientWarning(UserWarning):
    """The patient of some images is not known, so that splits may mix patients."""


def existing_folder(root: str | Path, expected: str) -> Path:
    """Return ``root`` as a Path, or say that there is no such folder."""
    folder = Path(root).expanduser()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"root {str(folder)!r} {what}. Expected {expected}.")
    return folder


def contents(folder: Path) -> str:
    """Describe what lies in a folder, for error messages."""
    names = sorted(
        path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()
    )
    if not names:
        return "nothing"
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(map(repr, names[:6])) + more


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a comma-separated file that has the given columns."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        found = reader.fieldnames or []
        missing = [column for column in columns if column not in found]
        if missing:
            raise ValueError(
                f"{path} lacks the columns {missing}. It has {list(found)}; "
                f"{list(columns)} are needed."
            )
        rows = list(reader)
    if not rows:
        raise ValueError(f"{path} has a header and no rows.")
    return rows


def require_files(paths: Iterable[Path], listed_in: Path) -> None:
    """Raise FileNotFoundError if a listed file is absent."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        others = f" (nor do {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{missing[0]} is listed in {listed_in} but does not exist{others}."
        )


def file_bunch(
    paths: Sequence[Path],
    target: Sequence[int],
    *,
    target_names: Sequence[str],
    groups: Sequence[object] | None,
    split: Sequence[str] | None,
    descr: str,
    **more: object,
) -> Bunch:
    """Gather a set of image files the way all loaders return it."""
    return Bunch(
        data=np.array([str(path) for path in paths], dtype=object),
        target=np.array(target, dtype=np.int64),
        target_names=list(target_names),
        groups=None if groups is None else np.asarray(groups),
        split=None if split is None else np.asarray(split, dtype=str),
        DESCR=descr,
        **more,
    )
