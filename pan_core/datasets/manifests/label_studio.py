"""Read an export of Label Studio (JSON or JSON-MIN) into a manifest: labels on a timeline, or choices for whole videos.

`label_studio_regions` has the kinds of regions. Where an export has spans, choices beside them are no labels of actions.

The frames of a region of `TimelineLabels` are those of the timeline that was drawn in the browser at the rate of the labelling configuration (`frameRate` of the Video tag, 24
where not set), which the export does not state. The rate is taken from the task's data (`fps`), from a region that
carries `framesCount` and `duration`, or else from the video itself: then a note says so, and labels that end after
the video are refused, because they prove that the rate was another.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pan_core.datasets.manifests.csv_file import csv_columns
from pan_core.datasets.manifests.label_studio_regions import (
    CSV_COLUMNS,
    HINT,
    NAMED,
    Json,
    Span,
    SpanKind,
    is_export_header,
    kind_in_words,
    spans_of,
)
from pan_core.datasets.manifests.manifest import Entry, Manifest, RowFault, assemble, printable
from pan_core.datasets.manifests.references import AmbiguousReference, VideoIndex, video_reference
from pan_core.datasets.manifests.written_forms import Assumptions, plain_date
from pan_core.errors import DataError, VideoError
from pan_core.files import read_user_text
from pan_core.pose.records import read_info
from pan_core.video import VideoInfo

# Tasks that were written here say in their data which file they mean; any other is found by its address.
PATH_KEY = "path"
RATE_KEYS = ("fps", "frame_rate", "framerate", "frameRate")
LONG_NUMBER = 16
FACT_KEYS = ("camera", "recorded_at", "subject")

# What a short export has beside the data and the labels of a task.
OWN_KEYS = CSV_COLUMNS | {"id", "file_upload", "agreement"}


@dataclass(frozen=True)
class _Task:
    """A task of either export: where it stands, its data, the regions that count, and what was passed over.

    `maybe_choice`: it has texts of its own, one of which may be a choice.
    """

    where: str
    data: Json
    regions: list[Json]
    note: str = ""
    maybe_choice: bool = False

    def spans(self) -> Iterator[Span]:
        """Spans of all regions."""
        for region in self.regions:
            yield from spans_of(region)


def is_label_studio(path: Path) -> bool:
    """Whether a JSON file is an export with labels that can be read."""
    try:
        return any(any(True for _ in task.spans()) for task in _iterate_tasks(_load(path), path.name))
    except DataError:
        return False


def unread_export(path: Path) -> str:
    """Why an export of Label Studio has no labels that can be read, and what to do; empty of every other file."""
    if path.suffix.lower() in (".csv", ".tsv"):
        named = f"{path.name}: a {path.suffix[1:].upper()} export of Label Studio; export the project as JSON"
        return named if is_export_header(csv_columns(path)) else ""
    if path.suffix.lower() != ".json" or is_label_studio(path):
        return ""
    try:
        found = _describe_unread(list(_iterate_tasks(_load(path), path.name)))
    except DataError:
        return ""
    return f"{path.name}: an export of Label Studio with {found}; {HINT}" if found else ""


def read_label_studio(path: Path, *, root: Path, videos: Mapping[str, Path]) -> Manifest:
    """Rows of an export.

    Of several annotations of a task the one marked as ground truth counts, or else the latest; cancelled ones and
    predictions never count.

    Args:
        path: The export.
        root: Folder of the videos, for names in messages.
        videos: Path relative to the folder -> video; the export's addresses are matched with these.

    Raises:
        DataError: Where the file is no such export, or its choices are of several questions.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    tasks = list(_iterate_tasks(_load(path), name))
    kinds = {span.kind for task in tasks for span in task.spans()}
    if not kinds:
        raise DataError(
            f"{path}: no labels of actions; it has {_describe_unread(tasks) or 'no annotated task of a video'}. Expected an export of "
            f"Label Studio: {HINT}",
            code="label-studio.no-labels",
        )
    notes = [f"{task.where}: {task.note}" for task in tasks if task.note]
    if kinds == {SpanKind.WHOLE}:
        _require_one_question(tasks, path)
    elif SpanKind.WHOLE in kinds:
        notes.append(f"{name}: choices are passed over, as the export has spans with labels")
        kinds.discard(SpanKind.WHOLE)
    if unread := _describe_unread(tasks):
        notes.append(f"{name}: passed over: {unread}")
    reader = _Reader(VideoIndex(videos), videos, kinds)
    for task in tasks:
        reader.take(task)
    notes += reader.notes + [f"{name}: {note}" for note in reader.assumed.notes()]
    manifest = assemble(reader.entries, notes=notes)
    return Manifest(manifest.rows, manifest.quarantine, missing=tuple(sorted(reader.missing)), notes=manifest.notes)


def _describe_unread(tasks: Iterable[_Task]) -> str:
    """Kinds of regions that have no span, in words; empty if there are none."""
    found = {kind_in_words(region): None for task in tasks for region in task.regions}
    return ", ".join(
        [*filter(None, found), *({NAMED["single choice"]} if any(task.maybe_choice for task in tasks) else ())]
    )


def _require_one_question(tasks: Iterable[_Task], path: Path) -> None:
    """Refuse choices of several `Choices`: only a person knows which of them names the action."""
    asked = {str(region.get("from_name")) for task in tasks for region in task.regions if any(spans_of(region))}
    if len(asked) > 1:
        raise DataError(
            f"{path}: has choices of {len(asked)} questions ({', '.join(sorted(asked))}), expected one, whose choice names the action; remove "
            "the others from the labelling configuration and export again",
            code="label-studio.several-choices",
        )


@dataclass
class _Reader:
    """Turns tasks into entries.

    Attributes:
        index: Videos by address.
        videos: Videos by path.
        kinds: Kinds of spans that count.
        entries: What was read.
        notes: What was assumed, by task.
        missing: Videos that are not there.
        assumed: What was read in another way than written.
    """

    index: VideoIndex
    videos: Mapping[str, Path]
    kinds: set[SpanKind]
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    assumed: Assumptions = field(default_factory=Assumptions)

    def take(self, task: _Task) -> None:
        """Read a task; one without spans that count is passed over."""
        spans = [span for span in task.spans() if span.kind in self.kinds]
        if not spans:
            return
        reference, named = video_reference(task.data), task.data.get(PATH_KEY)
        try:
            video = named if isinstance(named, str) and named in self.videos else self.index.find(reference)
            facts = self._facts(task)
        except (AmbiguousReference, RowFault) as error:
            self.entries.append(Entry(task.where, {}, str(error)))
            return
        if video is None:
            self.missing.add(printable(self.index.shown(reference)))
            return
        found, note = _make_entries(task, spans, {"video": video, **facts}, self.videos[video])
        self.entries += found
        self.notes += [f"{task.where}: {note}"] if note else []

    def _facts(self, task: _Task) -> dict[str, str]:
        facts = {key: str(task.data[key]) for key in FACT_KEYS if task.data.get(key) is not None}
        if "recorded_at" in facts:
            facts["recorded_at"] = plain_date(facts["recorded_at"], self.assumed.add)
        return facts


def _load(path: Path) -> list[Json]:
    try:
        content = json.loads(read_user_text(path), parse_int=_parse_whole)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not readable as JSON ({error}); export the project again as JSON", code="label-studio.not-json"
        ) from error
    tasks = content if isinstance(content, list) else [content]
    return [task for task in tasks if isinstance(task, dict)]


def _parse_whole(text: str) -> int | float:
    """A whole number; a huge one, which no frame has, is infinite."""
    return int(text) if len(text) < LONG_NUMBER else float("-inf" if text.startswith("-") else "inf")


def _iterate_tasks(content: list[Json], name: str) -> Iterator[_Task]:
    for number, task in enumerate(content, start=1):
        where = f"{name}:task {task.get('id', number)}"
        if isinstance(task.get("data"), dict):
            regions, note = _choose_annotation(task)
            yield _Task(where, {"file_upload": task.get("file_upload")} | task["data"], regions, note)
        else:
            # JSON-MIN: data and the regions of every control stand side by side, one entry an annotation.
            regions = [
                {"from_name": name, "value": item}
                for name, value in task.items()
                for item in (value if isinstance(value, list) else [value])
                if isinstance(item, dict)
            ]
            own = [
                key
                for key, value in task.items()
                if isinstance(value, str) and key not in {*OWN_KEYS, *FACT_KEYS, PATH_KEY}
            ]
            short = "annotation_id" in task and len(own) > 1
            yield _Task(
                where,
                task,
                regions,
                maybe_choice=short
                and all(span.kind is SpanKind.WHOLE for region in regions for span in spans_of(region)),
            )


def _choose_annotation(task: Json) -> tuple[list[Json], str]:
    given = task.get("annotations") or task.get("completions") or []
    valid = [item for item in _keep_objects(given) if not item.get("was_cancelled")]
    if not valid:
        drafts = "has predictions only" if task.get("predictions") else "is not annotated"
        return [], f"{drafts}, passed over" if not given else "its annotations were cancelled, passed over"
    latest = max(
        valid, key=lambda item: (bool(item.get("ground_truth")), str(item.get("updated_at") or item.get("created_at")))
    )
    note = f"annotation {latest.get('id')} of {len(valid)} is used" if len(valid) > 1 else ""
    return _keep_objects(latest.get("result")), note


def _keep_objects(value: Any) -> list[Json]:
    """The objects of a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _make_entries(task: _Task, spans: list[Span], given: dict[str, str], path: Path) -> tuple[list[Entry], str]:
    """Entries of a task, and what had to be assumed about its rate."""
    info, rate, note = None, _find_rate(task), ""
    kinds = {span.kind for span in spans}
    if SpanKind.WHOLE in kinds or (SpanKind.FRAMES in kinds and rate is None):
        try:
            info = read_info(path)
        except (VideoError, DataError) as error:
            return [Entry(task.where, {}, f"its frames cannot be turned into seconds: {error}")], ""
    if info and SpanKind.FRAMES in kinds and rate is None:
        rate = info.fps
        note = (
            f"the export has no frame rate, {given['video']}'s own {rate:g} frames a second are assumed; where the labelling "
            "configuration had another one (24 where none was set), add it to the task's data as fps"
        )
    else:
        info = info if SpanKind.WHOLE in kinds else None
    return [_make_entry(task.where, given, span, rate, info) for span in spans], note


def _make_entry(where: str, given: dict[str, str], span: Span, rate: float | None, info: VideoInfo | None) -> Entry:
    if span.kind is SpanKind.FRAMES and rate is not None:
        return _make_frames_entry(where, given, span.label, span.range, rate, info)
    if span.kind is SpanKind.WHOLE and info is not None:
        times = {"start_s": "0", "end_s": f"{info.n_frames / info.fps:.6f}"}
    else:
        times = {"start_s": str(span.range["start"]), "end_s": str(span.range["end"])}
    return Entry(where, given | times | {"label": span.label})


def _make_frames_entry(
    where: str, given: dict[str, str], label: str, item: Any, rate: float, info: VideoInfo | None
) -> Entry:
    first, last = (item.get("start"), item.get("end")) if isinstance(item, dict) else (None, None)
    frames = [value for value in (first, last) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(frames) != 2 or not all(map(math.isfinite, frames)) or frames[0] < 1 or frames[1] < frames[0]:
        return Entry(where, {}, f"{label!r}: expected a range of frames from 1, but got {json.dumps(item)}")
    # The browser rounds a video's length up to a whole frame.
    if info is not None and frames[1] > info.n_frames + 1:
        return Entry(
            where,
            {},
            f"{label!r} ends at frame {frames[1]:g}, but {given['video']} has {info.n_frames}: it was labelled at "
            f"another rate than its own {info.fps:g} frames a second; add the rate to the task's data as fps",
        )
    times = {"start_s": f"{(frames[0] - 1) / rate:.6f}", "end_s": f"{frames[1] / rate:.6f}"}
    return Entry(where, given | times | {"label": label})


def _find_rate(task: _Task) -> float | None:
    """Frames a second of the timeline where the export tells it."""
    for key in RATE_KEYS:
        if (rate := _parse_positive(task.data.get(key))) is not None:
            return rate
    for region in task.regions:
        value = region.get("value")
        if isinstance(value, dict):
            count, duration = _parse_positive(value.get("framesCount")), _parse_positive(value.get("duration"))
            if count and duration:
                return count / duration
    return None


def _parse_positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None
