"""Training samples: one person's joints per clip at the frames that the network reads, with labels.

Frames of all clips stand in one array, as clips differ widely in length; `Samples.batch` pads only what it hands
out. Shapes: N clips, R frames of all clips, M people, T frames, V joints, K classes, A atomic actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from pan_core.errors import DataError
from pan_core.model.features import MODES
from pan_core.model.missing import between, bridge_gaps, seen_joints
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import SkeletonLayout, convert


class Poses(Protocol):
    """What is needed of a pose set."""

    layout: SkeletonLayout

    def clip(self, clip_id: str) -> ClipPoses:
        """Poses of one clip."""


@dataclass(frozen=True)
class Batch:
    """Some clips, padded to the longest by repeating each clip's last frame.

    Attributes:
        joints: Shape (B, T, V, 3).
        lengths: Frames of each clip, (B,).
        labels: Class index of each clip, (B,); -1 where the label is not among the classes.
        frame_targets: Distribution over actions at each frame, (B, T, A); zeros where no action holds.
        frame_labels: Class index at each frame, (B, T), where it changes within a clip; None for `labels` throughout.
    """

    joints: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    frame_targets: np.ndarray
    frame_labels: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray:
        """Which frames belong to their clip, bool (B, T)."""
        return np.arange(self.joints.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True)
class Samples:
    """Clips ready for the network.

    Attributes:
        joints: Frames of all clips one after another, (R, V, 3): x, y in pixels and score.
        holds: Whether an action holds at a frame, bool (R, A).
        offsets: First row of each clip and the end of the last, (N + 1,).
        labels: Class index of each clip, (N,); -1 where the label is not among the classes.
        clip_ids: Shape (N,).
        fps: Frames a second of each clip as sampled, (N,).
        classes: Names of the clip classes.
        actions: Names of the atomic actions.
        layout: Skeleton layout of the joints.
        mode: "clip" or "online".
    """

    joints: np.ndarray
    holds: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    clip_ids: np.ndarray
    fps: np.ndarray
    classes: tuple[str, ...]
    actions: tuple[str, ...]
    layout: SkeletonLayout
    mode: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each clip, (N,)."""
        return np.diff(self.offsets)

    def in_layout(self, layout: SkeletonLayout, *, may_lack: bool = False) -> "Samples":
        """The same clips with the joints of another layout.

        Raises:
            DataError: If a joint cannot be had, unless it may be lacking.
        """
        joints = convert(self.joints, self.layout, layout, may_lack=may_lack)
        return replace(self, joints=joints.astype(np.float32), layout=layout)

    def select(self, indices: np.ndarray) -> "Samples":
        """The samples of some clips, in the order given."""
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        rows = np.repeat(self.offsets[:-1][indices] - (ends - lengths), lengths) + np.arange(lengths.sum())
        return Samples(
            joints=self.joints[rows],
            holds=self.holds[rows],
            offsets=np.concatenate([[0], ends]),
            labels=self.labels[indices],
            clip_ids=self.clip_ids[indices],
            fps=self.fps[indices],
            classes=self.classes,
            actions=self.actions,
            layout=self.layout,
            mode=self.mode,
        )

    def batch(
        self, indices: np.ndarray, *, starts: np.ndarray | None = None, lengths: np.ndarray | None = None
    ) -> Batch:
        """Padded clips.

        Args:
            indices: Clips to take, (B,).
            starts: First frame to take of each, (B,); 0 where None.
            lengths: Frames to take of each, (B,); all to the end where None.
        """
        starts = np.zeros(len(indices), dtype=np.int64) if starts is None else starts
        lengths = self.lengths[indices] - starts if lengths is None else lengths
        within = np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)
        rows = (self.offsets[:-1][indices] + starts)[:, None] + within
        holds = self.holds[rows].astype(np.float32)
        targets = holds / np.maximum(holds.sum(axis=-1, keepdims=True), 1)
        return Batch(self.joints[rows], lengths, self.labels[indices], targets)


def build_samples(
    clips: pd.DataFrame,
    poses: Poses,
    segments: pd.DataFrame | None,
    *,
    classes: Sequence[str],
    actions: Sequence[str] | None = None,
    mode: str,
    frames: int = 32,
    rate: float = 15.0,
) -> Samples:
    """Put together the samples of a clip table.

    Args:
        clips: Clip table; each clip must have poses with at least one person and one frame.
        poses: Pose set.
        segments: Segment table, in video frames of the clip table's fps. None, or no segment in any of the clips:
            every frame's action is the clip's class, and the actions are the classes.
        classes: Clip classes, K; their order is the order of the logits.
        actions: Atomic actions, A; not read without segments.
        mode: "clip": every clip becomes `frames` frames. "online": every clip has `rate` frames a second.
        frames: Length of a clip in clip mode.
        rate: Frames a second in online mode.

    Raises:
        DataError: Where a clip has nobody in it, there is no clip, or a segment's label is not among the actions.
    """
    _check_request(clips, mode)
    spans = _group_spans(segments, set(clips["clip_id"]))
    names = tuple(actions or ()) if spans else tuple(classes)
    _check_labels(spans, names)
    joints, holds, rates = [], [], []
    numbers = {name: number for number, name in enumerate(classes)}
    for row in clips.itertuples(index=False):
        person = _keep_main_person(poses.clip(row.clip_id))
        times = sample_times(person.joints.shape[1], person.fps, mode=mode, frames=frames, rate=rate)
        how = "bridge" if mode == "clip" else "hold" if person.fps >= rate else "follow"
        joints.append(resample(person.joints[0], times * person.fps, how=how))
        own = spans.get(row.clip_id, []) if spans else [(0.0, np.inf, str(row.label))]
        holds.append(_mark_held(own, times * row.fps, names))
        rates.append(rate if mode == "online" else len(times) * person.fps / person.joints.shape[1])
    return Samples(
        joints=np.concatenate(joints),
        holds=np.concatenate(holds),
        offsets=np.concatenate([[0], np.cumsum([len(block) for block in joints])]),
        labels=np.array([numbers.get(label, -1) for label in clips["label"]]),
        clip_ids=clips["clip_id"].to_numpy(dtype=str),
        fps=np.array(rates),
        classes=tuple(classes),
        actions=names,
        layout=poses.layout,
        mode=mode,
    )


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Several samples as one, such as those of several datasets.

    Raises:
        DataError: If they differ in classes, actions, layout or mode.
    """
    first = parts[0]
    for name in ("classes", "actions", "layout", "mode"):
        if any(getattr(each, name) != getattr(first, name) for each in parts):
            raise DataError(
                f"samples that are to be joined differ in {name}, expected the same", code="samples.mismatch"
            )
    ends = np.cumsum([0, *(len(each.joints) for each in parts)])
    return replace(
        first,
        joints=np.concatenate([each.joints for each in parts]),
        holds=np.concatenate([each.holds for each in parts]),
        offsets=np.concatenate([[0], *(each.offsets[1:] + end for each, end in zip(parts, ends, strict=False))]),
        labels=np.concatenate([each.labels for each in parts]),
        clip_ids=np.concatenate([each.clip_ids for each in parts]),
        fps=np.concatenate([each.fps for each in parts]),
    )


def resample(joints: np.ndarray, at: np.ndarray, *, how: str) -> np.ndarray:
    """Poses at other times.

    Args:
        joints: Poses of one person, (T, V, 3).
        at: Wanted times in frames of `joints`, (S,).
        how: "hold": the last pose at or before the time, as a live stream has it. "follow": on the line between the
            poses around it, as a live stream that is slower than the times has it. "bridge": the same with gaps of
            a joint bridged, for which the whole clip must be known.

    Returns:
        Shape (S, V, 3), float32; a joint without any place in the clip keeps NaN and score 0.
    """
    joints = np.asarray(joints, dtype=np.float32)
    last = len(joints) - 1
    before = np.clip(np.floor(at + 1e-6).astype(int), 0, last)
    if how == "hold":
        return joints[before]
    after = np.minimum(before + 1, last)
    share = np.clip(at - before, 0, 1).astype(np.float32)
    if how == "follow":
        return between(joints[before], joints[after], share)
    seen = seen_joints(joints)
    places, known = bridge_gaps(joints[None, ..., :2], seen[None])
    places = np.where(known[0, ..., None], places[0], np.nan)
    scores = np.where(seen, joints[..., 2], 0)
    score = (1 - share[:, None]) * scores[before] + share[:, None] * scores[after]
    place = (1 - share[:, None, None]) * places[before] + share[:, None, None] * places[after]
    return np.concatenate([place, score[..., None]], axis=-1)


def _check_request(clips: pd.DataFrame, mode: str) -> None:
    """The mode must be known, and there must be clips."""
    if mode not in MODES:
        raise DataError(
            f"unknown input mode {mode!r} of the recognizer; expected one of {', '.join(MODES)}", code="samples.mode"
        )
    if clips.empty:
        raise DataError("no clips to make samples of; check the split and the quarantine table", code="samples.empty")


def _keep_main_person(poses: ClipPoses) -> ClipPoses:
    """Poses of the main person only, (1, T, V, 3)."""
    people, frames = poses.joints.shape[:2]
    if people == 0 or frames == 0:
        raise DataError(
            f"{poses.clip_id}: nobody in it, so it cannot be a sample; leave it to the quarantine table",
            code="samples.nobody",
        )
    chosen = main_person(poses.joints) if people > 1 else 0
    return ClipPoses(
        poses.clip_id, poses.joints[chosen : chosen + 1], poses.fps, poses.width, poses.height, poses.extractor
    )


def sample_times(count: int, fps: float, *, mode: str, frames: int, rate: float) -> np.ndarray:
    """Times in seconds at which a clip of `count` poses is sampled."""
    if mode == "clip":
        return np.linspace(0, count - 1, frames) / fps
    return np.arange(max(1, int(np.floor((count - 1) / fps * rate + 1e-6)) + 1)) / rate


def _group_spans(segments: pd.DataFrame | None, clip_ids: set[str]) -> dict[str, list[tuple[float, float, str]]]:
    """Segments by clip: (start, end, label) in video frames."""
    spans: dict[str, list[tuple[float, float, str]]] = {}
    if segments is None:
        return spans
    for row in segments.itertuples(index=False):
        if row.clip_id in clip_ids:
            spans.setdefault(row.clip_id, []).append((row.start_frame, row.end_frame, row.label))
    return spans


def _check_labels(spans: dict[str, list[tuple[float, float, str]]], actions: tuple[str, ...]) -> None:
    """Every segment's label must be an action."""
    unknown = sorted({label for own in spans.values() for _, _, label in own} - set(actions))
    if unknown:
        raise DataError(
            f"segment table: labels {', '.join(unknown)} are not among the atomic actions "
            f"({', '.join(actions) or 'none given'}); add them to the actions or relabel the segments",
            code="samples.unknown-action",
        )


def _mark_held(spans: list[tuple[float, float, str]], at: np.ndarray, actions: tuple[str, ...]) -> np.ndarray:
    """Which actions hold at video frames `at`, bool (S, A)."""
    holds = np.zeros((len(at), len(actions)), dtype=bool)
    for start, end, label in spans:
        if label in actions:
            holds[:, actions.index(label)] |= (at + 1e-6 >= start) & (at < end - 1e-6)
    return holds
