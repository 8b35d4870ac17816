"""Read COVID-CT in the layout that its authors published."""

import csv
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple
from zipfile import BadZipFile

from skssl.datasets._listing import SPLITS, contents
from skssl.datasets._mending import mend_listing

__all__ = ["CLASSES", "LAYOUT", "CovidImage", "mend_images", "read_published"]

CLASSES = ("NonCOVID", "COVID")
LAYOUT = (
    "either metadata.csv (filename, label, split, patient_id) beside the images, or "
    "the published folders Images-processed/CT_COVID, Images-processed/CT_NonCOVID "
    "(unzipped) and Data-split/"
)
_META_SUFFIXES = (".csv", ".xlsx")
_NAME_COLUMNS = {"filename", "imagename", "image"}
_PATIENT_COLUMNS = {"patientid", "patient"}


class CovidImage(NamedTuple):
    """An image with its class, split and patient."""

    path: Path
    label: str
    split: str
    patient: str  # empty if unknown


def read_published(folder: Path) -> list[CovidImage]:
    """Read the layout of the published repository."""
    images: list[CovidImage] = []
    for label in CLASSES:
        image_folder = folder / "Images-processed" / f"CT_{label}"
        if not image_folder.is_dir():
            raise FileNotFoundError(
                f"{image_folder} does not exist. Expected {LAYOUT}; found "
                f"{contents(image_folder.parent)}."
            )
        if (image_folder / image_folder.name).is_dir():  # some archivers repeat it
            image_folder = image_folder / image_folder.name
        exact = {path.name: path for path in image_folder.iterdir()}
        by_key = {_name_key(name): path for name, path in exact.items()}
        patients = _read_patients(folder, label)
        for split in SPLITS:
            names = _split_list(folder / "Data-split" / label, split)
            for line in names.read_text(encoding="utf-8-sig").splitlines():
                name = line.strip()
                if not name:
                    continue
                path = exact.get(name) or by_key.get(_name_key(name))
                path = path or image_folder / name
                patient = patients.get(_stem_key(path.name), "")
                images.append(CovidImage(path, label, split, patient))
    return mend_images(images, folder / "Data-split")


def mend_images(images: list[CovidImage], table: Path) -> list[CovidImage]:
    """Return the images whose files exist, each once; see `mend_listing`."""
    mended = mend_listing(
        [image.path for image in images],
        table,
        labels=[(image.label, image.split) for image in images],
        patients=[image.patient for image in images],
    )
    return [
        images[k]._replace(path=Path(path), patient=patient)
        for k, path, patient in zip(
            mended.rows, mended.paths, mended.patients or [], strict=True
        )
    ]


def _split_list(folder: Path, split: str) -> Path:
    found = sorted(folder.glob(f"{split}CT_*.txt"))
    if len(found) != 1:
        raise FileNotFoundError(
            f"expected one file {split}CT_*.txt in {folder}, found {len(found)}."
        )
    return found[0]


def _name_key(name: str) -> str:
    return name.replace("%", "_")


def _stem_key(name: str) -> str:
    """Return the key of a file name in the patient tables, without its extension."""
    path = PurePath(name.strip())
    stem = path.stem if path.suffix.lower() in {".png", ".jpg", ".jpeg"} else path.name
    return _name_key(stem).lower()


def _read_patients(folder: Path, label: str) -> dict[str, str]:
    """Map file keys to patients, by the table of the class; empty without a table."""
    for suffix in _META_SUFFIXES:
        table = folder / f"{label}-CT-MetaInfo{suffix}"
        if table.is_file():
            header, *rows = _csv_rows(table) if suffix == ".csv" else _xlsx_rows(table)
            name_column = _find_column(header, _NAME_COLUMNS, table)
            patient_column = _find_column(header, _PATIENT_COLUMNS, table)
            return {
                _stem_key(row[name_column]): f"{label}:{row[patient_column].strip()}"
                for row in rows
                if len(row) > max(name_column, patient_column)
                and row[patient_column].strip()
            }
    return {}


def _find_column(header: Sequence[str], names: set[str], table: Path) -> int:
    for index, title in enumerate(header):
        if title.lower().replace(" ", "").replace("_", "") in names:
            return index
    raise ValueError(
        f"{table} must have the columns 'File name' and 'Patient ID'; it has {header}."
    )


def _csv_rows(table: Path) -> list[list[str]]:
    # Captions mix several encodings; names and patients are ASCII.
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return list(csv.reader(file)) or [[]]


def _xlsx_rows(table: Path) -> list[list[str]]:
    try:
        import pandas as pd

        frame = pd.read_excel(table, dtype=str).fillna("")
    except ImportError as error:
        raise ImportError(
            f"reading {table} needs pandas and openpyxl. Install them, or save the "
            f"table as {table.with_suffix('.csv').name} beside it."
        ) from error
    except (ValueError, BadZipFile) as error:
        raise ValueError(f"{table} is not an Excel file: {error}") from error
    return [[str(title) for title in frame.columns], *frame.to_numpy().tolist()]
