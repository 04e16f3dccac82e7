"""Quality of a whole dataset: what no single row can show. Great Expectations is used here and nowhere else.

Rows are checked by `pan_core.tables`; here are class balance, joints that were not found, keypoint scores, clip
lengths, duplicates, and whether every class can be learned and tested.
"""

from pan_core.quality.agreement import check_agreement
from pan_core.quality.expectations import Kind, QualityLimits
from pan_core.quality.findings import Finding, QualityResult
from pan_core.quality.suite import build_suite, check_dataset
from pan_core.quality.summary import summarise

__all__ = [
    "Finding",
    "Kind",
    "QualityLimits",
    "QualityResult",
    "build_suite",
    "check_agreement",
    "check_dataset",
    "summarise",
]
