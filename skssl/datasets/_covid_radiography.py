"""COVID-19 Radiography: chest X-rays of four classes."""

from collections.abc import Sequence
from pathlib import Path

from sklearn.utils import Bunch

from skssl._names import unknown_name
from skssl.datasets._listing import file_bunch, folder_with, required_images

__all__ = ["load_covid_radiography"]

_CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
# The names of the class folders in older releases.
_OTHER_NAMES = {"COVID": ("COVID-19",), "Normal": ("NORMAL",)}
_LAYOUT = (
    "a folder with COVID/, Lung_Opacity/, Normal/ and Viral Pneumonia/, the images "
    "in <class>/images/ or in <class>/"
)
_DESCR = """\
COVID-19 Radiography
--------------------

{n_images} chest X-rays: {counts}. The images of the classes come from different
sources, so the classes differ in source as well as in disease. Patients are not
published: groups is None, and a split may divide a patient's images. There is no
official split.

Source: https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database.
License: that of the original authors of the images, listed there.
References: Rahman et al., "Exploring the effect of image enhancement techniques on
COVID-19 detection using chest X-ray images", Computers in Biology and Medicine 132
(2021), 104319, doi:10.1016/j.compbiomed.2021.104319.
"""


def load_covid_radiography(
    root: str | Path, *, classes: Sequence[str] | None = None
) -> Bunch:
    """List the X-rays of the COVID-19 Radiography database.

    Parameters
    ----------
    root : str or Path
        Folder with ``COVID``, ``Lung_Opacity``, ``Normal`` and ``Viral Pneumonia``, or
        a folder that contains it as ``COVID-19_Radiography_Dataset`` or
        ``COVID-19 Radiography Database``. Images are in ``<class>/images/``, as in
        newer releases, or in ``<class>/``; masks are excluded. Older releases have
        ``COVID-19`` and ``NORMAL``, and no ``Lung_Opacity``.
    classes : sequence of these four names or None, default=None
        Which classes to list, in any order. None lists all classes that exist.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With these attributes, where n is the number of images:

        data : ndarray of shape (n,), object
            Paths of the files, str, sorted by class and name.
        target : ndarray of shape (n,), int64
            Index of the class in ``target_names``.
        target_names : list of str
            The listed classes, in the order above.
        groups : None
            The set has no patient identifiers.
        split : None
            The set has no official split.
        DESCR : str
            Source, license and reference.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not have this layout, or a class has no images.
    ValueError
        If a class is unknown, or ``classes`` is empty.
    TypeError
        If ``classes`` is a single str.

    References
    ----------
    .. [1] Rahman et al. (2021). "Exploring the effect of image enhancement techniques
       on COVID-19 detection using chest X-ray images." Computers in Biology and
       Medicine 132, 104319. https://doi.org/10.1016/j.compbiomed.2021.104319

    Examples
    --------
    >>> from skssl.datasets import load_covid_radiography
    >>> load_covid_radiography("radiography", classes=["COVID", "normal"])
    Traceback (most recent call last):
    ...
    ValueError: classes='normal' is unknown. Did you mean 'Normal'? Known: COVID,...
    """
    _check_classes(classes)
    folder = folder_with(
        root,
        (*_CLASSES, *(name for names in _OTHER_NAMES.values() for name in names)),
        below=("COVID-19_Radiography_Dataset", "COVID-19 Radiography Database"),
        need=any,
        what="COVID-19 Radiography",
        layout=_LAYOUT,
    )
    folders = {name: _class_folder(folder, name) for name in _CLASSES}
    names = [
        name
        for name, class_folder in folders.items()
        if (name in classes if classes else class_folder.is_dir())
    ]
    files = [
        [path for path in required_images(folders[name]) if path.parent.name != "masks"]
        for name in names
    ]
    counts = [f"{len(paths)} {name}" for paths, name in zip(files, names, strict=True)]
    return file_bunch(
        [path for paths in files for path in paths],
        [label for label, paths in enumerate(files) for _ in paths],
        target_names=names,
        groups=None,
        split=None,
        descr=_DESCR.format(n_images=sum(map(len, files)), counts=", ".join(counts)),
    )


def _class_folder(folder: Path, name: str) -> Path:
    """Return the folder of a class, by its name or that of an older release."""
    candidates = [folder / known for known in (name, *_OTHER_NAMES.get(name, ()))]
    return next((path for path in candidates if path.is_dir()), candidates[0])


def _check_classes(classes: Sequence[str] | None) -> None:
    if classes is None:
        return
    if isinstance(classes, str) or not classes:
        kind = TypeError if isinstance(classes, str) else ValueError
        raise kind(
            "classes must be None or a sequence such as ['COVID', 'Normal'], got "
            f"{classes!r}."
        )
    for name in classes:
        if name not in _CLASSES:
            raise unknown_name("classes", name, _CLASSES)
