"""From the frames of a source to the people in them and what they do."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pan_core.live.source import Frame
from pan_core.live.steady_clock import SteadyClock
from pan_core.model.missing import between
from pan_core.pose.extraction import frame_step
from pan_core.pose.person_tracker import PersonTracker
from pan_core.recognition.recognizer import Recognizer
from pan_core.recognition.stream import FORGET_SECONDS, Recognition, StreamRecognizer
from pan_core.skeletons import convert

# The strip shows the pose attention of so many seconds.
STRIP_SECONDS = 4.0
MOST_STRIPS = 100


@dataclass(frozen=True)
class FrameResult:
    """One frame, and what is known of the people in it.

    Attributes:
        frame: The frame.
        people: Everybody in sight; numbers are never given twice by one watcher.
        looked: Whether this frame was looked at; drawings hold between two looks, as between poses of a video file.
        strips: Person -> pose attention of the last seconds, the newest last; weights of the frames so far, whose sum
            is below 1 as older ones have the rest.
        latency_s: From the capture of the frame to its captions.
        by: What recognised them.
    """

    frame: Frame
    people: tuple[Recognition, ...]
    looked: bool
    strips: Mapping[int, np.ndarray]
    latency_s: float
    by: Recognizer


class Watcher:
    """Recognises the people of one source, frame by frame.

    Frames that were dropped leave gaps in time: poses are interpolated over them, so that the network sees the rate
    that it learnt. A gap longer than people are remembered for, or another video, begins anew.

    Args:
        get_recognizer: Gives the recognizer; asked before every frame, so that another recognizer takes over between two.

    Raises:
        DataError: If network and extractor do not fit.
    """

    def __init__(self, get_recognizer: Callable[[], Recognizer]) -> None:
        self._get_recognizer = get_recognizer
        self._by = get_recognizer()
        layout = self._by.extractor.layout
        convert(np.zeros((0, layout.size, 3)), layout, self._by.network.layout)
        self._numbers = _Numbers()
        self._shares: dict[int, deque[float]] = {}
        self._scene: tuple[str, float] | None = None
        self._slot, self._pose_fps = 0, 1.0
        self._clock = SteadyClock()
        self._before: dict[int, np.ndarray] = {}
        self._people: tuple[Recognition, ...] = ()

    def begin_anew(self) -> None:
        """Forget the people in sight: after a fault nobody knows what holds of them."""
        self._scene = None

    def update(self, frame: Frame) -> FrameResult:
        """Take in the next frame; the result has it with its steady time, should its source's clock jump."""
        steady = self._clock.read(frame.position, frame.source_part, step_s=1 / frame.fps)
        frame = frame if steady == frame.position else replace(frame, position=steady)
        self._begin_where_new(frame)
        slot = math.floor(frame.position * self._pose_fps + 1e-6)
        looked = slot > self._slot
        if looked:
            self._look(frame.picture, slot - self._slot)
            self._slot = slot
        return FrameResult(
            frame,
            self._people,
            looked,
            {one.person: strip_of(self._shares[one.person]) for one in self._people},
            time.monotonic() - frame.time,
            self._by,
        )

    @property
    def strip_count(self) -> int:
        """People whose pose attention is kept."""
        return len(self._shares)

    @property
    def people_count(self) -> int:
        """People whose recurrent state is kept."""
        return self._stream.people_count

    def _begin_where_new(self, frame: Frame) -> None:
        by = self._get_recognizer()
        scene = frame.source_part, frame.fps
        if scene != self._scene or by.extractor is not self._by.extractor:
            self._tracker: PersonTracker = by.extractor.tracker()
            self._pose_fps = frame.fps / frame_step(frame.fps, by.extractor.settings.max_fps)
        elif by is self._by:
            return
        self._by, self._scene = by, scene
        self._stream = StreamRecognizer(by.network, pose_fps=self._pose_fps)
        self._numbers.renew()
        self._slot, self._before = math.floor(frame.position * self._pose_fps + 1e-6) - 1, {}
        self._people = ()

    def _look(self, picture: np.ndarray, steps: int) -> None:
        """Find the people of a picture that is `steps` poses after the last one."""
        have, want = self._by.extractor.layout, self._by.network.layout
        found = dict(self._tracker.update(picture))
        if have != want:
            found = {person: convert(pose, have, want) for person, pose in found.items()}
        now = {person: pose for person, pose in found.items() if (pose[:, 2] > 0).any()}
        forgotten = math.floor(FORGET_SECONDS * self._pose_fps) + 1
        if steps > forgotten:
            self._before, steps = {}, forgotten + 1
        both = self._before.keys() & now.keys()
        for step in range(1, steps):
            gap = {person: between(self._before[person], now[person], step / steps) for person in both}
            self._remember(self._stream.update(list(gap.items())))
        seen = self._stream.update(list(now.items()))
        self._remember(seen)
        self._before = now
        self._people = tuple(self._numbers.renumber(one) for one in seen)

    def _remember(self, people: list[Recognition]) -> None:
        longest = round(STRIP_SECONDS * self._pose_fps)
        for one in (self._numbers.renumber(one) for one in people):
            shares = self._shares.pop(one.person, None) or deque(maxlen=longest)
            shares.append(one.share)
            self._shares[one.person] = shares
        # The person who was seen least lately is forgotten first.
        while len(self._shares) > MOST_STRIPS:
            del self._shares[next(iter(self._shares))]


def strip_of(shares: "deque[float] | list[float]") -> np.ndarray:
    """Pose attention of the latest frames, the newest last: w_i = share_i * prod over j > i of (1 - share_j)."""
    taken = np.asarray(shares)
    left = np.cumprod((1 - taken)[::-1])[::-1]
    return taken * np.append(left[1:], 1.0)


class _Numbers:
    """Person numbers that go on rising when a tracker begins anew with 0."""

    def __init__(self) -> None:
        self._base = self._next = 0

    def renew(self) -> None:
        self._base = self._next

    def renumber(self, one: Recognition) -> Recognition:
        number = self._base + one.person
        self._next = max(self._next, number + 1)
        return Recognition(**{**vars(one), "person": number})
