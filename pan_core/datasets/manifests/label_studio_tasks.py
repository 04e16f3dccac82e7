"""Write tasks for Label Studio with suggested labels on the video's timeline; `label_studio` reads them back annotated.

A task is a video. Its one prediction has a region of `TimelineLabels` for each suggestion, with the suggestion's score.
Frames are numbered from 1 with both ends included, at the video's own rate: the task's data has it as `fps`, the
labelling configuration lets the browser count by it, and the reader turns frames into seconds by it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from pan_core.datasets.manifests.label_studio import PATH_KEY
from pan_core.errors import DataError
from pan_core.files import atomic_path, write_json

ROOT_VARIABLE = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
"""Folder below which Label Studio may serve local files; a variable of its own."""

# Names of the tags of the labelling configuration, to which regions refer.
VIDEO_TAG, LABELS_TAG = "video", "videoLabels"

Json = dict[str, Any]


@dataclass(frozen=True)
class Suggestion:
    """A label that may hold from `start_s` up to `end_s`, and how sure that is, 0 to 1."""

    label: str
    start_s: float
    end_s: float
    score: float


def make_task(
    video: str, suggestions: Iterable[Suggestion], *, address: str, fps: float, frames: int, model: str
) -> Json:
    """A task with its suggestions, the least certain first; the prediction's score is the lowest of theirs.

    Args:
        video: Path relative to the folder of the footage.
        suggestions: None where nothing can be said; then the task has no prediction.
        address: Where Label Studio finds the video.
        fps: Frames a second of the video.
        frames: Frames of the video.
        model: Who suggests it.
    """
    ranked = sorted(suggestions, key=lambda one: (one.score, one.start_s, one.label))
    regions = [_region(video, one, fps, frames) for one in ranked]
    predictions = [{"model_version": model, "score": ranked[0].score, "result": regions}] if ranked else []
    return {"data": {VIDEO_TAG: address, PATH_KEY: video, "fps": fps}, "predictions": predictions}


def _region(video: str, one: Suggestion, fps: float, frames: int) -> Json:
    first = min(round(one.start_s * fps) + 1, frames)
    last = min(max(round(one.end_s * fps), first), frames)
    name = hashlib.sha256(f"{video}:{one.label}:{first}".encode()).hexdigest()[:10]
    return {
        "id": name,
        "type": "timelinelabels",
        "from_name": LABELS_TAG,
        "to_name": VIDEO_TAG,
        "score": one.score,
        "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [one.label]},
    }


def certainty(task: Json) -> float:
    """Lowest score in a task; above every score where it has no suggestion."""
    return min((prediction["score"] for prediction in task["predictions"]), default=float("inf"))


def local_address(folder: Path, video: str, root: Path) -> str:
    """Address by which Label Studio serves a local file.

    Args:
        folder: Folder of the footage.
        video: Path relative to it.
        root: What Label Studio has as its document root.

    Raises:
        DataError: Where the folder is not below the root.
    """
    place, top = folder.resolve(), root.resolve()
    if not place.is_relative_to(top):
        raise DataError(
            f"{folder}: not below {root}, to which {ROOT_VARIABLE} is set, so Label Studio could not show its videos; "
            "move the footage there, or set the variable to a folder above it, here and for Label Studio",
            code="label-studio.outside-root",
        )
    return f"/data/local-files/?d={quote((place / video).relative_to(top).as_posix())}"


def labelling_config(labels: Sequence[str]) -> str:
    """Labelling configuration of a project for such tasks, as XML.

    Args:
        labels: Names of the classes, in the order in which they are offered.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name=VIDEO_TAG, value=f"${VIDEO_TAG}", frameRate="$fps", timelineHeight="120")
    control = ElementTree.SubElement(view, "TimelineLabels", name=LABELS_TAG, toName=VIDEO_TAG)
    for label in labels:
        ElementTree.SubElement(control, "Label", value=label)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def require_replaceable(out: Path) -> None:
    """Refuse to write tasks over anything but tasks without annotations: a person's labels are not made again.

    Raises:
        DataError: If the file is there and is something else.
    """
    if not out.exists():
        return
    try:
        tasks = json.loads(out.read_text(encoding="utf-8-sig"))
        harmless = all("data" in task and not task.get("annotations") for task in tasks)
    except (OSError, ValueError, TypeError, AttributeError):
        harmless = False
    if not harmless:
        raise DataError(
            f"{out}: holds annotations, or is no file of tasks that `pan data label` wrote; name another with --out",
            code="label.not-replaced",
        )


def write_tasks(tasks: Iterable[Json], labels: Sequence[str], out: Path) -> Path:
    """Write tasks, those with the least certain suggestion first, and the labelling configuration beside them.

    Returns:
        File of the labelling configuration: `out` with the suffix .xml.
    """
    config = out.with_suffix(".xml")
    with atomic_path(config) as partial:
        partial.write_text(labelling_config(labels), encoding="utf-8")
    write_json(out, sorted(tasks, key=lambda task: (certainty(task), task["data"][PATH_KEY])))
    return config
