"""Splits, curves and searches for few labels and several images per patient."""

from skssl.model_selection._audit import SplitAudit, audit_split
from skssl.model_selection._curves import FractionCurve, fraction_curve
from skssl.model_selection._masking import mask_labels
from skssl.model_selection._search import OptunaSearchCV
from skssl.model_selection._splits import KeepUnlabeledInTrain

__all__ = [
    "FractionCurve",
    "KeepUnlabeledInTrain",
    "OptunaSearchCV",
    "SplitAudit",
    "audit_split",
    "fraction_curve",
    "mask_labels",
]
