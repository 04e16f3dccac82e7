"""Streams made of clips: one person who does one thing after another, and what a recognizer says of it.

Frames come at the rate of the network, so a stream's truth is known at each of its steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.errors import DataError
from pan_core.model.missing import between
from pan_core.model.store import LoadedModel
from pan_core.recognition.stream import Recognition
from pan_core.training.predict import predict
from pan_core.training.samples import Samples
from pan_core.viewer.captions import Caption

PAUSE_S = 0.4
"""From the last pose of a clip to the first of the next."""
IDLE_S = 2.0
SWAY = 0.01
"""Standing still is a pose whose joints tremble by so much of the person's size."""


@dataclass(frozen=True)
class PersonClip:
    """One thing that one person does.

    Attributes:
        joints: Shape (T, V, 3): x, y in pixels and score.
        holds: If each action holds at each frame, bool (T, A); none does in background.
    """

    joints: np.ndarray
    holds: np.ndarray


@dataclass(frozen=True)
class ClipStream:
    """A long recording of one person.

    Attributes:
        joints: Shape (T, V, 3).
        holds: If each action holds at each frame, bool (T, A).
        rate: Frames a second.
    """

    joints: np.ndarray
    holds: np.ndarray
    rate: float


@dataclass(frozen=True)
class Recording:
    """What a recognizer says of a stream.

    Attributes:
        times_s: Seconds of each look, (T,).
        people: Everybody in sight at each look.
        holds: If each action holds at each look, bool (T, A).
        rate: Looks a second.
    """

    times_s: np.ndarray
    people: Sequence[Sequence[Recognition]]
    holds: np.ndarray
    rate: float

    @property
    def hours(self) -> float:
        """Length."""
        return len(self.times_s) / self.rate / 3600


def clips_of(samples: Samples, chosen: Sequence[int] | None = None) -> list[PersonClip]:
    """Clips of samples of online mode, all or those of some indices."""
    spans = zip(samples.offsets[:-1], samples.offsets[1:], strict=True)
    clips = [PersonClip(samples.joints[start:end], samples.holds[start:end]) for start, end in spans]
    return clips if chosen is None else [clips[index] for index in chosen]


def string_clips(
    clips: Sequence[PersonClip], rng: np.random.Generator, *, rate: float, seconds: float, rounds: int | None = None,
    background: float = 0.0, scaled: bool = False,
) -> ClipStream:  # fmt: skip
    """Lay clips in random order end to end, again and again, each moved to where the last one ended.

    Args:
        clips: What the person does; those without any action are background.
        rng: Draws the order.
        rate: Frames a second.
        seconds: Length, rounded up to whole rounds through the clips that have actions.
        rounds: At most so many rounds, however short they are.
        background: Share of the time in which no action holds, the pauses between clips not counted.
        scaled: Also bring each clip to the size of the first, as clips of several people are.

    Raises:
        DataError: If no action holds in any clip.
    """
    acting = [clip for clip in clips if clip.holds.any()]
    if not acting:
        raise DataError("no action holds in any clip, so there is no stream of them", code="streams.no-action")
    joints, holds, length = list[np.ndarray](), list[np.ndarray](), 0
    size = _size(acting[0].joints) if scaled else None
    done, due = 0, 0.0

    def add(clip: PersonClip) -> int:
        last = joints[-1][-1] if joints else None
        placed = _place(clip.joints, last, size)
        ramp = 0 if last is None else round(PAUSE_S * rate)
        way = [between(last, placed[0], (k + 1) / (ramp + 1)) for k in range(ramp)]  # type: ignore[arg-type]
        joints.append(np.stack([*way, *placed]).astype(np.float32))
        holds.append(np.concatenate([np.zeros((ramp, clip.holds.shape[1]), bool), clip.holds]))
        return len(joints[-1])

    while length < seconds * rate and done != rounds:
        done += 1
        for number in rng.permutation(len(acting)):
            length += add(acting[number])
            due += len(acting[number].joints) * background / (1 - background)
            while due > 0:
                still = draw_background(clips, joints[-1][-1], rng, rate=rate)
                length += add(still)
                due -= len(still.joints)
    return ClipStream(np.concatenate(joints), np.concatenate(holds), rate)


def draw_background(
    clips: Sequence[PersonClip], last: np.ndarray, rng: np.random.Generator, *, rate: float
) -> PersonClip:
    """A stretch in which no action holds: a clip without any, or else somebody who stays as the last pose (V, 3) is."""
    empty = [clip for clip in clips if not clip.holds.any()]
    if empty:
        return empty[rng.integers(len(empty))]
    frames = round(IDLE_S * rate)
    joints = np.repeat(last[None], frames, axis=0)
    joints[..., :2] += rng.normal(scale=SWAY * _size(last[None]), size=joints[..., :2].shape)
    return PersonClip(joints, np.zeros((frames, clips[0].holds.shape[1]), bool))


def record(recognizer: LoadedModel, stream: ClipStream) -> Recording:
    """What a recognizer of online mode says of the person of a stream at each of its frames, as it would frame by frame.

    A person out of sight does not begin anew after some seconds, as in live video.
    """
    frames, nothing = len(stream.joints), Caption("", 0.0)
    samples = Samples(
        joints=stream.joints, holds=stream.holds, offsets=np.array([0, frames]), labels=np.array([-1]),
        clip_ids=np.array(["stream"]), fps=np.array([stream.rate]), classes=recognizer.labels, actions=recognizer.actions,
        layout=recognizer.layout, mode="online",
    )  # fmt: skip
    said = predict(recognizer.model, samples)
    seen = np.any(stream.joints[..., 2] > 0, axis=1)
    people = [
        [Recognition(0, pose, nothing, nothing, classes, actions, weights, 0.0)] if there else []
        for there, pose, classes, actions, weights in zip(
            seen, stream.joints, said.frame_probabilities[0], said.action_probabilities[0], said.joints_attention[0], strict=True
        )
    ]  # fmt: skip
    return Recording(np.arange(frames) / stream.rate, people, stream.holds, stream.rate)


def _place(joints: np.ndarray, last: np.ndarray | None, size: float | None) -> np.ndarray:
    """A clip (T, V, 3) brought to a size, and moved so that its first pose lies on the last one."""
    placed = joints.astype(np.float64)
    if size is not None:
        placed[..., :2] *= size / max(_size(joints), 1e-6)
    if last is not None:
        both = (placed[0, :, 2] > 0) & (last[:, 2] > 0)
        if both.any():
            placed[..., :2] += np.median(last[both, :2] - placed[0, both, :2], axis=0)
    return placed


def _size(joints: np.ndarray) -> float:
    """Size of a person, the median over the frames of a clip (T, V, 3) of the longer side of the box around the joints; 1 if nobody is seen."""
    sides = [np.ptp(pose[pose[:, 2] > 0, :2], axis=0).max() for pose in joints if (pose[:, 2] > 0).any()]
    return float(np.median(sides)) if sides else 1.0
