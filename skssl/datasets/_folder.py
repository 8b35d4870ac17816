"""Any set of image files with one folder per class."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sklearn.utils import Bunch

from skssl.datasets._listing import (
    IMAGE_ENDINGS,
    SPLIT_NAMES,
    contents,
    existing_folder,
    file_bunch,
    image_files,
    no_images,
    sub_folders,
)

__all__ = ["load_image_folder"]

_LAYOUT = "one sub-folder per class, or train/, val/, test/ with one per class each"


def _split_folders(root: Path) -> list[tuple[str | None, Path]]:
    """Return each folder that holds class folders, with its split."""
    folders = sub_folders(root)
    names = [SPLIT_NAMES.get(folder.name.lower()) for folder in folders]
    if "train" not in names:
        return [(None, root)]
    if None in names:
        odd = folders[names.index(None)].name
        raise ValueError(
            f"root {str(root)!r} mixes the split folder train/ with {odd!r}, which is "
            f"not the name of a split. Expected {_LAYOUT}."
        )
    return list(zip(names, folders, strict=True))


def _groups(
    paths: list[Path], root: Path, groups: str | Callable[[str], object] | None
) -> list[object] | None:
    """Return the group of each file."""
    if groups is None:
        return None
    if callable(groups):
        return [groups(str(path)) for path in paths]
    if not isinstance(groups, str):
        raise TypeError(
            "groups must be None, a callable of a path or a regular expression, got "
            f"{type(groups).__name__}."
        )
    pattern = re.compile(groups)
    if pattern.groups != 1:
        raise ValueError(
            "groups must be a regular expression with exactly one capturing group in "
            f"parentheses, got {groups!r}, which has {pattern.groups}."
        )
    names: list[object] = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        match = pattern.search(name)
        if match is None or match[1] is None:
            raise ValueError(f"groups={groups!r} does not match {name!r}.")
        names.append(match[1])
    return names


def load_image_folder(
    root: str | Path,
    *,
    extensions: Sequence[str] | None = None,
    groups: str | Callable[[str], object] | None = None,
) -> Bunch:
    r"""List the images of a folder with one sub-folder per class.

    Parameters
    ----------
    root : str or Path
        Folder with the layout ``<class>/**/<image>``, or
        ``<split>/<class>/**/<image>`` with the splits ``train`` and, optionally,
        ``val`` (``valid``, ``validation``) and ``test``. If a class folder has a folder
        ``images``, only that is listed, which excludes masks beside it. Hidden files
        and folders are ignored.
    extensions : sequence of str, default=None
        File extensions of images, with or without the dot, case-insensitive. None means
        bmp, dcm, gif, jpeg, jpg, png, tif, tiff and webp.
    groups : callable, str or None, default=None
        The group of each image, usually the patient: a callable that takes the path
        (str) and returns the group, or a regular expression with one capturing group,
        searched in the path relative to ``root`` (with ``/``).

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted within each split and class.
        target : ndarray of shape (n,), int64
            Index of the class in ``target_names``.
        target_names : list of str
            Names of the class folders, sorted.
        groups : ndarray of shape (n,) or None
            Groups, or None if ``groups`` is None.
        split : ndarray of shape (n,), str, or None
            "train", "val" or "test"; None without split folders.
        DESCR : str
            What was listed.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not exist, has no class folders, or a class has no images.
    ValueError
        If split and class folders are mixed, or ``groups`` does not match a file.
    TypeError
        If ``groups`` is of another type, or ``extensions`` is a single str.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skssl.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("ill/p1_a.png", "ill/p1_b.png", "well/p2_a.png"):
    ...         (Path(root) / name).parent.mkdir(exist_ok=True)
    ...         Image.new("L", (8, 8)).save(Path(root) / name)
    ...     scans = load_image_folder(root, groups=r"(p\d+)_")
    >>> scans.target, scans.target_names
    (array([0, 0, 1]), ['ill', 'well'])
    >>> scans.groups.tolist()
    ['p1', 'p1', 'p2']
    """
    if isinstance(extensions, str):
        raise TypeError(
            f"extensions must be a sequence such as ['.png'], got {extensions!r}."
        )
    endings = tuple(
        "." + ending.lower().removeprefix(".") for ending in extensions or IMAGE_ENDINGS
    )
    folder = existing_folder(root, f"a folder with {_LAYOUT}")
    splits = _split_folders(folder)
    names = sorted({sub.name for _, top in splits for sub in sub_folders(top)})
    if not names:
        raise FileNotFoundError(
            f"root {str(folder)!r} has no class folders. Expected {_LAYOUT}; found "
            f"{contents(splits[0][1])}."
        )

    paths: list[Path] = []
    target: list[int] = []
    split: list[str] = []
    for split_name, top in splits:
        for label, name in enumerate(names):
            files = image_files(top / name, endings)
            paths += files
            target += [label] * len(files)
            split += [split_name or ""] * len(files)
    for label, name in enumerate(names):
        if label not in target:
            class_folder = next(
                top / name for _, top in splits if (top / name).is_dir()
            )
            raise no_images(class_folder, endings)
    return file_bunch(
        paths,
        target,
        target_names=names,
        groups=_groups(paths, folder, groups),
        split=None if splits[0][0] is None else split,
        descr=(
            f"{len(paths)} image files of the classes {', '.join(names)}, listed by "
            "skssl.datasets.load_image_folder. Source and license: those of the files."
        ),
    )
