"""References to one image of a file that holds several."""

from dataclasses import dataclass
from pathlib import Path

from skssl.data.files.dicom import n_dicom_frames
from skssl.data.files.dicom_dataset import has_preamble, is_dicom
from skssl.data.files.errors import errors_naming
from skssl.data.files.pillow import n_pages
from skssl.data.files.volumes import Axis, is_volume, n_volume_slices

__all__ = ["ImageSlice", "list_slices"]


@dataclass(frozen=True, order=True)
class ImageSlice:
    """One image of a file that holds several; an item of X, like a path.

    It holds no pixels. `list_slices` lists those of a file.

    Parameters
    ----------
    path : str
        A DICOM file of several frames, a TIFF file of several pages, an animation, a
        volume or, with ``series``, a folder of DICOM files.
    index : int
        Counted from 0. Slices of volumes are counted from the feet (axial), the front
        (coronal), or the patient's right (sagittal).
    axis : {"axial", "coronal", "sagittal"}, optional
        For volumes.
    series : str, optional
        The SeriesInstanceUID, for a DICOM series in a folder that is read as a volume.

    Examples
    --------
    >>> from skssl.data import ImageSlice
    >>> print(ImageSlice("patient1.nii.gz", 40, "axial"))
    patient1.nii.gz[axial 40]
    >>> print(ImageSlice("ultrasound.dcm", 3))
    ultrasound.dcm[3]
    """

    path: str
    index: int
    axis: Axis | None = None
    series: str | None = None

    def __str__(self) -> str:
        axis = "" if self.axis is None else f"{self.axis} "
        return f"{self.path}[{axis}{self.index}]"


def list_slices(path: str | Path, axis: Axis = "axial") -> list[ImageSlice]:
    """List all images of a file.

    Parameters
    ----------
    path : str or Path
        A volume (NIfTI, MetaImage, NRRD), a DICOM file with one or several frames, or
        a picture with one or several pages.
    axis : {"axial", "coronal", "sagittal"}, default="axial"
        For volumes.

    Returns
    -------
    list of ImageSlice
        Items of X.

    Raises
    ------
    ImageReadError
        If the file cannot be read.
    ImportError
        If pydicom is missing for a DICOM file, or SimpleITK for a volume.

    Examples
    --------
    >>> from PIL import Image
    >>> pages = [Image.new("L", (4, 4), gray) for gray in (0, 50, 100)]
    >>> pages[0].save("stack.tiff", save_all=True, append_images=pages[1:])
    >>> from skssl.data import list_slices
    >>> [str(image) for image in list_slices("stack.tiff")]
    ['stack.tiff[0]', 'stack.tiff[1]', 'stack.tiff[2]']
    """
    name = str(path)
    with errors_naming(path):
        if is_volume(path):
            n = n_volume_slices(path, axis)
            return [ImageSlice(name, index, axis) for index in range(n)]
        is_dicom_file = is_dicom(path) or has_preamble(path)
        n = n_dicom_frames(path) if is_dicom_file else n_pages(path)
        return [ImageSlice(name, index) for index in range(n)]
