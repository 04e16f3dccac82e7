"""People followed through a video: memory and files grow with what was seen, not with people times frames."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A track seen in fewer frames than this and than a quarter of the span is taken for a false detection.
MIN_TRACK_FRAMES = 8
MIN_TRACK_SHARE = 0.25
# People times frames, 108 MB; beyond that, people who are never in view together share a row of `Tracks.people`.
MOST_POSES = 500_000
_BLOCK = 4096


def person_scores(people: np.ndarray) -> np.ndarray:
    """How completely and surely each person is seen: the sum of the joint scores over V, (..., V, 3) -> (...)."""
    return people[..., 2].mean(axis=-1)


def is_believable(seen: int, total: float, *, frames: int, min_person_score: float) -> bool:
    """Whether a track is likely a person; the rule for training and for live use.

    Args:
        seen: Frames of a span in which the track was seen.
        total: Sum of its person scores over them.
        frames: Frames of the span.
        min_person_score: Bound of the mean person score.
    """
    return seen > 0 and seen >= min(MIN_TRACK_FRAMES, MIN_TRACK_SHARE * frames) and total >= min_person_score * seen


@dataclass(frozen=True)
class Tracks:
    """Everybody who was followed through a video, each from first to last sight.

    Attributes:
        joints: (R, V, 3) float32, tracks one after another: x, y in pixels, score; NaN, NaN, 0 if a joint was not found.
        first: (N,) frame of the first sight of each, in the order of first sight.
        offsets: (N + 1,) first row of each, and the end of the last.
        frames: Frames of the video, T.
    """

    joints: np.ndarray
    first: np.ndarray
    offsets: np.ndarray
    frames: int

    @classmethod
    def of(cls, joints: np.ndarray) -> "Tracks":
        """Tracks of the array (N, T, V, 3) that `dense` gives."""
        collector = TrackCollector(joints=joints.shape[2])
        seen = np.any(joints[..., 2] > 0, axis=2)
        for frame in range(joints.shape[1]):
            collector.add([(int(track), joints[track, frame]) for track in np.flatnonzero(seen[:, frame])])
        return collector.tracks()

    def __len__(self) -> int:
        return len(self.first)

    def dense(self) -> np.ndarray:
        """All tracks, (N, T, V, 3); for short videos."""
        return self._fill([(n, n) for n in range(len(self))], len(self), 0, self.frames)

    def people(self, *, start: int, end: int, min_person_score: float) -> np.ndarray:
        """People in the frames from `start` up to `end`, those that are believable there.

        As many are in view in a frame as the tracker follows at a time; over the span there may be more. Only if that
        would be more than 500,000 poses, as in an hour with twenty people, a row holds one person after another, each
        where there is room; otherwise it is one person.

        Args:
            start: First frame.
            end: Frame after the last.
            min_person_score: As for `is_believable`.

        Returns:
            (M, end - start, V, 3), by the sum of their scores, the highest first; M may be 0.
        """
        totals: dict[int, float] = {}
        for track in self._within(start, end):
            rows, _ = self._cut(track, start, end)
            seen = int((rows[..., 2] > 0).any(axis=1).sum())
            total = float(person_scores(rows).sum(dtype=float))
            if is_believable(seen, total, frames=end - start, min_person_score=min_person_score):
                totals[track] = total
        order = sorted(totals, key=lambda track: -totals[track])
        rows_of = list(range(len(order)))
        if len(order) * (end - start) > MOST_POSES:
            order.sort(key=lambda track: self.first[track])
            rows_of = self._share_rows(order)
        return self._fill(list(zip(rows_of, order, strict=True)), max(rows_of, default=-1) + 1, start, end)

    def _within(self, start: int, end: int) -> list[int]:
        ends = self.first + np.diff(self.offsets)
        return np.flatnonzero((self.first < end) & (ends > start)).tolist()

    def _cut(self, track: int, start: int, end: int) -> tuple[np.ndarray, int]:
        """A track's rows within a span, and the frame of the first of them."""
        first, offset = int(self.first[track]), int(self.offsets[track])
        begin, stop = max(start, first), min(end, first + int(self.offsets[track + 1]) - offset)
        return self.joints[offset + begin - first : offset + stop - first], begin

    def _share_rows(self, tracks: Sequence[int]) -> list[int]:
        """A row for each of some tracks, in the order of first sight: the first one that is free by then."""
        free_from: list[int] = []
        rows = []
        for track in tracks:
            first = int(self.first[track])
            row = next((row for row, end in enumerate(free_from) if end <= first), len(free_from))
            free_from[row : row + 1] = [first + int(self.offsets[track + 1] - self.offsets[track])]
            rows.append(row)
        return rows

    def _fill(self, placed: Sequence[tuple[int, int]], rows: int, start: int, end: int) -> np.ndarray:
        """An array (rows, end - start, V, 3) with some tracks, each in its row."""
        filled = np.full((rows, end - start, *self.joints.shape[1:]), np.nan, dtype=np.float32)
        filled[..., 2] = 0.0
        for row, track in placed:
            joints, begin = self._cut(track, start, end)
            filled[row, begin - start : begin - start + len(joints)] = joints
        return filled


class TrackCollector:
    """Gathers a tracker's output frame by frame.

    Args:
        joints: Joints of a pose, V.
    """

    def __init__(self, *, joints: int) -> None:
        self._shape = (joints, 3)
        self._blocks: list[np.ndarray] = []
        self._numbers: dict[int, int] = {}
        self._track, self._frame = array("q"), array("q")  # of each pose
        self._frames = 0

    def add(self, people: Sequence[tuple[int, np.ndarray]]) -> None:
        """Take in the next frame: track number and joints (V, 3) of everybody seen in it."""
        for track_id, pose in people:
            place = len(self._track) % _BLOCK
            if not place:
                self._blocks.append(np.empty((_BLOCK, *self._shape), np.float32))
            self._blocks[-1][place] = pose
            self._track.append(self._numbers.setdefault(track_id, len(self._numbers)))
            self._frame.append(self._frames)
        self._frames += 1

    def tracks(self) -> Tracks:
        """What was gathered; to be called once, the collector's own copy is given up."""
        track, frame = np.array(self._track, np.int64), np.array(self._frame, np.int64)
        first, last = np.full(len(self._numbers), self._frames), np.zeros(len(self._numbers), np.int64)
        np.minimum.at(first, track, frame)
        np.maximum.at(last, track, frame)
        offsets = np.concatenate([[0], np.cumsum(last + 1 - first)]).astype(np.int64)
        joints = np.full((int(offsets[-1]), *self._shape), np.nan, np.float32)
        joints[..., 2] = 0.0
        rows = offsets[:-1][track] + frame - first[track]
        for number, block in enumerate(self._blocks):
            wanted = rows[number * _BLOCK : (number + 1) * _BLOCK]
            joints[wanted] = block[: len(wanted)]
            self._blocks[number] = block[:0].copy()
        return Tracks(joints, first, offsets, self._frames)


@dataclass(frozen=True)
class VideoPoses:
    """People of a whole video, of which clips are cut.

    Attributes:
        tracks: Everybody who was followed, believable or not: that is decided in each clip.
        fps: Poses a second, after thinning.
        width: Picture width in pixels.
        height: Picture height in pixels.
        n_frames: Frames of the video, before thinning.
        min_person_score: Mean person score from which a track is believed.
        extractor: Identity of what made them.
        video_id: Name of the video.
        video_sha256: Hash of the video.
    """

    tracks: Tracks
    fps: float
    width: int
    height: int
    n_frames: int
    min_person_score: float
    extractor: str
    video_id: str = ""
    video_sha256: str = ""

    @property
    def joints(self) -> np.ndarray:
        """Believable people of the whole video, as `Tracks.people` gives them."""
        return self.people(0, self.tracks.frames)

    def people(self, start: int, end: int) -> np.ndarray:
        """People in the poses from `start` up to `end`; see `Tracks.people`."""
        return self.tracks.people(start=start, end=end, min_person_score=self.min_person_score)

    def as_stored(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Array and JSON values, for a file."""
        facts = {name: value for name, value in vars(self).items() if name != "tracks"}
        spans = {"first": self.tracks.first.tolist(), "offsets": self.tracks.offsets.tolist()}
        return self.tracks.joints, facts | {"tracks": spans | {"frames": self.tracks.frames}}

    @classmethod
    def from_stored(cls, joints: np.ndarray, facts: dict[str, Any]) -> "VideoPoses":
        """The inverse of `as_stored`.

        Raises:
            ValueError: If the array does not have the rows that the values tell of.
        """
        spans = facts["tracks"]
        first, offsets = np.array(spans["first"], np.int64), np.array(spans["offsets"], np.int64)
        if len(offsets) != len(first) + 1 or offsets[-1] != len(joints):
            raise ValueError(f"{len(joints)} poses, expected {offsets[-1]} of {len(first)} tracks")
        return cls(Tracks(joints, first, offsets, spans["frames"]), **{k: v for k, v in facts.items() if k != "tracks"})
