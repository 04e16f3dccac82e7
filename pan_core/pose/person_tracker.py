"""Follow several people through a video, one frame at a time.

The whole frame is searched at intervals. Between searches, each person is looked at in a square crop at the position
predicted from recent frames, which is cheaper and finds more joints. Between looks, optical flow carries the joints on
as long as it can be trusted. Nothing looks ahead, so a file and a camera go through the same code.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from pan_core.pose.association import SAME_PERSON_GATE, are_same, distinct, match, person_sizes, pose_distances, without_long_limbs
from pan_core.pose.clothing import clothing_distance, clothing_of
from pan_core.pose.crops import Square, square_around
from pan_core.pose.estimation import Estimator
from pan_core.pose.flow import GreyFrame, follow_joints, with_neighbours
from pan_core.pose.tracks import person_scores
from pan_core.timing import part

# If optical flow keeps a smaller share of a person's joints, the network looks at the person. One joint may go.
SURE_FLOW = 0.94
# If a look misses a joint that flow still has, the joint stays with its score times this, as long as the score allows.
FADE = 0.7
MIN_FADED_SCORE = 0.05
# In body sizes: a pose this far from the position that its track predicts may still be the same person.
MATCH_GATE = 0.35
# The gate of a person who is not seen grows by this much a frame.
GATE_GROWTH = 0.08
# A person found by a search whom no track follows is taken for a lost person up to this distance.
GATE_LIMIT = 1.0
# Share of the lowest score of a new person that keeps a person who is followed already.
KEEP_SHARE = 0.5
# Frames for which a lost person is also looked for in turned crops: most are lost when they fall or bend down.
RETRY_FRAMES = 4
# A person lost for more frames is no longer looked for in a crop, but recognised if a search finds them again.
CROP_FRAMES = 10
# While a person is lost, searches come this many times more often.
LOST_SEARCH_FACTOR = 3
# If all places are taken, a person whose score is this many times higher replaces the weakest track.
REPLACE_RATIO = 1.5
# Frames for which a track without a person is kept.
KEEP_LOST = 30
REFUSE_ALWAYS = False
LIMB_LIMIT = 100.0
NEW_FROM_LOOKS, NEW_SCORE, FIRST_SEARCH = True, 0.3, 1000
SLOWING, HIDDEN_SLOWING = 0.5, 0.9
CLOTHING_WEIGHT, CLOTHING_UNKNOWN, OTHER_CLOTHING = 1.0, 0.1, 0.12
CLOTHING_RATE = 0.2
# Crops grow at once and shrink by at most this share a frame, because joints drop out more often than people shrink.
SHRINK_PER_FRAME = 0.05
# While no person is seen, every second frame is searched, and every second search is for people who lie or tumble.
EMPTY_SEARCH_EVERY = 2
EMPTY_SEARCH_TURNS = (0, 1, 0, 3, 0, 2)
# Every Nth search is a close one, for people who are small; so is each search after one that found no person.
CLOSE_SEARCH_EVERY = 4


@dataclass
class Track:
    """A person who is being followed.

    Attributes:
        track_id: Number of the track, unique in its tracker.
        joints: (V, 3) pose when last seen.
        square: Crop in which the person is expected.
        velocity: (2,) pixels a frame.
        shift: (2,) pixels that the person is expected to have moved since last seen.
        unseen: Frames since the person was last seen, 0 when seen in the current one.
        carried: Frames since the person was last looked at by the network.
        moved: The last pose as optical flow carries it into the current frame, if a look follows.
    """

    track_id: int
    joints: np.ndarray
    square: Square
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    unseen: int = 0
    carried: int = 0
    moved: np.ndarray | None = None
    clothing: np.ndarray | None = None
    hidden: bool = False
    near: bool = False

    @property
    def expected(self) -> np.ndarray:
        """Pose (V, 3) expected in the current frame."""
        moved = self.joints.copy()
        moved[:, :2] += self.shift
        return moved

    @property
    def gate(self) -> float:
        """Distance in body sizes up to which a pose may be this person."""
        return min(MATCH_GATE + GATE_GROWTH * (self.unseen - 1), GATE_LIMIT)

    def advance(self) -> None:
        """Advance to the next frame; a person who was not seen is expected to slow down."""
        if self.unseen:
            self.velocity = self.velocity * (HIDDEN_SLOWING if self.hidden else SLOWING)
        self.unseen += 1
        self.moved = None
        self.shift = self.shift + self.velocity
        self.square = replace(self.square, centre=self.square.centre + self.velocity)

    def see(self, joints: np.ndarray) -> None:
        """Update the track with the pose (V, 3) that was found in the current frame."""
        if self.moved is not None:
            missed = (joints[:, 2] == 0) & (self.moved[:, 2] * FADE >= MIN_FADED_SCORE)
            joints = np.where(missed[:, None], self.moved * (1, 1, FADE), joints)
        shared = (joints[:, 2] > 0) & (self.joints[:, 2] > 0)
        if shared.any():
            moved = np.median(joints[shared, :2] - self.joints[shared, :2], axis=0) / self.unseen
            self.velocity = (self.velocity + moved) / 2
        around = square_around(joints, turn=self.square.turn)
        smallest = self.square.side * (1 - SHRINK_PER_FRAME)
        self.square = replace(around, side=max(around.side, smallest))
        self.joints, self.shift, self.unseen, self.carried = joints, np.zeros(2), 0, 0

    def carry(self, joints: np.ndarray) -> None:
        """Update the track with the pose (V, 3) of the current frame by optical flow."""
        carried = self.carried + 1
        self.see(joints)
        self.carried = carried


def hand_over(tracks: list[Track], people: np.ndarray, *, frame: np.ndarray, gates: list[float]) -> np.ndarray:
    """Update each track with the person within its gate; returns the people left over, (N, V, 3)."""
    if not tracks or not len(people):
        return people
    expected = np.stack([track.expected for track in tracks])
    distances, gates = pose_distances(expected, people), np.array(gates)
    costs = distances
    if len(tracks) > 1 or len(people) > 1 or any(track.hidden for track in tracks):
        clothes = [clothing_of(frame, person) for person in people]
        apart = np.array([[clothing_distance(track.clothing, one) for one in clothes] for track in tracks])
        costs = np.where(distances <= gates[:, None], distances + CLOTHING_WEIGHT * np.nan_to_num(apart, nan=CLOTHING_UNKNOWN), np.inf)
        hid = np.array([track.hidden or (REFUSE_ALWAYS and track.near) for track in tracks])[:, None]
        costs = np.where(hid & (apart > OTHER_CLOTHING), np.inf, costs)
        gates = np.full(len(tracks), 1e5)
    pairs = match(costs, gates)
    for row, column in pairs:
        tracks[row].see(people[column])
    return np.delete(people, [column for _, column in pairs], axis=0)


HIDE_SHARE, CLEAR_SHARE = 0.2, 0.2


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Share of a box in another."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    area = np.prod(np.maximum(box[2:] - box[:2], 1))
    return float(np.prod(np.maximum(sides, 0)) / area)


class PersonTracker:
    """Online tracker; feed it frames with `update`.

    Args:
        estimator: Finds people in frames and crops.
        max_people: Most people followed at a time.
        min_person_score: Lowest score of a person to start a track (`person_scores`); half of it keeps one.
        search_every: Frames between two searches of the whole frame; if a person is lost, a search follows at once.
        keep_lost: Frames for which a track without a person is kept.
        look_every: Frames between two looks at a person; optical flow carries the joints over those between.
        keep_missed: Whether joints that a look misses are kept where optical flow still follows them.
    """

    def __init__(
        self,
        estimator: Estimator,
        *,
        max_people: int,
        min_person_score: float,
        search_every: int,
        keep_lost: int = KEEP_LOST,
        look_every: int = 1,
        keep_missed: bool = True,
    ) -> None:
        self._estimator = estimator
        self._max_people = max_people
        self._min_score = min_person_score
        self._search_every = search_every
        self._keep_lost = keep_lost
        self._look_every = look_every
        self._carries = keep_missed or look_every > 1
        self._keep_missed = keep_missed
        self._before: GreyFrame | None = None
        self._tracks: list[Track] = []
        self._started = 0
        self._since_search = search_every
        self._empty_searches = 0
        self._searches = 0
        self._interval = FIRST_SEARCH
        self._new: list = []

    def update(self, frame: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """People in the next frame.

        Args:
            frame: (H, W, 3) uint8, BGR.

        Returns:
            Track number and joints (V, 3) in pixels, of every person seen in this frame; x, y are NaN and the score
            is 0 where a joint was not found.
        """
        self._follow(frame)
        self._since_search += 1
        unseen = [track.unseen for track in self._tracks]
        if 1 in unseen or self._since_search >= self._search_interval(unseen):
            self._search(
                frame, turn=0 if 0 in unseen else EMPTY_SEARCH_TURNS[self._empty_searches % len(EMPTY_SEARCH_TURNS)]
            )
            self._since_search = 0
            self._interval = min(2 * self._interval, self._search_every)
            somebody = any(not track.unseen for track in self._tracks)
            self._empty_searches = 0 if somebody else self._empty_searches + 1
        self._tracks = [track for track in self._tracks if track.unseen <= self._keep_lost]
        if self._new:
            left = self._drop_followed(np.stack(self._new))
            left = left[person_scores(left) >= NEW_SCORE]
            lost = [track for track in self._tracks if track.unseen]
            for person in hand_over(lost, left, frame=frame, gates=[GATE_LIMIT] * len(lost)):
                if len(self._tracks) < self._max_people:
                    self._start(person, turn=0, frame=frame)
        self._mark(frame)
        return [(track.track_id, track.joints) for track in self._tracks if not track.unseen]

    def _mark(self, frame: np.ndarray) -> None:
        """Mark hidden tracks, and learn clothes of the others."""
        if len(self._tracks) < 2:
            for track in self._tracks:
                track.hidden = False
            return
        boxes = []
        for track in self._tracks:
            pose = track.expected
            places = pose[pose[:, 2] > 0, :2]
            boxes.append(np.concatenate([places.min(axis=0), places.max(axis=0)]))
        for number, (track, box) in enumerate(zip(self._tracks, boxes, strict=True)):
            others = [o for k, o in enumerate(boxes) if k != number and (not self._tracks[k].unseen)]
            shares = [overlap(box, other) for other in others]
            near = bool(shares) and max(shares) > HIDE_SHARE
            track.near = near
            if track.unseen:
                track.hidden = track.hidden or near
            else:
                track.hidden = False
                if not shares or max(shares) < CLEAR_SHARE:
                    if track.carried == 0:
                        now = clothing_of(frame, track.joints)
                        track.clothing = np.where(np.isfinite(track.clothing) & np.isfinite(now), track.clothing + CLOTHING_RATE * (now - track.clothing), np.where(np.isfinite(now), now, track.clothing))

    def _search_interval(self, unseen: list[int]) -> int:
        """Frames to the next search, by how long each track was not seen."""
        if 0 not in unseen:
            return min(EMPTY_SEARCH_EVERY, self._search_every)
        return max(1, self._search_every // LOST_SEARCH_FACTOR) if any(unseen) else min(self._search_every, self._interval)

    def _follow(self, frame: np.ndarray) -> None:
        """Look for the person of every track in its crop."""
        seen = [track for track in self._tracks if not track.unseen]
        for track in self._tracks:
            track.advance()
        if self._carries:
            self._carry(frame, seen)
        self._new = []
        self._look(frame, [track for track in self._tracks if 0 < track.unseen <= CROP_FRAMES], turns=(0,))
        self._look(frame, [track for track in self._tracks if 0 < track.unseen <= RETRY_FRAMES and not self._is_hidden(track)], turns=(1, 2, 3))

    def _is_hidden(self, track: Track) -> bool:
        places = track.expected[track.expected[:, 2] > 0, :2]
        box = np.concatenate([places.min(axis=0), places.max(axis=0)])
        for other in self._tracks:
            if other is not track and not other.unseen:
                at = other.joints[other.joints[:, 2] > 0, :2]
                if overlap(box, np.concatenate([at.min(axis=0), at.max(axis=0)])) > HIDE_SHARE:
                    return True
        return False

    def _carry(self, frame: np.ndarray, tracks: list[Track]) -> None:
        """Carry the joints of some tracks on by optical flow; a track that is due, or that loses joints, is left for a look."""
        with part("flow"):
            now = GreyFrame.of(frame)
            moved = (
                follow_joints(self._before, now, np.stack([track.joints for track in tracks]))
                if tracks and self._before
                else None
            )
        if moved is not None:
            poses, kept = moved
            for track, pose, share in zip(tracks, poses, kept, strict=True):
                if share >= SURE_FLOW and track.carried < self._look_every - 1:
                    track.carry(with_neighbours(track.joints, pose))
                elif self._keep_missed:
                    track.moved = pose
        self._before = now

    def _look(self, frame: np.ndarray, tracks: list[Track], *, turns: tuple[int, ...]) -> None:
        """Look for the people of some tracks in their crops, turned further by each of `turns`."""
        squares = [replace(track.square, turn=(track.square.turn + turn) % 4) for track in tracks for turn in turns]
        seen = self._estimator.look(frame, squares)
        if seen:
            people = without_long_limbs(np.concatenate(seen), LIMB_LIMIT) if len(self._tracks) > 1 else np.concatenate(seen)
            people = self._drop_followed(people[person_scores(people) >= self._min_score * KEEP_SHARE])
            left = hand_over(tracks, distinct(people), frame=frame, gates=[track.gate for track in tracks])
            if NEW_FROM_LOOKS and turns == (0,):
                self._new += list(left)

    def _search(self, frame: np.ndarray, *, turn: int) -> None:
        """Find people who are not followed in the whole frame, and look at each of them closely."""
        found, turn = self._find(frame, turn=turn)
        found = self._drop_followed(found)[: self._max_people]
        if not len(found):
            return
        close = self._estimator.look(frame, [square_around(person, turn=turn) for person in found])
        people = np.concatenate([found, *close])
        people = distinct(people[person_scores(people) >= self._min_score], gate=SAME_PERSON_GATE)
        people = self._drop_followed(people)
        lost = [track for track in self._tracks if track.unseen]
        for person in hand_over(lost, people, frame=frame, gates=[GATE_LIMIT] * len(lost)):
            self._start(person, turn=turn, frame=frame)

    def _find(self, frame: np.ndarray, *, turn: int) -> tuple[np.ndarray, int]:
        """People in the whole frame who score high enough to start a track, and the turn in which they were found."""
        closely = self._empty_searches > 0 or self._searches % CLOSE_SEARCH_EVERY == CLOSE_SEARCH_EVERY - 1
        self._searches += 1
        if all(track.unseen for track in self._tracks):
            # Who comes into an empty scene, or begins a clip, should not wait for the next search. A glance is cheap, and
            # finds large people whom a close search misses.
            found = self._filter_sure(self._estimator.search(frame, turn=0, closely=False))
            if len(found) or (self._tracks and not closely):
                return found, 0
            closely = True
        return self._filter_sure(self._estimator.search(frame, turn=turn, closely=closely)), turn

    def _filter_sure(self, people: np.ndarray) -> np.ndarray:
        """People who score high enough to start a track."""
        return people[person_scores(people) >= self._min_score]

    def _drop_followed(self, people: np.ndarray) -> np.ndarray:
        """People whom no track has found in this frame."""
        seen = [track.joints for track in self._tracks if not track.unseen]
        if not seen:
            return people
        return people[~are_same(people, np.stack(seen)).any(axis=1)]

    def _start(self, person: np.ndarray, *, turn: int, frame: np.ndarray) -> None:
        if len(self._tracks) >= self._max_people:
            weakest = min(self._tracks, key=lambda track: (-track.unseen, float(person_scores(track.joints))))
            better = person_scores(person) >= REPLACE_RATIO * person_scores(weakest.joints)
            if not better and weakest.unseen <= RETRY_FRAMES:
                return
            self._tracks.remove(weakest)
        self._tracks.append(Track(self._started, person, square_around(person, turn=turn), clothing=clothing_of(frame, person)))
        self._started += 1
