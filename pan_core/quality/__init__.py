"""Quality of a whole dataset: what no single row can show. Great Expectations is used here and nowhere else.

Rows are checked by `pan_core.tables`; here are class balance, joints that were not found, keypoint scores, clip
lengths, duplicates, whether every class can be learned and tested, and whether new footage is like that of a model.
"""

from pan_core.quality.agreement import check_agreement
from pan_core.quality.comparison import DriftSettings
from pan_core.quality.drift import DriftResult, check_drift, write_drift
from pan_core.quality.expectations import Kind, QualityLimits
from pan_core.quality.findings import Finding, QualityResult
from pan_core.quality.profiles import profile
from pan_core.quality.suite import build_suite, check_dataset
from pan_core.quality.summary import summarise

__all__ = [
    "DriftResult",
    "DriftSettings",
    "Finding",
    "Kind",
    "QualityLimits",
    "QualityResult",
    "build_suite",
    "check_agreement",
    "check_dataset",
    "check_drift",
    "profile",
    "summarise",
    "write_drift",
]
