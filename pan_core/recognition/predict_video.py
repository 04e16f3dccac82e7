"""Recognition of the actions in a video file: an annotated copy of it, and a timeline of what everybody does."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.files import sha256_of, write_json
from pan_core.pose.extraction import PoseExtractor, believable_tracks, collect_tracks, frame_step
from pan_core.recognition.result_files import ANNOTATED, TIMELINE, name_results
from pan_core.recognition.step_network import StepNetwork
from pan_core.recognition.stream import Recognition, StreamRecognizer
from pan_core.skeletons import SkeletonLayout, convert
from pan_core.video import VideoInfo, probe, read_frames
from pan_core.viewer.annotate import ENCODERS, write_video
from pan_core.viewer.captions import Caption, spans
from pan_core.viewer.drawing import Box, draw_caption, draw_skeleton, person_colour

# A change of caption that is over sooner is taken for doubt, not for an action.
SHORTEST_SEGMENT_S = 0.3


@dataclass(frozen=True)
class RecognizedSegment:
    """Actions that hold from `start_s` to `end_s`, in seconds from the start of the video."""

    start_s: float
    end_s: float
    label: str
    confidence: float


@dataclass(frozen=True)
class PersonTimeline:
    """One person: when in sight, the class of everything done, and the segments that it consists of."""

    id: int
    start_s: float
    end_s: float
    label: str
    confidence: float
    segments: tuple[RecognizedSegment, ...]


@dataclass(frozen=True)
class Timeline:
    """What happens in a video.

    Attributes:
        video: File name.
        sha256: Hash of the file.
        fps: Frames a second of the video.
        frames: Frames of the video.
        pose_fps: Frames a second that were looked at; drawings hold between them.
        model: The recognizer.
        annotated: File name of the annotated video; None where none was asked for.
        label: Class of the video as a whole: the classes of its people, each weighted by the quality of the track
            (`combine_people`); None where there is nobody.
        confidence: Its probability; 0 where there is nobody.
        people: In the order of first sight.
        reason: Why there is nobody in `people`; None where there is somebody.
    """

    video: str
    sha256: str
    fps: float
    frames: int
    pose_fps: float
    model: str
    annotated: str | None
    label: str | None
    confidence: float
    people: tuple[PersonTimeline, ...]
    reason: str | None


def predict_video(
    video: Path,
    *,
    extractor: PoseExtractor,
    recognizer: StepNetwork,
    out: Path | None,
    model_name: str,
    progress: Callable[[int, int], None] | None = None,
    encoders: Sequence[tuple[str, str]] = ENCODERS,
    background: Callable[[np.ndarray], np.ndarray] = lambda frame: frame,
) -> Timeline:
    """What happens in a video, also as `<name>_annotated.mp4` and `<name>_timeline.json`; `name_results` gives the name.

    Frames pass one by one through tracker, recognizer and drawing, so a caption never knows what comes later and
    the length of the video does not matter.

    Args:
        video: Video file.
        extractor: Finds people.
        recognizer: Runs the recognizer; joints are converted to its layout.
        out: Folder to write to; nothing is written where None.
        model_name: Recognizer's name for the timeline.
        progress: Called with the frames done and the frames in all.
        encoders: Of the annotated video; see `write_video`.
        background: Gives the picture to draw on for a frame, of the same size.

    Returns:
        The timeline; a video without people has nobody in it and a reason, and is written all the same.

    Raises:
        VideoError: If the video cannot be decoded.
        DataError: If the recognizer does not fit.
    """
    info = probe(video)
    name = name_results(out, video) if out else ""
    people = FrameRecognizer(extractor, recognizer, fps=info.fps)
    frames = _recognise_frames(video, people, progress=progress, frames=info.n_frames)
    copy = None
    if out:
        pictures = _draw_frames(frames, recognizer.layout, background)
        copy = write_video(out / f"{name}{ANNOTATED}.mp4", pictures, fps=info.fps, encoders=encoders).name
    else:
        deque(frames, maxlen=0)
    timeline = _summarize_video(
        video,
        info,
        people,
        recognizer,
        model_name,
        annotated=copy,
        min_person_score=extractor.settings.min_person_score,
    )
    if out:
        write_json(out / f"{name}{TIMELINE}", asdict(timeline))
    return timeline


class FrameRecognizer:
    """Recognises the people of a video, frame by frame, and remembers what it found.

    Args:
        extractor: Finds people.
        recognizer: Runs the recognizer.
        fps: Frames a second of the video.

    Attributes:
        step: Every so many frames one is looked at.
        history: Everybody at each frame that was looked at.

    Raises:
        DataError: If the recognizer's layout has joints that the extractor does not find.
    """

    def __init__(self, extractor: PoseExtractor, recognizer: StepNetwork, *, fps: float) -> None:
        self.step = frame_step(fps, extractor.settings.max_fps)
        self.history: list[list[Recognition]] = []
        self._stream = StreamRecognizer(recognizer, pose_fps=fps / self.step)
        self._tracker = extractor.tracker()
        self._from, self._to = extractor.layout, recognizer.layout
        self._frames = 0
        # Nobody's joints, so that layouts that do not fit are refused before the first frame.
        convert(np.zeros((0, self._from.size, 3)), self._from, self._to)

    def update(self, frame: np.ndarray) -> list[Recognition]:
        """Take in the next frame; between two looks the last people are given again."""
        if self._frames % self.step == 0:
            found = [(track, convert(pose, self._from, self._to)) for track, pose in self._tracker.update(frame)]
            self.history.append(self._stream.update([(track, pose) for track, pose in found if (pose[:, 2] > 0).any()]))
        self._frames += 1
        return self.history[-1]


def _recognise_frames(
    video: Path, people: FrameRecognizer, *, progress: Callable[[int, int], None] | None, frames: int
) -> Iterator[tuple[np.ndarray, list[Recognition]]]:
    """Read a video; give each frame with the people in it."""
    for number, frame in enumerate(read_frames(video), start=1):
        yield frame, people.update(frame)
        if progress:
            progress(number, frames)


def _draw_frames(
    frames: Iterator[tuple[np.ndarray, list[Recognition]]],
    layout: SkeletonLayout,
    background: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    for frame, seen in frames:
        picture = background(frame)
        draw_people(picture, seen, layout)
        yield picture


def _summarize_video(
    video: Path,
    info: VideoInfo,
    found: FrameRecognizer,
    recognizer: StepNetwork,
    model_name: str,
    *,
    annotated: str | None,
    min_person_score: float,
) -> Timeline:
    people = _select_believable(
        found.history, recognizer.layout, min_person_score=min_person_score, step=found.step, info=info
    )
    label, confidence = classify_video([person.id for person in people], found.history, recognizer.labels)
    return Timeline(
        video=video.name,
        sha256=sha256_of(video),
        fps=info.fps,
        frames=info.n_frames,
        pose_fps=info.fps / found.step,
        model=model_name,
        annotated=annotated,
        label=label,
        confidence=confidence,
        people=people,
        reason=None if people else f"no person found in {info.n_frames} frames",
    )


def draw_people(frame: np.ndarray, people: Sequence[Recognition], layout: SkeletonLayout) -> None:
    """Draw skeletons, then captions over the heads, in place."""
    for one in people:
        colour = person_colour(one.person)
        draw_skeleton(frame, one.joints, layout, attention=one.attention, colour=colour)
    boxes: list[Box] = []
    for one in people:
        seen = one.joints[one.joints[:, 2] > 0, :2]
        head = seen.min(axis=0) - [0, frame.shape[0] / 24]
        lines = [str(one.caption)] + ([f"in all: {one.clip}"] if one.clip.label != one.caption.label else [])
        colour = person_colour(one.person)
        boxes.append(draw_caption(frame, lines, anchor=tuple(head), colour=colour, above=True, avoid=boxes))


def _select_believable(
    history: list[list[Recognition]], layout: SkeletonLayout, *, min_person_score: float, step: int, info: VideoInfo
) -> tuple[PersonTimeline, ...]:
    """Believable people; the rule is the one by which poses are extracted for training."""
    tracks = collect_tracks([[(one.person, one.joints) for one in frame] for frame in history], joints=layout.size)
    order = list(dict.fromkeys(one.person for frame in history for one in frame))
    believed = [
        person
        for person, track in zip(order, tracks, strict=True)
        if len(believable_tracks(track[None], min_person_score=min_person_score))
    ]
    return tuple(
        _summarize_person(person, history, seconds=step / info.fps, end_s=info.n_frames / info.fps)
        for person in believed
    )


def classify_video(
    people: Sequence[int], history: Sequence[Sequence[Recognition]], labels: Sequence[str]
) -> tuple[str | None, float]:
    """Class and probability of a video by all of its people, as each was known when last seen.

    Args:
        people: Numbers of those that count.
        history: Everybody at each frame that was looked at.
        labels: Class names.

    Returns:
        None and 0 if there is nobody.
    """
    if not people:
        return None, 0.0
    latest = {one.person: one.probabilities for frame in history for one in frame}
    quality = dict.fromkeys(people, 0.0)
    for one in (one for frame in history for one in frame if one.person in quality):
        quality[one.person] += float(one.joints[:, 2].sum())
    combined = combine_people(np.stack([latest[person] for person in people]), np.array([*quality.values()]))
    return labels[int(combined.argmax())], round(float(combined.max()), 4)


def combine_people(probabilities: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Class probabilities of a clip out of those of its people.

    The mean over people, each weighted by the quality of the track (the sum of the keypoint scores): somebody
    who is seen whole and all the time counts for more than a passer-by, and no single track decides alone.

    Args:
        probabilities: Shape (M, K).
        quality: Shape (M,), >= 0.

    Returns:
        Shape (K,); the plain mean where no track has any quality.

    Raises:
        ValueError: If there is nobody, or the shapes do not agree.
    """
    if len(probabilities) == 0 or quality.shape != probabilities.shape[:1]:
        raise ValueError(
            f"Expected probabilities (M, K) and quality (M,) with M >= 1, but got {probabilities.shape} and "
            f"{quality.shape}"
        )
    weights = quality if quality.sum() > 0 else np.ones(len(quality))
    return weights @ probabilities / weights.sum()


def _summarize_person(person: int, history: list[list[Recognition]], *, seconds: float, end_s: float) -> PersonTimeline:
    """One person's part of the history; while out of sight the last caption goes on.

    Args:
        person: Track number.
        history: Everybody at each pose.
        seconds: Time between two poses.
        end_s: Length of the video.
    """
    sights = {number: one for number, frame in enumerate(history) for one in frame if one.person == person}
    first, last = min(sights), max(sights)
    captions: list[Caption] = []
    for number in range(first, last + 1):
        captions.append(sights[number].caption if number in sights else captions[-1])

    def time(number: int) -> float:
        return round(min(number * seconds, end_s), 3)

    shortest = max(1, round(SHORTEST_SEGMENT_S / seconds))
    segments = tuple(
        RecognizedSegment(time(first + span.start), time(first + span.end), span.label, round(span.confidence, 4))
        for span in spans(captions, shortest=shortest)
    )
    clip = sights[last].clip
    return PersonTimeline(person, time(first), time(last + 1), clip.label, round(clip.confidence, 4), segments)
