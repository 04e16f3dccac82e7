"""What was expected of a dataset and what was seen, as plain data."""

from dataclasses import dataclass, field
from typing import Any

SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """One expectation and what was seen.

    Attributes:
        name: What is expected, in words; stable, so that it can be searched for.
        expectation: Its type in Great Expectations.
        table: Table that it looks at: clips, classes or videos.
        column: Column of that table.
        passed: Whether it is met.
        expected: Its bounds, as plain data.
        observed: The value; where rows are judged one by one, how many break it and of how many.
        broken: The clips, classes or videos that break it.
        fatal: Whether a clip that breaks it cannot be used.
        words: What was seen, where a sentence says more than `observed`.
    """

    name: str
    expectation: str
    table: str
    column: str
    passed: bool
    expected: dict[str, Any]
    observed: Any
    broken: tuple[str, ...] = ()
    fatal: bool = False
    words: str = ""

    @property
    def examples(self) -> tuple[str, ...]:
        """The first clips, classes or videos that break it."""
        return self.broken[:SHOWN]

    def __str__(self) -> str:
        if self.words:
            return f"{self.name}: {self.words}"
        examples = f", for example {', '.join(self.examples[:3])}" if self.examples else ""
        return f"{self.name}: expected {self.column} {in_words(self.expected)}, but got {in_words(self.observed)}{examples}"


@dataclass(frozen=True)
class QualityResult:
    """What was expected of a dataset, and whether it was met.

    Attributes:
        findings: All expectations, met or not.
        context: Great Expectations' context after its validations, for Data Docs.
    """

    findings: tuple[Finding, ...]
    context: Any = field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether every expectation is met."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The expectations that are not met."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def unusable(self) -> dict[str, str]:
        """Clips that break a fatal expectation, each with the reason."""
        reasons: dict[str, list[str]] = {}
        for finding in self.findings:
            for clip_id in finding.broken if finding.fatal else ():
                reasons.setdefault(clip_id, []).append(
                    f"expected {finding.column} {in_words(finding.expected)} ({finding.name})"
                )
        return {clip_id: "; ".join(words) for clip_id, words in reasons.items()}

    @property
    def checked(self) -> int:
        """Number of expectations."""
        return len(self.findings)


def in_words(value: Any) -> str:
    """Bounds and observations for a sentence or a table cell; long lists are cut."""
    if isinstance(value, dict) and "broken" in value:
        return f"{in_words(value['broken']) if value['broken'] else 'none'} of {in_words(value['of'])} that break it"
    if isinstance(value, dict):
        above = "more than" if value.get("strict_min") else "at least"
        words = {"min_value": above, "max_value": "at most", "threshold": "diverges by at most",
                 "value_set": "one of"}  # fmt: skip
        parts = [f"{words[key]} {in_words(value[key])}" for key in words if value.get(key) is not None]
        if "mostly" in value:
            parts.append(f"for {value['mostly']:.0%} of them")
        return ", ".join(parts) or "unique"
    if isinstance(value, list):
        rest = f" and {len(value) - SHOWN} more" if len(value) > SHOWN else ""
        return ", ".join(in_words(item) for item in value[:SHOWN]) + rest
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
