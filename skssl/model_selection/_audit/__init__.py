"""An audit for leakage: shared patients, copies of images, and shortcuts."""

from skssl.model_selection._audit.audit import audit_split
from skssl.model_selection._audit.findings import SplitAudit

__all__ = ["SplitAudit", "audit_split"]
