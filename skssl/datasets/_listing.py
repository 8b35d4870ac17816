"""Functions of all loaders of image files: finding, checking and listing files."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skssl._warn import warn

__all__ = [
    "IMAGE_ENDINGS",
    "SPLITS",
    "SPLIT_NAMES",
    "MissingPatientWarning",
    "contents",
    "existing_folder",
    "file_bunch",
    "folder_with",
    "image_files",
    "no_images",
    "patient_groups",
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


class MissingPatientWarning(UserWarning):
    """The patient of some images is unknown, so a split may divide a patient."""


def wanted_splits(subset: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the splits that ``subset`` selects, in the order train, val, test."""
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
    """Return ``root`` as a Path; raise FileNotFoundError if it is not a folder."""
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
    """Return the folder of a published set.

    Parameters
    ----------
    root : str or Path
        That folder, or one above it.
    names : sequence of str
        Files or folders that it must contain.
    below : sequence of str
        Glob patterns of folders below ``root`` that are searched next.
    need : {all, any}
        Whether all of ``names`` must exist, or any of them.
    what, layout : str
        The set, and its expected layout, for messages.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not exist, or no folder qualifies.
    """
    folder = existing_folder(root, layout)
    for pattern in ("", *below):
        candidates = sorted(folder.glob(pattern)) if pattern else [folder]
        for candidate in candidates:
            if need((candidate / name).exists() for name in names):
                return candidate
    raise FileNotFoundError(
        f"root {str(folder)!r} is not laid out as {what}. Expected {layout}; found "
        f"{contents(folder)}."
    )


def contents(folder: Path) -> str:
    """Describe the contents of a folder, for error messages."""
    names = sorted(
        path.name + ("/" if path.is_dir() else "") for path in folder.iterdir()
    )
    if not names:
        return "nothing"
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(map(repr, names[:6])) + more


def sub_folders(folder: Path) -> list[Path]:
    """Return sorted folders, without hidden ones and leftovers such as __MACOSX."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    )


def image_files(
    class_folder: Path, endings: tuple[str, ...] = IMAGE_ENDINGS
) -> list[Path]:
    """List all images below a class folder, or below its folder ``images`` if any."""
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
    """Return the error for a class without images; the caller raises it."""
    found = contents(class_folder) if class_folder.is_dir() else "no such folder"
    return FileNotFoundError(
        f"class folder {str(class_folder)!r} has no images. Expected files ending in "
        f"{', '.join(endings)}; found {found}."
    )


def required_images(class_folder: Path) -> list[Path]:
    """List the images of a class folder; raise FileNotFoundError if there are none."""
    files = image_files(class_folder)
    if not files:
        raise no_images(class_folder, IMAGE_ENDINGS)
    return files


def patient_groups(
    patients: Sequence[str], own_groups: Sequence[str], advice: str
) -> list[str]:
    """Return the group of each image; warn if some patients are unknown.

    Parameters
    ----------
    patients : sequence of str
        Empty where the patient is unknown.
    own_groups : sequence of str
        The group of each image whose patient is unknown.
    advice : str
        How to supply the patients; ends the warning.
    """
    n_unknown = sum(not patient for patient in patients)
    if n_unknown:
        warn(
            MissingPatientWarning(
                f"The patients of {n_unknown} of {len(patients)} images are not known; "
                "each of these images is its own group, so a split by groups may "
                f"divide a patient's images. {advice}"
            )
        )
    return [patient or name for patient, name in zip(patients, own_groups, strict=True)]


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
    """Return a set of image files as the Bunch of all loaders."""
    return Bunch(
        data=np.array([str(path) for path in paths], dtype=object),
        target=np.array(target, dtype=np.int64),
        target_names=list(target_names),
        groups=None if groups is None else np.asarray(groups),
        split=None if split is None else np.asarray(split, dtype=str),
        DESCR=descr,
        **more,
    )
