"""MedMNIST: small two-dimensional medical images, stored in one file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skssl.datasets._listing import SPLITS, wanted_splits

__all__ = ["load_medmnist"]

_DESCR = """\
MedMNIST: {name}
----------{line}

{n_images} images of {height} x {width} pixels, {colours}, uint8 in [0, 255], in the
official split. {target} The file has no class names and no patients: target_names are
numbers and groups is None.

Source: https://medmnist.com, doi:10.5281/zenodo.10519652. License: CC BY 4.0, but CC
BY-NC 4.0 for DermaMNIST.
References: Yang et al., "MedMNIST v2 - a large-scale lightweight benchmark for 2D and
3D biomedical image classification", Scientific Data 10 (2023), 41,
doi:10.1038/s41597-022-01721-8.
"""


def load_medmnist(
    path: str | Path, *, subset: str | Sequence[str] | None = None
) -> Bunch:
    """Load a two-dimensional set of MedMNIST.

    Parameters
    ----------
    path : str or Path
        The ``.npz`` file, such as ``pneumoniamnist.npz`` or ``pathmnist_224.npz``.
    subset : {"train", "val", "test"}, sequence of these or None, default=None
        Which splits to read; None reads all.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n, H, W) or (n, H, W, 3), uint8
            Gray or colour images, in the order of the file: train, val, test.
        target : ndarray of shape (n,) or (n, n_labels), int64
            The class, or 0 and 1 for each label in multi-label sets.
        target_names : list of str
            The numbers of the classes or labels, "0", "1" and so on.
        groups : None
            The file has no patient identifiers.
        split : ndarray of shape (n,), str
            "train", "val" or "test".
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is not a file of MedMNIST, or holds volumes (sets whose name ends in 3d).

    References
    ----------
    .. [1] Yang et al. (2023). "MedMNIST v2 - a large-scale lightweight benchmark for
       2D and 3D biomedical image classification." Scientific Data 10, 41.
       https://doi.org/10.1038/s41597-022-01721-8

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from skssl.datasets import load_medmnist
    >>> images, labels = np.zeros((2, 28, 28), np.uint8), np.array([[0], [1]])
    >>> arrays = {f"{split}_images": images for split in ("train", "val", "test")}
    >>> arrays |= {f"{split}_labels": labels for split in ("train", "val", "test")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "toymnist.npz", **arrays)
    ...     scans = load_medmnist(Path(folder) / "toymnist.npz", subset="train")
    >>> scans.data.shape, scans.target, scans.target_names
    ((2, 28, 28), array([0, 1]), ['0', '1'])
    """
    wanted = wanted_splits(subset)
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"path {str(file)!r} is not a file. Expected an .npz.")
    if not zipfile.is_zipfile(file):
        raise ValueError(f"path {str(file)!r} is not an .npz file of MedMNIST.")
    with np.load(file, allow_pickle=False) as arrays:
        keys = {f"{split}_{what}" for split in SPLITS for what in ("images", "labels")}
        if not keys <= set(arrays.files):
            raise ValueError(
                f"{file} is not a file of MedMNIST. Expected the arrays "
                f"{sorted(keys)}; found {sorted(arrays.files)}."
            )
        # Labels of all splits, so that the classes do not depend on subset.
        labels = {s: _labels(_array(arrays, f"{s}_labels", file), file) for s in SPLITS}
        images = {s: _images(_array(arrays, f"{s}_images", file), file) for s in wanted}
    for split in wanted:
        if len(images[split]) != len(labels[split]):
            raise ValueError(
                f"{file}: {split} has {len(images[split])} images and "
                f"{len(labels[split])} labels."
            )
    data = np.concatenate([images[split] for split in wanted])
    target = np.concatenate([labels[split] for split in wanted])
    single = target.ndim == 1
    n_classes = max(values.max(initial=0) for values in labels.values()) + 1
    return Bunch(
        data=data,
        target=target,
        target_names=[str(k) for k in range(n_classes if single else target.shape[1])],
        groups=None,
        split=np.repeat(wanted, [len(images[split]) for split in wanted]),
        DESCR=_DESCR.format(
            name=file.stem,
            line="-" * len(file.stem),
            n_images=len(data),
            height=data.shape[1],
            width=data.shape[2],
            colours="gray" if data.ndim == 3 else "RGB",
            target=(
                "Target: the class." if single else "An image may have several labels."
            ),
        ),
    )


def _array(arrays: Any, name: str, file: Path) -> np.ndarray:
    """Return one array of the file; raise ValueError for arrays of objects."""
    try:
        return np.asarray(arrays[name])
    except ValueError as error:
        raise ValueError(f"{file}: {name} cannot be read: {error}") from error


def _labels(labels: np.ndarray, file: Path) -> np.ndarray:
    """Return labels of shape (n, 1) as (n,), and multi-labels (n, k) unchanged."""
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{file}: labels must be integers of shape (n, 1) or (n, n_labels), got "
            f"{labels.dtype} of shape {labels.shape}."
        )
    return (labels[:, 0] if labels.shape[1] == 1 else labels).astype(np.int64)


def _images(images: np.ndarray, file: Path) -> np.ndarray:
    """Return images; raise ValueError if not uint8 (n, H, W) or (n, H, W, 3)."""
    is_2d = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)
    if is_2d and images.dtype == np.uint8:
        return images
    volumes = " These are volumes, which load_medmnist does not read."
    raise ValueError(
        f"{file}: images must be uint8 of shape (n, H, W) or (n, H, W, 3), got "
        f"{images.dtype} of shape {images.shape}.{volumes if not is_2d else ''}"
    )
