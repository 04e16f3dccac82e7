"""Read a video timeline export of Label Studio (JSON or JSON-MIN) into a manifest.

A region of `TimelineLabels` carries `ranges` of frames, numbered from 1, both ends included. They are frames of the
timeline that was drawn in the browser at the rate of the labelling configuration (`frameRate` of the Video tag, 24
where not set), which the export does not state. The rate is taken from the task's data (`fps`), from a region that
carries `framesCount` and `duration`, or else from the video itself: then a note says so, and labels that end after
the video are refused, because they prove that the rate was another.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan_core.datasets.manifests.manifest import Entry, Manifest, assemble, printable
from pan_core.datasets.manifests.references import AmbiguousReference, VideoIndex, video_reference
from pan_core.errors import DataError, VideoError
from pan_core.pose.records import read_info
from pan_core.video import VideoInfo

# Tasks that were written here say in their data which file they mean; any other is found by its address.
PATH_KEY = "path"
RATE_KEYS = ("fps", "frame_rate", "framerate", "frameRate")
LONG_NUMBER = 16
FACT_KEYS = ("camera", "recorded_at", "subject")

Json = dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """A task of either export: where it stands, its data, the regions that count, and what was passed over."""

    where: str
    data: Json
    regions: list[Json]
    note: str = ""


def is_label_studio(path: Path) -> bool:
    """Whether a JSON file is an export with timeline labels."""
    try:
        return any(True for task in _iterate_tasks(_load(path), path.name) for _ in _iterate_ranges(task))
    except DataError:
        return False


def read_label_studio(path: Path, *, root: Path, videos: Mapping[str, Path]) -> Manifest:
    """Rows of an export.

    Of several annotations of a task the one marked as ground truth counts, or else the latest; cancelled ones and
    predictions never count.

    Args:
        path: The export.
        root: Folder of the videos, for names in messages.
        videos: Path relative to the folder -> video; the export's addresses are matched with these.

    Raises:
        DataError: Where the file is no such export.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    tasks = list(_iterate_tasks(_load(path), name))
    if not any(True for task in tasks for _ in _iterate_ranges(task)):
        raise DataError(
            f"{path}: no timeline labels; expected a Label Studio export (JSON) of a TimelineLabels project",
            code="label-studio.no-labels",
        )
    index, entries, missing = VideoIndex(videos), [], []
    notes = [f"{task.where}: {task.note}" for task in tasks if task.note]
    for task in tasks:
        if not any(True for _ in _iterate_ranges(task)):
            continue
        reference = video_reference(task.data)
        try:
            named = task.data.get(PATH_KEY)
            video = named if isinstance(named, str) and named in videos else index.find(reference)
        except AmbiguousReference as error:
            entries.append(Entry(task.where, {}, str(error)))
            continue
        if video is None:
            missing.append(printable(index.shown(reference)))
            continue
        found, note = _make_entries(task, video, videos[video])
        entries += found
        notes += [f"{task.where}: {note}"] if note else []
    manifest = assemble(entries, notes=notes)
    return Manifest(manifest.rows, manifest.quarantine, missing=tuple(sorted(set(missing))), notes=manifest.notes)


def _load(path: Path) -> list[Json]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"), parse_int=_parse_whole)
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
                {"value": value}
                for values in task.values()
                if isinstance(values, list)
                for value in values
                if isinstance(value, dict)
            ]
            yield _Task(where, task, regions)


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


def _iterate_ranges(task: _Task) -> Iterator[tuple[list[str], Any]]:
    """Labels and range of every timeline region."""
    for region in task.regions:
        value = region.get("value")
        if isinstance(value, dict) and isinstance(value.get("ranges"), list):
            given = value.get("timelinelabels")
            labels = [str(label) for label in given] if isinstance(given, list) else []
            for item in value["ranges"]:
                yield labels or [""], item


def _make_entries(task: _Task, video: str, path: Path) -> tuple[list[Entry], str]:
    """Entries of a task, and what had to be assumed about its rate."""
    info, rate, note = None, _find_rate(task), ""
    if rate is None:
        try:
            info = read_info(path)
        except (VideoError, DataError) as error:
            return [Entry(task.where, {}, f"its frames cannot be turned into seconds: {error}")], ""
        rate = info.fps
        note = (
            f"the export has no frame rate, {video}'s own {rate:g} frames a second are assumed; where the labelling "
            "configuration had another one (24 where none was set), add it to the task's data as fps"
        )
    facts = {key: str(task.data[key]) for key in FACT_KEYS if task.data.get(key) is not None}
    given = {"video": video, **facts}
    entries = [
        _make_entry(task.where, given, label, item, rate, info)
        for labels, item in _iterate_ranges(task)
        for label in labels
    ]
    return entries, note


def _make_entry(where: str, given: dict[str, str], label: str, item: Any, rate: float, info: VideoInfo | None) -> Entry:
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
