"""What the loaders of image files share: listing, checking, reading tables."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skssl._warn import warn

__all__ = [
    "IMAGE_ENDINGS",
    "SPLITS",
    "SPLIT_NAMES",
    "MissingPatientWarning",
    "TableRow",
    "contents",
    "existing_folder",
    "file_bunch",
    "folder_with",
    "image_files",
    "no_images",
    "patient_groups",
    "read_header",
    "read_table",
    "require_files",
    "require_once",
    "required_images",
    "sub_folders",
    "wanted_splits",
]

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
IMAGE_ENDINGS = (
    ".bmp",
    ".dcm",
    ".gif",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)


class TableRow(dict[str, str]):
    """The fields of a table's row by column, and the line of the file it ends in."""

    __slots__ = ("line",)
    line: int


class MissingPatientWarning(UserWarning):
    """The patient of some images is not known, so that splits may mix patients."""


def wanted_splits(subset: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the splits that ``subset`` asks for, in their usual order."""
    if subset is None:
        return SPLITS
    wanted = (subset,) if isinstance(subset, str) else tuple(subset)
    if not wanted or not set(wanted) <= set(SPLITS):
        raise ValueError(
            "subset must be 'train', 'val', 'test', several of them or None, got "
            f"{subset!r}."
        )
    return tuple(split for split in SPLITS if split in wanted)


def existing_folder(root: str | Path, expected: str) -> Path:
    """Return ``root`` as a Path, or say that there is no such folder."""
    folder = Path(root).expanduser()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"root {str(folder)!r} {what}. Expected {expected}.")
    return folder


def folder_with(
    root: str | Path,
    names: Sequence[str],
    *,
    below: Sequence[str] = (),
    need: Callable[[Iterable[object]], bool] = all,
    what: str,
    layout: str,
) -> Path:
    """Find the folder that a published set was unpacked into.

    That is ``root``, or the first folder below it that fits one of the patterns
    ``below`` and has the files or folders ``names``; all or any of these (``need``).
    """
    folder = existing_folder(root, layout)
    for pattern in ("", *below):
        places = sorted(folder.glob(pattern)) if pattern else [folder]
        for place in places:
            if need((place / name).exists() for name in names):
                return place
    raise FileNotFoundError(
        f"root {str(folder)!r} is not laid out as {what}. Expected {layout}; found "
        f"{contents(folder)}."
    )


def contents(folder: Path) -> str:
    """Describe what lies in a folder, for error messages."""
    names = sorted(
        path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()
    )
    if not names:
        return "nothing"
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(map(repr, names[:6])) + more


def sub_folders(folder: Path) -> list[Path]:
    """Sorted folders, without hidden ones and those that archivers leave."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    )


def image_files(
    class_folder: Path, endings: tuple[str, ...] = IMAGE_ENDINGS
) -> list[Path]:
    """List all images below a class folder, or below its ``images`` if it has one."""
    inner = class_folder / "images"
    folder = inner if inner.is_dir() else class_folder
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in endings
        and not path.name.startswith(".")
        and path.is_file()
    )


def no_images(class_folder: Path, endings: tuple[str, ...]) -> FileNotFoundError:
    """Return the error for a class without images, to be raised by the caller."""
    found = contents(class_folder) if class_folder.is_dir() else "no such folder"
    return FileNotFoundError(
        f"class folder {str(class_folder)!r} has no images. Expected files ending in "
        f"{', '.join(endings)}; found {found}."
    )


def required_images(class_folder: Path) -> list[Path]:
    """List the images of a class folder, or say that there are none."""
    files = image_files(class_folder)
    if not files:
        raise no_images(class_folder, IMAGE_ENDINGS)
    return files


@contextmanager
def _open_table(path: Path) -> Iterator[Any]:
    """Yield the reader of a comma-separated file, which must be UTF-8."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            yield csv.reader(file)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} must be UTF-8 text, and is not: {error}. Save it as UTF-8."
            ) from error


def read_header(path: Path) -> list[str]:
    """Read the names of the columns of a comma-separated file."""
    with _open_table(path) as reader:
        return next(reader, [])


def read_table(path: Path, columns: Sequence[str]) -> list[TableRow]:
    """Read the given columns of a comma-separated file, a dictionary for each row.

    Rows of nothing are passed over.
    """
    found = read_header(path)
    missing = [column for column in columns if column not in found]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {missing}. It has {found}; "
            f"{list(columns)} are needed."
        )
    places = {column: found.index(column) for column in columns}
    n_needed = max(places.values()) + 1
    rows = []
    with _open_table(path) as reader:
        # csv.DictReader takes three times as long, which tells on 224,316 rows
        next(reader)
        for row in filter(None, reader):
            if len(row) < n_needed:
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, and "
                    f"{n_needed} are needed to reach {found[n_needed - 1]!r}."
                )
            rows.append(TableRow((name, row[place]) for name, place in places.items()))
            rows[-1].line = reader.line_num
    if not rows:
        raise ValueError(f"{path} has a header and no rows.")
    return rows


def require_files(paths: Iterable[str | Path], listed_in: Path) -> None:
    """Raise FileNotFoundError if a listed file is absent, ValueError if it is twice."""
    paths = list(paths)
    require_once(paths, listed_in)
    # as str where there are many: a Path object costs more than the question
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        others = f" (nor do {len(missing) - 1} others)" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{missing[0]} is listed in {listed_in} but does not exist{others}."
        )


def require_once(paths: Sequence[str | Path], listed_in: Path) -> None:
    """Raise ValueError if a listed file is twice in the list."""
    if len(set(paths)) < len(paths):
        (twice, n), *_ = Counter(paths).most_common(1)
        raise ValueError(f"{twice} is listed {n} times in {listed_in}.")


def patient_groups(
    patients: Sequence[str], alone: Sequence[str], advice: str
) -> list[str]:
    """Name the patients; an image whose patient is not known stands alone.

    ``patients`` is empty where the patient is not known, and ``alone`` is then the
    name of the group.
    """
    n_unknown = sum(not patient for patient in patients)
    if n_unknown:
        warn(
            MissingPatientWarning(
                f"The patients of {n_unknown} of {len(patients)} images are not known; "
                "each is a group of its own, so that a split by groups may divide a "
                f"patient. {advice}"
            )
        )
    return [patient or name for patient, name in zip(patients, alone, strict=True)]


def file_bunch(
    paths: Sequence[str | Path],
    target: Sequence[int] | np.ndarray,
    *,
    target_names: Sequence[str],
    groups: Sequence[object] | np.ndarray | None,
    split: Sequence[str] | np.ndarray | None,
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
