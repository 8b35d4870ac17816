"""The files of a volume: its header, its data files, the slices of a series."""

import gzip
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from skssl.exceptions import ImageReadError

__all__ = ["check_complete", "data_files", "import_sitk", "series_files", "series_in"]

_CHUNK = 2**22  # bytes
# Length of the header to place and format of the sizes, bits per value, and offset.
_NIFTI = {348: (40, "8h", 70 + 2, 108, "f"), 540: (16, "8q", 14, 168, "q")}


def import_sitk() -> Any:
    """Return SimpleITK; raise ImportError that names the extra."""
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError(
            "reading volumes needs SimpleITK: pip install 'skssl[volumes]'"
        ) from error
    return SimpleITK


def series_in(folder: str | Path) -> list[str]:
    """Return the SeriesInstanceUIDs of the DICOM files of a folder."""
    sitk = import_sitk()
    # Without the default, GDCM splits a series by other properties, too.
    return sorted(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder), False))


def series_files(folder: str | Path, series: str) -> tuple[str, ...]:
    """Return the files of a DICOM series, in the order of their positions.

    Raises
    ------
    ImageReadError
        If there are none.
    """
    changed_ns = Path(folder).stat().st_mtime_ns
    return _series_files(str(folder), series, changed_ns)


@lru_cache(maxsize=4096)
def _series_files(folder: str, series: str, changed_ns: int) -> tuple[str, ...]:  # noqa: ARG001
    names = import_sitk().ImageSeriesReader.GetGDCMSeriesFileNames(folder, series)
    if not names:
        raise ImageReadError(f"has no series {series}")
    return tuple(names)


def data_files(path: str | Path, series: str | None = None) -> tuple[str, ...]:
    """Return all files that hold a volume, the header first if it has its own file.

    Parameters
    ----------
    path : str or Path
        A volume file or, with ``series``, a folder.
    series : str, optional
        The SeriesInstanceUID.
    """
    if series is not None:
        return series_files(path, series)
    path = Path(path)
    if path.suffix.lower() not in (".mhd", ".nhdr"):
        return (str(path),)
    header = path.read_text(encoding="latin-1")
    found = re.search(
        r"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(.*)$((?s:.*))",
        header,
        re.MULTILINE | re.IGNORECASE,
    )
    if found is None:
        return (str(path),)
    name, rest = found[1].strip(), found[2]
    if name.upper().startswith("LIST"):
        names = [line.strip() for line in rest.splitlines() if line.strip()]
    elif "%" in name:  # a pattern with first and last number
        pattern = re.sub(r"%\d*d", "*", name.split()[0])
        names = sorted(file.name for file in path.parent.glob(pattern))
    else:
        names = [] if name.upper() == "LOCAL" else [name]
    return (str(path), *(str(path.parent / name) for name in names))


def check_complete(path: str | Path) -> None:
    """Refuse a truncated NIfTI file, whose missing values ITK takes for 0.

    Raises
    ------
    ImageReadError
        If the file holds fewer bytes than its header declares.
    """
    name = str(path).lower()
    if not name.endswith((".nii", ".nii.gz")):
        return
    with gzip.open(path) if name.endswith(".gz") else Path(path).open("rb") as file:
        header = file.read(552)
        expected = _declared_bytes(header)
        found = len(header)
        try:
            while chunk := file.read(_CHUNK):
                found += len(chunk)
        except EOFError:  # of a gzip file
            found = min(found, expected - 1)
    if found < expected:
        raise ImageReadError(
            f"is truncated: it holds {found:,} of {expected:,} bytes that its header "
            "declares"
        )


def _declared_bytes(header: bytes) -> int:
    """Return the size of a NIfTI file by its header; 0 if that is of another kind."""
    for order in "<>":
        place = _NIFTI.get(struct.unpack_from(f"{order}i", header.ljust(8, b"\0"))[0])
        if place is not None and len(header) >= 348:
            at_size, size, at_bits, at_offset, offset = place
            dim = struct.unpack_from(order + size, header, at_size)
            n_voxels = 1
            for n in dim[1 : 1 + dim[0]]:
                n_voxels *= n
            bits = struct.unpack_from(f"{order}h", header, at_bits)[0]
            start = struct.unpack_from(order + offset, header, at_offset)[0]
            return int(start) + n_voxels * bits // 8
    return 0
