"""Simulated scans, and loaders of image sets on disk."""

from skssl.datasets._c19_cohen import load_c19_cohen
from skssl.datasets._chestxray14 import load_chestxray14
from skssl.datasets._chexpert import load_chexpert
from skssl.datasets._covid_ct import load_covid_ct
from skssl.datasets._covid_radiography import load_covid_radiography
from skssl.datasets._covidgr import load_covidgr
from skssl.datasets._dicom_folder import DicomFolderWarning, load_dicom_folder
from skssl.datasets._folder import load_image_folder
from skssl.datasets._image_table import load_image_table
from skssl.datasets._kermany import load_kermany
from skssl.datasets._listing import MissingPatientWarning
from skssl.datasets._luna import load_luna, load_luna_slices
from skssl.datasets._medmnist import load_medmnist
from skssl.datasets._mending import ListingWarning
from skssl.datasets._phantoms import make_scan_phantoms
from skssl.datasets._volumes import load_volumes

__all__ = [
    "DicomFolderWarning",
    "ListingWarning",
    "MissingPatientWarning",
    "load_c19_cohen",
    "load_chestxray14",
    "load_chexpert",
    "load_covid_ct",
    "load_covid_radiography",
    "load_covidgr",
    "load_dicom_folder",
    "load_image_folder",
    "load_image_table",
    "load_kermany",
    "load_luna",
    "load_luna_slices",
    "load_medmnist",
    "load_volumes",
    "make_scan_phantoms",
]
