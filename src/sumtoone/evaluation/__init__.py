"""How good a run is, in plain numbers: ``evaluate`` judges a run, ``report_from`` probabilities and labels."""

from __future__ import annotations

from sumtoone.evaluation.metrics import Predictor, evaluate, report_from
from sumtoone.evaluation.reliability import Reliability
from sumtoone.evaluation.report import MOST_CLASSES, ClassReport, Confusion, Report

__all__ = [
    "MOST_CLASSES",
    "ClassReport",
    "Confusion",
    "Predictor",
    "Reliability",
    "Report",
    "evaluate",
    "report_from",
]
