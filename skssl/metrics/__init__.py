"""Metrics of clinical classifiers, with confidence intervals and paired tests."""

from skssl.metrics._bootstrap import bootstrap_interval, paired_bootstrap
from skssl.metrics._calibration import expected_calibration_error
from skssl.metrics._classification import (
    harmonic_mean_score,
    sensitivity_at_specificity,
    sensitivity_score,
    specificity_score,
)
from skssl.metrics._delong import delong_interval, delong_test
from skssl.metrics._intervals import Comparison, Interval, proportion_interval
from skssl.metrics._mcnemar import mcnemar_test
from skssl.metrics._patients import PatientScores, aggregate_by_group
from skssl.metrics._scorers import clinical_scorers
from skssl.metrics._summary import ClassificationSummary, classification_summary

__all__ = [
    "ClassificationSummary",
    "Comparison",
    "Interval",
    "PatientScores",
    "aggregate_by_group",
    "bootstrap_interval",
    "classification_summary",
    "clinical_scorers",
    "delong_interval",
    "delong_test",
    "expected_calibration_error",
    "harmonic_mean_score",
    "mcnemar_test",
    "paired_bootstrap",
    "proportion_interval",
    "sensitivity_at_specificity",
    "sensitivity_score",
    "specificity_score",
]
