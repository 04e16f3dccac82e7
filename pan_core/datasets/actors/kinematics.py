"""A jointed body in three dimensions: limb lengths, joint rotations, and the places of its joints.

World axes: x and y span the ground, z points up; metres. A body's own axes: x forward, y left, z up.
Limbs are posed by inverse kinematics (a wrist or an ankle is given, the elbow or the knee follows), so that bones
keep their length whatever a motion asks for, and planted feet stay where they are.
"""

from dataclasses import dataclass

import numpy as np

from pan_core.skeletons import OPENPOSE18

RIGHT, LEFT = 0, 1
SIDES = ("right", "left")

# Shares of the standing height (forward, left, up) from the centre of the head.
HEAD_OFFSETS = {
    "nose": (0.062, 0.0, -0.012),
    "right_eye": (0.050, -0.0185, 0.009),
    "left_eye": (0.050, 0.0185, 0.009),
    "right_ear": (-0.004, -0.045, -0.002),
    "left_ear": (-0.004, 0.045, -0.002),
    "brow": (0.016, 0.0, 0.020),
    "nape": (-0.018, 0.0, 0.014),
    "chin": (0.026, 0.0, -0.038),
    "crown": (-0.008, 0.0, 0.036),
    "hair_end": (-0.034, 0.0, -0.026),
    "right_mouth": (0.053, -0.013, -0.036),
    "left_mouth": (0.053, 0.013, -0.036),
}
EXTRA_POINTS = (
    "pelvis", "waist", "chest", "head", "right_hand", "left_hand", "right_heel", "left_heel", "right_toe", "left_toe",
    "brow", "nape", "chin", "crown", "hair_end", "right_mouth", "left_mouth", "chest_front",
)  # fmt: skip
POINTS = OPENPOSE18.joints + EXTRA_POINTS


@dataclass(frozen=True)
class Body:
    """Measures of one person, in metres.

    Attributes:
        height: Standing height.
        shank: Knee to ankle.
        thigh: Hip to knee.
        torso: Middle of the hips to the neck.
        upper_arm: Shoulder to elbow.
        forearm: Elbow to wrist.
        shoulder: Half the distance between the shoulders.
        hip: Half the distance between the hips.
        girth: Thickness of limbs and torso, 1 is average.
    """

    height: float
    shank: float
    thigh: float
    torso: float
    upper_arm: float
    forearm: float
    shoulder: float
    hip: float
    girth: float

    @property
    def leg(self) -> float:
        """Hip to ankle of a straight leg."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """Shoulder to wrist of a straight arm."""
        return self.upper_arm + self.forearm

    @property
    def ankle(self) -> float:
        """Height of the ankle above the sole."""
        return 0.042 * self.height


def draw_body(rng: np.random.Generator) -> Body:
    """A person's measures; means follow common anthropometric tables, with individual proportions."""
    height = rng.uniform(1.52, 1.93)
    legs, arms, wide = 1 + rng.normal(0, 0.03, 3).clip(-0.07, 0.07)
    return Body(
        height=height,
        shank=0.243 * height * legs,
        thigh=0.245 * height * legs,
        torso=0.288 * height * (2 - legs),
        upper_arm=0.172 * height * arms,
        forearm=0.148 * height * arms,
        shoulder=0.108 * height * wide,
        hip=0.054 * height * wide,
        girth=rng.uniform(0.88, 1.2),
    )


@dataclass
class Motion:
    """What a body does, frame by frame; every channel can be blended linearly with that of another motion.

    Rotation vectors turn by their length in radians about their direction, in the axes of the part that carries them:
    (0, a, 0) leans forward by a, (0, 0, a) turns to the left.

    Attributes:
        pelvis: Shape (T, 3), place of the pelvis.
        heading: Shape (T,), direction faced on the ground, in radians.
        lean: Shape (T, 3), rotation vector of the pelvis in the heading's axes.
        bend: Shape (T, 3), rotation vector of the chest in the pelvis' axes.
        gaze: Shape (T, 3), rotation vector of the head in the chest's axes.
        hands: Shape (T, 2, 3), wrist from shoulder (forward, outward, up) in the chest's axes, in lengths of the arm.
        elbows: Shape (T, 2, 3), direction (forward, outward, up) to which the elbow points.
        feet: Shape (T, 2, 3), place of the ankles.
        toes: Shape (T, 2), rotation of the foot, in radians; positive points the toes down.
        seat: Place (x, y, z) of a stool's top, where there is one.
    """

    pelvis: np.ndarray
    heading: np.ndarray
    lean: np.ndarray
    bend: np.ndarray
    gaze: np.ndarray
    hands: np.ndarray
    elbows: np.ndarray
    feet: np.ndarray
    toes: np.ndarray
    seat: tuple[float, float, float] | None = None

    CHANNELS = ("pelvis", "heading", "lean", "bend", "gaze", "hands", "elbows", "feet", "toes")

    def placed(self, *, origin: tuple[float, float], heading: float) -> "Motion":
        """The same motion turned by `heading` about the world's origin, then moved to `origin`."""
        turn = rotations(np.array([0.0, 0.0, heading]))
        shift = np.array([*origin, 0.0])
        channels = {name: getattr(self, name) for name in self.CHANNELS}
        channels["pelvis"] = self.pelvis @ turn.T + shift
        channels["feet"] = self.feet @ turn.T + shift
        channels["heading"] = self.heading + heading
        seat = None if self.seat is None else tuple(float(v) for v in turn @ np.array(self.seat) + shift)
        return Motion(**channels, seat=seat)  # type: ignore[arg-type]

    def blended(self, other: "Motion", weight: np.ndarray) -> "Motion":
        """This motion where `weight` (T,) is 0, the other one where it is 1."""
        channels = {}
        for name in self.CHANNELS:
            mine, theirs = getattr(self, name), getattr(other, name)
            share = weight.reshape(-1, *[1] * (mine.ndim - 1))
            channels[name] = mine * (1 - share) + theirs * share
        return Motion(**channels, seat=other.seat or self.seat)


def rotations(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def two_bones(
    root: np.ndarray, target: np.ndarray, pole: np.ndarray, upper: float, lower: float
) -> tuple[np.ndarray, np.ndarray]:
    """Middle joint and end of a limb of two bones that reaches for a target.

    A target out of reach is approached as far as the limb goes, along the line from root to target.

    Args:
        root: Shape (T, 3), shoulder or hip.
        target: Shape (T, 3), where wrist or ankle should be.
        pole: Shape (T, 3), direction to which elbow or knee points; its length is free.
        upper: Length of the first bone.
        lower: Length of the second bone.

    Returns:
        Middle joint and end, each of shape (T, 3).
    """
    reach = target - root
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(distance, 1e-9)
    distance = distance.clip(abs(upper - lower) + 0.12 * upper, 0.9995 * (upper + lower))
    across = pole - (pole * axis).sum(-1, keepdims=True) * axis
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    cosine = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)  # law of cosines at the root
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))
    return root + upper * (cosine * axis + sine * across), root + distance * axis


def _turn(rotation: np.ndarray, offset: np.ndarray | tuple[float, float, float]) -> np.ndarray:
    return rotation @ np.asarray(offset)


def _turn_each(rotation: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.einsum("tij,tj->ti", rotation, offsets)


def lying(body: Body, root: np.ndarray) -> np.ndarray:
    """Shape (T,): 1 if the root (T, 3) of a limb lies on the ground, 0 from 0.3 standing heights on."""
    share: np.ndarray = ((0.3 * body.height - root[:, 2]) / (0.15 * body.height)).clip(0, 1)
    return share


def settled_pelvis(body: Body, motion: Motion, pelvis_turn: np.ndarray) -> np.ndarray:
    """Pelvis (T, 3) lowered just so far that both legs reach feet which stand on the ground."""
    pelvis = motion.pelvis.copy()
    for side, sign in ((RIGHT, -1), (LEFT, 1)):
        hip = pelvis + _turn(pelvis_turn, (0.0, sign * body.hip, 0.0))
        foot = motion.feet[:, side]
        across = np.linalg.norm((foot - hip)[:, :2], axis=-1)
        highest = foot[:, 2] + np.sqrt(np.maximum((0.998 * body.leg) ** 2 - across**2, 0))
        bears = np.where(foot[:, 2] < body.ankle + 0.02, 1 - lying(body, hip), 0.0)
        pelvis[:, 2] -= bears * np.maximum(hip[:, 2] - highest, 0)
    return pelvis


def pose_body(body: Body, motion: Motion) -> np.ndarray:
    """Places of all `POINTS` of a body, shape (T, P, 3); the first 18 are the joints of the layout openpose18."""
    heading = rotations(np.stack([0 * motion.heading, 0 * motion.heading, motion.heading], axis=-1))
    pelvis_turn = heading @ rotations(motion.lean)
    chest_turn = pelvis_turn @ rotations(motion.bend)
    places = {"pelvis": settled_pelvis(body, motion, pelvis_turn)}
    places["waist"] = places["pelvis"] + _turn(pelvis_turn, (0.0, 0.0, 0.42 * body.torso))
    places["chest"] = places["waist"] + _turn(chest_turn, (0.0, 0.0, 0.30 * body.torso))
    places["chest_front"] = places["chest"] + _turn(chest_turn, (0.062 * body.height * body.girth, 0.0, 0.03))
    places["neck"] = places["waist"] + _turn(chest_turn, (0.0, 0.0, 0.58 * body.torso))
    places |= _head(body, places["neck"], chest_turn @ rotations(motion.gaze))
    for side in (RIGHT, LEFT):
        places |= _arm(body, motion, side, places["neck"], chest_turn)
        places |= _leg(body, motion, side, places["pelvis"], pelvis_turn, heading)
    points = np.stack([places[name] for name in POINTS], axis=1)
    points[..., 2] += np.maximum(0.012 - points[..., 2].min(axis=1, keepdims=True), 0)  # the ground does not give way
    return points


def _off_the_ground(pole: np.ndarray, root: np.ndarray, body: Body) -> np.ndarray:
    """Direction (T, 3) of an elbow or a knee, level or upward for a limb whose root (T, 3) lies on the ground."""
    pole = pole.copy()
    pole[:, 2] += lying(body, root) * (np.maximum(pole[:, 2], 0.02) - pole[:, 2])
    return pole


def _head(body: Body, neck: np.ndarray, turn: np.ndarray) -> dict[str, np.ndarray]:
    head = neck + _turn(turn, (0.012 * body.height, 0.0, 0.108 * body.height))
    offsets = {name: np.array(offset) * body.height for name, offset in HEAD_OFFSETS.items()}
    return {"head": head} | {name: head + _turn(turn, offset) for name, offset in offsets.items()}


def _arm(body: Body, motion: Motion, side: int, neck: np.ndarray, turn: np.ndarray) -> dict[str, np.ndarray]:
    name, sign = SIDES[side], (-1, 1)[side]
    mirror = np.array([1.0, sign, 1.0])
    shoulder = neck + _turn(turn, (0.0, sign * body.shoulder, 0.0))
    target = shoulder + body.arm * _turn_each(turn, motion.hands[:, side] * mirror)
    target[:, 2] = np.maximum(target[:, 2], 0.03 * body.height)
    pole = _off_the_ground(_turn_each(turn, motion.elbows[:, side] * mirror), shoulder, body)
    elbow, wrist = two_bones(shoulder, target, pole, body.upper_arm, body.forearm)
    hand = wrist + (wrist - elbow) * (0.055 * body.height / body.forearm)
    return {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist, f"{name}_hand": hand}


def _leg(
    body: Body, motion: Motion, side: int, pelvis: np.ndarray, turn: np.ndarray, heading: np.ndarray
) -> dict[str, np.ndarray]:
    name, sign = SIDES[side], (-1, 1)[side]
    hip = pelvis + _turn(turn, (0.0, sign * body.hip, 0.0))
    pole = _off_the_ground(_turn(turn, (1.0, 0.16 * sign, 0.25)), hip, body)
    knee, ankle = two_bones(hip, motion.feet[:, side], pole, body.thigh, body.shank)
    zero = np.zeros_like(motion.toes[:, side])
    tipped = (np.linalg.norm(motion.lean, axis=-1) - 0.9).clip(0, 0.5)[
        :, None
    ] / 0.5  # feet leave the soles with the body
    foot = heading @ rotations(tipped * motion.lean)
    foot = foot @ rotations(np.stack([zero, motion.toes[:, side], zero + 0.12 * sign], axis=-1))
    sole = 0.018 * body.height - body.ankle
    return {
        f"{name}_hip": hip,
        f"{name}_knee": knee,
        f"{name}_ankle": ankle,
        f"{name}_heel": ankle + _turn(foot, (-0.022 * body.height, 0.0, sole)),
        f"{name}_toe": ankle + _turn(foot, (0.088 * body.height, 0.0, sole)),
    }
