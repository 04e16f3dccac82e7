"""What a region of a Label Studio export says: spans in frames, spans in seconds, or a choice for the whole video.

- `TimelineLabels` of a video: `ranges` of frames, numbered from 1, both ends included.
- `Labels` of the audio that is synchronised with a video (the template "Video Timeline Segmentation"): `start` and `end` in seconds.
- `Choices` of a video: `choices` without a place.

Every other kind is named, with what to do instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

Json = dict[str, Any]

NAMED = {
    "videorectangle": "VideoRectangle, which says where somebody is and not what is done from when to when",
    "timeserieslabels": "TimeSeriesLabels, whose unit of time the export does not say",
    "text": "labels in a text",
    "single choice": "a single choice in a short export (JSON-MIN), which does not say which of its fields it is",
}
HINT = (
    "label the video's timeline (TimelineLabels, or Labels on the synchronised Audio) or choose one label for a whole video (Choices), "
    "and export as JSON"
)
CSV_COLUMNS = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time"})
"""Columns of the CSV and TSV exports beside those of the tasks' data."""


class SpanKind(Enum):
    """What a region says."""

    FRAMES = "frames"
    SECONDS = "seconds"
    WHOLE = "whole"


@dataclass(frozen=True)
class Span:
    """A label, and from when to when it holds.

    Attributes:
        kind: Unit of the range.
        label: As written; empty where the region has none.
        range: The range as it stands in the export; of no account for a whole video.
    """

    kind: SpanKind
    label: str
    range: Any = None


def spans_of(region: Json) -> Iterator[Span]:
    """Spans of a region; none of one of another kind."""
    value = region.get("value")
    kind = _kind_of(region)
    if not isinstance(value, dict) or not isinstance(kind, SpanKind):
        return
    if kind is SpanKind.FRAMES:
        for item in value["ranges"]:
            for label in _texts(value.get("timelinelabels")) or [""]:
                yield Span(kind, label, item)
        return
    labels = value.get("labels" if kind is SpanKind.SECONDS else "choices")
    for label in _texts(labels) or [""]:
        yield Span(kind, label, {"start": value.get("start"), "end": value.get("end")})


def kind_in_words(region: Json) -> str:
    """Kind of a region that has no span; empty if it has one, or says nothing about the video."""
    kind = _kind_of(region)
    return "" if isinstance(kind, SpanKind) else NAMED.get(kind, f"regions of the type {kind}" if kind else "")


def is_export_header(names: list[str]) -> bool:
    """Whether these are the columns of a CSV or TSV export."""
    return len(CSV_COLUMNS.intersection(names)) >= 3


def _kind_of(region: Json) -> SpanKind | str:
    value, kind = region.get("value"), str(region.get("type") or "").lower()
    if not isinstance(value, dict):
        return kind
    if isinstance(value.get("ranges"), list):
        return SpanKind.FRAMES
    if "sequence" in value:
        return "videorectangle"
    if isinstance(value.get("choices"), list):
        # A choice of a region has the place of its region beside it.
        return SpanKind.WHOLE if set(value) == {"choices"} else kind or "choices"
    if isinstance(value.get("labels"), list) and "start" in value:
        if "text" in value or "startOffset" in value or isinstance(value["start"], str):
            return "text"
        return SpanKind.SECONDS
    return kind or next((key for key in value if key.endswith("labels")), "")


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
