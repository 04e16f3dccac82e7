"""A person who is followed, and how the people found in a frame are shared out among those who are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pan_core.pose.association import match, pose_distances
from pan_core.pose.clothing import clothing_distance, clothing_of
from pan_core.pose.crops import Square, square_around

# If a look misses a joint that flow still has, the joint stays with its score times this, as long as the score allows.
FADE = 0.7
MIN_FADED_SCORE = 0.05
# In body sizes: a pose this far from the position that its track predicts may still be the same person.
MATCH_GATE = 0.35
# The gate of a person who is not seen grows by this much a frame.
GATE_GROWTH = 0.08
# A person found by a search whom no track follows is taken for a lost person up to this distance.
GATE_LIMIT = 1.0
# Somebody who is lost is expected to slow down by this much a frame; who walks behind somebody else walks on.
SLOWING, HIDDEN_SLOWING = 0.5, 0.9
# Body sizes that count as much as the colours of clothes when they differ as black and white do; where none were seen, as this far.
CLOTHING_WEIGHT = 1.0
UNKNOWN_CLOTHING = 0.1
# Somebody who comes out from behind another is not taken for a person whose clothes differ by more.
OTHER_CLOTHING = 0.12
# Share of what is seen now in the colours that are remembered.
CLOTHING_RATE = 0.2
# Share of a person's box in somebody else's from which they are in each other's way.
CROWDED_SHARE = 0.2
# Crops grow at once and shrink by at most this share a frame, because joints drop out more often than people shrink.
SHRINK_PER_FRAME = 0.05


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
        clothing: Colours of `clothing_of`, learnt while nobody else is near.
        hidden: Whether somebody else was in front when the person was lost.
        faint_looks: Looks in succession in which the person scored low.
    """

    track_id: int
    joints: np.ndarray
    square: Square
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    unseen: int = 0
    carried: int = 0
    moved: np.ndarray | None = None
    clothing: np.ndarray = field(default_factory=lambda: np.full((2, 3), np.nan))
    hidden: bool = False
    faint_looks: int = 0

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

    @property
    def box(self) -> np.ndarray:
        """Left, top, right, bottom of the pose expected in the current frame."""
        places = self.expected[self.joints[:, 2] > 0, :2]
        return np.concatenate([places.min(axis=0), places.max(axis=0)])

    def is_crowded(self, others: Sequence["Track"]) -> bool:
        """Whether one of some people, who are in sight, is in this person's way."""
        return any(
            not other.unseen and other is not self and _overlap(self.box, other.box) > CROWDED_SHARE for other in others
        )

    def learn_clothing(self, frame: np.ndarray) -> None:
        """Bring the colours of the clothes up to date."""
        now = clothing_of(frame, self.joints)
        mixed = self.clothing + CLOTHING_RATE * (now - self.clothing)
        self.clothing = np.where(np.isnan(self.clothing), now, np.where(np.isnan(now), self.clothing, mixed))


def hand_over(tracks: Sequence[Track], people: np.ndarray, *, frame: np.ndarray, gates: Sequence[float]) -> np.ndarray:
    """Update each track with the person within its gate; returns the people left over, (N, V, 3).

    Args:
        tracks: Those who are looked for.
        people: (N, V, 3) those who were found.
        frame: (H, W, 3) uint8, BGR; clothes decide between people who are near each other.
        gates: Largest distance of each track, in body sizes.
    """
    if not tracks or not len(people):
        return people
    distances = pose_distances(np.stack([track.expected for track in tracks]), people)
    near = distances <= np.array(gates)[:, None]
    costs = np.where(near, distances, np.inf)
    if near.size > 1 or any(track.hidden for track in tracks):
        clothes = [clothing_of(frame, person) for person in people]
        apart = np.array([[clothing_distance(track.clothing, one) for one in clothes] for track in tracks])
        costs += CLOTHING_WEIGHT * np.nan_to_num(apart, nan=UNKNOWN_CLOTHING)
        costs[(apart > OTHER_CLOTHING) & np.array([track.hidden for track in tracks])[:, None]] = np.inf
    pairs = match(costs, np.full(len(tracks), np.finfo(float).max))
    for row, column in pairs:
        tracks[row].see(people[column])
    return np.delete(people, [column for _, column in pairs], axis=0)


def note_surroundings(tracks: Sequence[Track], frame: np.ndarray) -> None:
    """Note who is hidden, and the clothes of those of several people who are clearly seen."""
    for track in tracks:
        crowded = track.is_crowded(tracks)
        track.hidden = bool(track.unseen) and (track.hidden or crowded)
        if len(tracks) > 1 and not (track.unseen or track.carried or crowded):
            track.learn_clothing(frame)


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Share of a box in another."""
    shared = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(np.prod(np.maximum(shared, 0)) / np.prod(np.maximum(box[2:] - box[:2], 1)))
