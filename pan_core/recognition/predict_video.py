"""Recognition of the actions in a video file: an annotated copy of it, and a timeline of what everybody does."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.files import sha256_of, write_json
from pan_core.pose.extraction import PoseExtractor, frame_step
from pan_core.pose.person_tracker import KEEP_LOST
from pan_core.pose.tracks import is_believable, person_scores
from pan_core.recognition.result_files import ANNOTATED, TIMELINE, name_results
from pan_core.recognition.step_network import StepNetwork
from pan_core.recognition.stream import Recognition, StreamRecognizer
from pan_core.skeletons import SkeletonLayout, convert
from pan_core.video import VideoInfo, probe, read_frames
from pan_core.viewer.annotate import ENCODERS, write_video
from pan_core.viewer.captions import CaptionSpans, likeliest
from pan_core.viewer.drawing import Box, draw_caption, draw_skeleton, person_colour

# A change of caption that is over sooner is taken for doubt, not for an action.
SHORTEST_SEGMENT_S = 0.3
# Looks from one time that false detections are forgotten to the next.
FORGET_EVERY = 300


@dataclass(frozen=True)
class RecognizedSegment:
    """Actions that hold from `start_s` to `end_s`, in seconds from the start of the video."""

    start_s: float
    end_s: float
    label: str
    confidence: float


@dataclass(frozen=True)
class PersonTimeline:
    """One person: when in sight, the class of everything done, and the segments in which known actions hold.

    The label is empty if it is most likely none of the known classes; then the confidence is the probability of that.
    """

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
            (`combine_people`); None where there is nobody, or most likely none of the known classes.
        confidence: Its probability; 0 where there is no label.
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
    """Recognises the people of a video, frame by frame, and keeps what the timeline says of each.

    Args:
        extractor: Finds people.
        recognizer: Runs the recognizer.
        fps: Frames a second of the video.

    Attributes:
        step: Every so many frames one is looked at.
        looks: Frames that were looked at.
        people: Everybody so far, believable or not, in the order of first sight; of those who are gone, false
            detections are forgotten.

    Raises:
        DataError: If the recognizer's layout has joints that the extractor does not find.
    """

    def __init__(self, extractor: PoseExtractor, recognizer: StepNetwork, *, fps: float) -> None:
        self.step = frame_step(fps, extractor.settings.max_fps)
        self.looks = 0
        self.people: dict[int, PersonSummary] = {}
        self._shortest = max(1, round(SHORTEST_SEGMENT_S / (self.step / fps)))
        self._stream = StreamRecognizer(recognizer, pose_fps=fps / self.step)
        self._tracker = extractor.tracker()
        self._from, self._to = extractor.layout, recognizer.layout
        self._frames = 0
        self._newest: list[Recognition] = []
        # Nobody's joints, so that layouts that do not fit are refused before the first frame.
        convert(np.zeros((0, self._from.size, 3)), self._from, self._to)

    def update(self, frame: np.ndarray) -> list[Recognition]:
        """Take in the next frame; between two looks the last people are given again."""
        if self._frames % self.step == 0:
            found = self._tracker.update(frame)
            if self._from != self._to:
                found = [(track, convert(pose, self._from, self._to)) for track, pose in found]
            self._newest = self._stream.update([(track, pose) for track, pose in found if (pose[:, 2] > 0).any()])
            for one in self._newest:
                if one.person not in self.people:
                    self.people[one.person] = PersonSummary(one.person, self.looks, shortest=self._shortest)
                self.people[one.person].see(one, self.looks)
            self.looks += 1
            if self.looks % FORGET_EVERY == 0:
                self._forget_false()
        self._frames += 1
        return self._newest

    def believable(self, *, min_person_score: float) -> "list[PersonSummary]":
        """People of the frames so far, by the rule by which poses are extracted for training."""
        return [
            one
            for one in self.people.values()
            if is_believable(one.seen, one.total, frames=self.looks, min_person_score=min_person_score)
        ]

    def _forget_false(self) -> None:
        """Forget tracks that are over and were seen too seldom to be people in any video of this length or more."""
        over = self.looks - KEEP_LOST - 1
        self.people = {
            number: one
            for number, one in self.people.items()
            if one.last >= over or is_believable(one.seen, np.inf, frames=self.looks, min_person_score=0)
        }


class PersonSummary:
    """One person's sums over the frames of a video, whatever its length; while out of sight the last caption goes on.

    Args:
        person: Track number.
        first: Look at which the person was first seen.
        shortest: Captions of the shortest segment.

    Attributes:
        person: Track number.
        first: First look with the person.
        last: Last look with the person.
        seen: Looks at which the person was seen.
        total: Sum of the person scores.
        quality: Sum of the keypoint scores.
        captions: Segments, in looks from the first.
        latest: As last seen.
    """

    def __init__(self, person: int, first: int, *, shortest: int = 1) -> None:
        self.person, self.first, self.last = person, first, first - 1
        self.seen, self.total, self.quality = 0, 0.0, 0.0
        self.captions = CaptionSpans(shortest=shortest)
        self.latest: Recognition | None = None

    def see(self, one: Recognition, look: int) -> None:
        """Take in what is known of the person at a look."""
        if self.latest and look - self.last > 1:
            self.captions.add(self.latest.caption, times=look - self.last - 1)
        self.captions.add(one.caption)
        self.last, self.latest = look, one
        self.seen += 1
        self.total += float(person_scores(one.joints))
        self.quality += float(one.joints[:, 2].sum())


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
    believed = found.believable(min_person_score=min_person_score)
    people = tuple(
        _summarize_person(one, seconds=found.step / info.fps, end_s=info.n_frames / info.fps) for one in believed
    )
    label, confidence = classify_video(believed, recognizer.labels)
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
        reason=None if people else f"no person found in {info.n_frames} frame{'s' if info.n_frames != 1 else ''}",
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
        clip = [f"in all: {one.clip}"] if one.clip.label not in ("", one.caption.label) else []
        lines = ([str(one.caption)] if one.caption.label else []) + clip
        if not lines:
            continue
        colour = person_colour(one.person)
        boxes.append(draw_caption(frame, lines, anchor=tuple(head), colour=colour, above=True, avoid=boxes))


def classify_video(people: Sequence[PersonSummary], labels: Sequence[str]) -> tuple[str | None, float]:
    """Class and probability of a video by all of its people, as each was known when last seen.

    Args:
        people: Those that count.
        labels: Class names.

    Returns:
        None and 0 if there is nobody, or it is more likely that none of the classes holds.
    """
    latest = [one.latest.probabilities for one in people if one.latest]
    if not latest:
        return None, 0.0
    combined = combine_people(np.stack(latest), np.array([one.quality for one in people if one.latest]))
    best = likeliest(combined, labels)
    return (best.label, round(best.confidence, 4)) if best.label else (None, 0.0)


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


def _summarize_person(one: PersonSummary, *, seconds: float, end_s: float) -> PersonTimeline:
    """One person's part of the timeline.

    Args:
        one: The person, seen at least once.
        seconds: Time between two looks.
        end_s: Length of the video.
    """

    def time(number: int) -> float:
        return round(min(number * seconds, end_s), 3)

    segments = tuple(
        RecognizedSegment(
            time(one.first + span.start), time(one.first + span.end), span.label, round(span.confidence, 4)
        )
        for span in one.captions.spans()
        if span.label
    )
    assert one.latest
    clip = one.latest.clip
    return PersonTimeline(
        one.person, time(one.first), time(one.last + 1), clip.label, round(clip.confidence, 4), segments
    )
