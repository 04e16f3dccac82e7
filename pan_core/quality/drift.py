"""Whether new footage is still like that which a model was trained on."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pan_core.errors import DataError
from pan_core.quality.comparison import ENOUGH, MEASURED, Comparison, DriftSettings
from pan_core.quality.docs import Front, write_data_docs
from pan_core.quality.findings import Finding, QualityResult
from pan_core.quality.gx_context import ephemeral_context, quiet
from pan_core.quality.suite import validate_table
from pan_core.tables import check_table

Verdict = Literal["yes", "no", "too few"]


@dataclass(frozen=True)
class DriftResult:
    """What a comparison found.

    Attributes:
        drifted: "too few" where there are too few clips to tell, of new footage or of the reference.
        clips: Clips of new footage.
        reference_clips: Clips of the reference.
        unknown: Classes that the model does not know.
        missing: Classes of the reference of which the new footage has no clip; with few clips by chance, perhaps.
        quality: Each expectation with what was seen.
    """

    drifted: Verdict
    clips: int
    reference_clips: int
    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    quality: QualityResult

    @property
    def findings(self) -> tuple[str, ...]:
        """What moved, from where to where, and what could not be compared."""
        return tuple(str(finding) for finding in self.quality.failed)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        moved = sum(_is_drift(finding) for finding in self.quality.failed)
        return {
            "yes": f"new footage differs in {moved} of {self.quality.checked} expectations",
            "no": "new footage is like that of the model",
            "too few": f"too few clips to tell: {self.clips} new ones, {self.reference_clips} of the model",
        }[self.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "drifted": self.drifted,
            "verdict": self.sentence,
            "clips": self.clips,
            "reference_clips": self.reference_clips,
            "findings": list(self.findings),
            "unknown_classes": list(self.unknown),
            "missing_classes": list(self.missing),
            "divergences": {
                finding.name: {"observed": finding.observed, "limit": finding.expected["threshold"]}
                for finding in self.quality.findings
                if "threshold" in finding.expected
            },
        }


def check_drift(
    reference: pd.DataFrame,
    new: pd.DataFrame,
    *,
    labels: Iterable[str] | None = None,
    settings: DriftSettings | None = None,
) -> QualityResult:
    """Compare new footage with that of a model.

    Args:
        reference: Profile of the clips that the model was trained on.
        new: Profile of new footage; it may be empty.
        labels: Classes that the model knows; those of the reference where None.
        settings: When it has drifted; defaults where None.

    Returns:
        Expectations on tables "reference" and "footage". Below `settings.min_clips` only the number of clips and the
        names of classes are judged; a number that too few clips have, because nobody is in them, is not compared,
        which is a finding of its own.

    Raises:
        DataError: Where a profile breaks its schema, or the reference has no clips.
    """
    reference = check_table(reference, "profile", "profile of the reference").reset_index(drop=True)
    new = check_table(new, "profile", "profile of the new footage").reset_index(drop=True)
    if reference.empty:
        raise DataError(
            "profile of the reference: no clips; make it of the clips that the model was trained on",
            code="drift.no-reference",
        )
    known = sorted(set(reference["label"]) | set(labels or ()))
    with quiet():
        comparison = Comparison(reference, new, known, settings or DriftSettings())
        context = ephemeral_context()
        findings = [
            _add_words(finding, comparison.words[name, finding.name])
            for name, expectations in comparison.expectations.items()
            for finding in validate_table(context, name, comparison.tables[name], expectations, "clip_id")
        ]
    return QualityResult(tuple(findings), context)


def write_drift(
    folder: Path,
    reference: pd.DataFrame,
    new: pd.DataFrame,
    settings: DriftSettings | None = None,
    *,
    labels: Iterable[str] | None = None,
) -> DriftResult:
    """Compare new footage with that of a model, and write Data Docs with pictures.

    Args:
        folder: Where the pages go, `index.html` first; it appears whole or not at all, and replaces an older one.
        reference: Profile of the clips that the model was trained on.
        new: Profile of new footage.
        settings: When it has drifted; defaults where None.
        labels: Classes that the model knows; those of the reference where None.

    Raises:
        DataError: As for `check_drift`.
    """
    from pan_core.quality.drift_pictures import drift_pictures  # late: start-up

    labels = None if labels is None else list(labels)
    quality = check_drift(reference, new, labels=labels, settings=settings)
    seen, learnt = set(new["label"]), set(reference["label"])
    result = DriftResult(
        _judge(quality),
        len(new),
        len(reference),
        tuple(sorted(seen - learnt - set(labels or ()))),
        tuple(sorted(learnt - seen)),
        quality,
    )
    moved = {finding.column for finding in quality.failed if _is_drift(finding)}
    pictures = drift_pictures(reference, new, moved)
    write_data_docs(quality, folder, Front("Drift", result.sentence, result.findings, pictures))
    return result


def _add_words(finding: Finding, words: str) -> Finding:
    """The finding with a sentence of what was seen; the divergence follows where it is one."""
    limit = finding.expected.get("threshold")
    return replace(
        finding, words=words if limit is None else f"{words}; divergence {finding.observed:.2f}, at most {limit:.2f}"
    )


def _judge(quality: QualityResult) -> Verdict:
    if any(finding.name == ENOUGH for finding in quality.failed):
        return "too few"
    return "yes" if any(_is_drift(finding) for finding in quality.failed) else "no"


def _is_drift(finding: Finding) -> bool:
    """Whether it speaks of the footage, not of how much of it there is to judge by."""
    return finding.name != ENOUGH and not finding.name.endswith(MEASURED)
