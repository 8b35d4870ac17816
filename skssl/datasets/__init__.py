"""Simulated scans, and loaders of image sets that lie on disk."""

from skssl.datasets._covid_ct import load_covid_ct
from skssl.datasets._folder import load_image_folder
from skssl.datasets._listing import MissingPatientWarning
from skssl.datasets._luna import load_luna_slices
from skssl.datasets._phantoms import make_scan_phantoms

__all__ = [
    "MissingPatientWarning",
    "load_covid_ct",
    "load_image_folder",
    "load_luna_slices",
    "make_scan_phantoms",
]
