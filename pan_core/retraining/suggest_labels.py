"""Unlabelled footage for people to label: what the recognizer believes of every video that has no label yet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan_core.datasets.manifests.label_studio_tasks import Suggestion, make_task
from pan_core.errors import DataError, VideoError
from pan_core.pose.extraction import PoseExtractor
from pan_core.recognition.predict_video import Timeline, predict_video
from pan_core.recognition.step_network import StepNetwork
from pan_core.video import probe
from pan_core.viewer.captions import names_of


@dataclass(frozen=True)
class Labelling:
    """What there is to label.

    Attributes:
        tasks: Tasks for Label Studio, in no order.
        segments: Suggestions in all of them.
        empty: Videos in which nobody was found; they have a task without a suggestion.
        left_out: Video -> why it cannot be read.
    """

    tasks: list[dict[str, Any]]
    segments: int
    empty: tuple[str, ...]
    left_out: dict[str, str]


def label_videos(
    videos: Mapping[str, Path],
    *,
    extractor: PoseExtractor,
    recognizer: StepNetwork,
    model_name: str,
    address: Callable[[str], str],
    progress: Callable[[int, int], None] | None = None,
) -> Labelling:
    """Suggest labels for videos.

    Args:
        videos: Path relative to the folder of the footage -> video, as `unlabelled_videos` gives them.
        extractor: Finds people.
        recognizer: Runs the recognizer.
        model_name: Its name in the tasks.
        address: Where Label Studio finds a video, by its relative path.
        progress: Called with the frames done and the frames in all.

    Raises:
        DataError: Where none can be read, or the recognizer does not fit.
    """
    addresses = {name: address(name) for name in videos}
    frames, left_out = _count_frames(videos)
    tasks: list[dict[str, Any]] = []
    empty, segments, done, total = [], 0, 0, sum(frames.values())

    def report(number: int, _: int) -> None:
        if progress:
            progress(done + number, total)

    for name, length in frames.items():
        try:
            timeline = predict_video(
                videos[name],
                extractor=extractor,
                recognizer=recognizer,
                out=None,
                model_name=model_name,
                progress=report,
            )
        except VideoError as error:
            left_out[name] = str(error)
        else:
            found = suggestions(timeline, recognizer.actions)
            task = make_task(
                name, found, address=addresses[name], fps=timeline.fps, frames=timeline.frames, model=model_name
            )
            tasks.append(task)
            segments += len(found)
            empty += [] if found else [name]
        done += length
    if left_out and not tasks:
        raise DataError(
            f"none of {len(left_out)} videos can be read, such as {next(iter(left_out.values()))}",
            code="labels.no-video",
        )
    return Labelling(tasks, segments, tuple(empty), left_out)


def _count_frames(videos: Mapping[str, Path]) -> tuple[dict[str, int], dict[str, str]]:
    """Frames of every video, and why some have none."""
    frames, left_out = {}, {}
    for name, path in videos.items():
        try:
            frames[name] = probe(path).n_frames
        except VideoError as error:
            left_out[name] = str(error)
    return frames, left_out


def suggestions(timeline: Timeline, actions: Sequence[str]) -> list[Suggestion]:
    """What a timeline says of the video as a whole: the spans over which an action holds, whoever does it.

    Labels are of the video, not of one person, as in a manifest: where two people do the same at the same time, or one
    goes on with an action while another one comes and goes, that is one span. Its score is the lowest of its parts.

    Args:
        timeline: Of the video.
        actions: Those of the recognizer, in its order.
    """
    parts = [
        Suggestion(action, segment.start_s, segment.end_s, segment.confidence)
        for person in timeline.people
        for segment in person.segments
        for action in names_of(segment.label, actions)
    ]
    return [span for action in actions for span in _join_spans([part for part in parts if part.label == action])]


def _join_spans(parts: list[Suggestion]) -> Iterator[Suggestion]:
    """Suggestions of one label, those that touch or overlap as one."""
    last: Suggestion | None = None
    for part in sorted(parts, key=lambda one: one.start_s):
        if last and part.start_s <= last.end_s:
            last = Suggestion(part.label, last.start_s, max(last.end_s, part.end_s), min(last.score, part.score))
            continue
        if last:
            yield last
        last = part
    if last:
        yield last
