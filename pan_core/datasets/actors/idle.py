"""People who do nothing in particular, as skeletons: background for training, never a class of the dataset.

They stand, sit, talk, phone, fidget, sweep, tie a shoe, pick something up, reach for something, lie down slowly, before the cameras of the
dataset. No pictures are made of them, so a clip costs about ten milliseconds.
"""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from pan_core.datasets.actors.gestures import fidget
from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion, draw_body, pose_body
from pan_core.datasets.actors.motion_style import MotionStyle, draw_motion_style, ease, standing, wander
from pan_core.datasets.actors.postures import lower
from pan_core.datasets.actors.viewpoint import draw_viewpoint
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import OPENPOSE18

FPS = 15.0
SIZE = (320, 240)
SECONDS = (1.6, 4.5)

RESTING_ARMS = (
    ((0.06, 0.15, -0.93), (-1.0, 0.45, 0.0)),  # hanging
    ((0.32, -0.3, -0.42), (-0.4, 0.8, -0.5)),  # folded before the chest
    ((0.02, 0.12, -0.5), (-0.3, 1.0, -0.1)),  # on the hips
    ((0.1, 0.1, -0.78), (-1.0, 0.5, 0.0)),  # in the pockets
    ((-0.2, -0.1, -0.75), (-0.7, 0.7, 0.0)),  # behind the back
)


@dataclass(frozen=True)
class Moment:
    """What a pastime is made from.

    Attributes:
        body: Measures of the person.
        style: The person's way of moving.
        t: Seconds, (T,).
        rng: Source of all chance.
    """

    body: Body
    style: MotionStyle
    t: np.ndarray
    rng: np.random.Generator

    def once(self, least: float, most: float) -> np.ndarray:
        """0, then 1 for some time, then 0 again, (T,); each way takes `least` to `most` seconds."""
        begin = self.rng.uniform(0, 0.5) * self.t[-1]
        there, back = self.rng.uniform(least, most, 2)
        stay = self.rng.uniform(0.1, 1.2)
        return ease(self.t, begin, begin + there) * (
            1 - ease(self.t, begin + there + stay, begin + there + stay + back)
        )


def _stand(moment: Moment) -> Motion:
    """Standing, the weight now on one foot, now on the other."""
    motion = standing(moment.body, moment.style, moment.t)
    _rest_arms(motion, moment.rng)
    motion.pelvis[:, 1] += wander(moment.rng, 0.4 * moment.t, (), 0.03)
    motion.heading += wander(moment.rng, 0.3 * moment.t, (), 0.15)
    motion.gaze[:, 2] += wander(moment.rng, 0.5 * moment.t, (), 0.35)
    return motion


def _rest_arms(motion: Motion, rng: np.random.Generator) -> None:
    hands, elbows = RESTING_ARMS[rng.integers(len(RESTING_ARMS))]
    for side in (RIGHT, LEFT) if rng.random() < 0.8 else (int(rng.integers(2)),):
        motion.hands[:, side], motion.elbows[:, side] = hands, elbows


def _sit(moment: Moment) -> Motion:
    """Sitting already, arms on the thighs or at rest."""
    motion, body, rng = _stand(moment), moment.body, moment.rng
    height = float(np.clip(rng.uniform(0.4, 0.56), 0.0, 0.6 * body.leg + body.ankle))
    motion.pelvis[:, 2] = height + 0.09
    motion.pelvis[:, 0] -= rng.uniform(0.75, 0.95) * body.thigh
    motion.lean[:, 1] += rng.uniform(-0.2, 0.3) + wander(rng, 0.4 * moment.t, (), 0.05)
    if rng.random() < 0.7:
        motion.hands[:] = [(0.45, -0.05, -0.62), (0.4, -0.25, -0.55), (0.5, -0.1, -0.35)][rng.integers(3)]
    return motion


def _any_base(moment: Moment) -> Motion:
    return _sit(moment) if moment.rng.random() < 0.35 else _stand(moment)


def _talk(moment: Moment) -> Motion:
    """Talking with one hand or both."""
    motion, rng = _any_base(moment), moment.rng
    for side in (RIGHT, LEFT) if rng.random() < 0.5 else (moment.style.side,):
        raised = np.array([rng.uniform(0.3, 0.5), rng.uniform(-0.1, 0.25), rng.uniform(-0.55, -0.2)])
        beat = wander(rng, 1.4 * moment.t, (3,), 0.09)
        motion.hands[:, side] = raised + beat
        motion.elbows[:, side] = -0.6, 0.6, -0.8
    motion.gaze += wander(rng, moment.t, (3,), 0.12)
    return motion


def _phone(moment: Moment) -> Motion:
    """A telephone at the ear, or looked at."""
    motion, rng, side = _any_base(moment), moment.rng, moment.style.side
    at_ear = rng.random() < 0.6
    motion.hands[:, side] = (0.16, -0.12, 0.26) if at_ear else (0.42, -0.15, -0.12)
    motion.elbows[:, side] = (0.2, 0.7, -1.0) if at_ear else (-0.4, 0.5, -1.0)
    motion.gaze[:, 1] += 0.0 if at_ear else rng.uniform(0.2, 0.5)
    return motion


def _touch(moment: Moment) -> Motion:
    """A hand goes to face, hair or clothes and comes back."""
    motion, rng, side = _any_base(moment), moment.rng, moment.style.side
    goal = [(0.25, -0.2, 0.15), (0.1, -0.15, 0.42), (0.2, -0.25, -0.3), (0.3, -0.2, 0.1)][rng.integers(4)]
    share = moment.once(0.35, 0.8)[:, None]
    motion.hands[:, side] += share * (np.array(goal) + wander(rng, 2 * moment.t, (3,), 0.03) - motion.hands[:, side])
    motion.elbows[:, side] += share * (np.array([0.0, 0.8, -0.7]) - motion.elbows[:, side])
    return motion


def _reach(moment: Moment) -> Motion:
    """A hand goes to a shelf, a door or a table and comes back."""
    motion, rng, side = _stand(moment), moment.rng, moment.style.side
    share = moment.once(0.5, 1.1)
    goal = np.array([rng.uniform(0.5, 0.9), rng.uniform(-0.2, 0.4), rng.uniform(-0.5, 0.6)])
    motion.hands[:, side] += share[:, None] * (goal - motion.hands[:, side])
    motion.lean[:, 1] += rng.uniform(0.0, 0.3) * share
    return motion


def _sweep(moment: Moment) -> Motion:
    """Both hands on a broom, to and fro."""
    motion, rng = standing(moment.body, moment.style, moment.t), moment.rng
    swing = np.sin(2 * np.pi * rng.uniform(0.4, 0.9) * moment.t + rng.uniform(0, 6.28))
    for side, high in ((RIGHT, -0.25), (LEFT, -0.6)):
        motion.hands[:, side, 0] = 0.5 + 0.18 * swing
        motion.hands[:, side, 1] = -0.2
        motion.hands[:, side, 2] = high
    motion.lean[:, 1] += rng.uniform(0.2, 0.5)
    motion.bend[:, 2] += 0.3 * swing
    motion.pelvis[:, 0] += 0.04 * swing + rng.uniform(-0.1, 0.2) * moment.t
    motion.feet[:, :, 0] += np.linspace(0, 1, len(moment.t))[:, None] * (motion.pelvis[-1, 0] - motion.pelvis[0, 0])
    return motion


def _pick(moment: Moment) -> Motion:
    """Bending down for something on the floor, and up with it."""
    motion, rng, side = _stand(moment), moment.rng, moment.style.side
    share = moment.once(0.6, 1.3)
    lower(moment.body, motion, share, depth=rng.uniform(0.05, 0.3), back=0.25, lean=rng.uniform(0.9, 1.4))
    motion.hands[:, side] += share[:, None] * (np.array([0.75, -0.05, -0.65]) - motion.hands[:, side])
    return motion


def _tie(moment: Moment) -> Motion:
    """Down to a shoe, both hands busy there."""
    motion, rng = _stand(moment), moment.rng
    share = moment.once(0.9, 1.6) if rng.random() < 0.6 else np.ones(len(moment.t))
    lower(moment.body, motion, share, depth=rng.uniform(0.4, 0.65), back=0.1, lean=rng.uniform(0.7, 1.1))
    motion.feet[:, moment.style.side, 0] += 0.25 * share
    busy = wander(rng, 2 * moment.t, (2, 3), 0.05)
    motion.hands += share[:, None, None] * (np.array([0.8, -0.15, -0.55]) + busy - motion.hands)
    return motion


def _lie_down(moment: Moment) -> Motion:
    """Down to the ground slowly, or lying there already."""
    body, rng = moment.body, moment.rng
    motion = standing(body, moment.style, moment.t)
    begin = rng.uniform(0.0, 0.3) * moment.t[-1]
    down = ease(moment.t, begin, begin + rng.uniform(2.6, 4.5)) if rng.random() < 0.6 else np.ones(len(moment.t))
    sat, lain = np.minimum(2 * down, 1), np.maximum(2 * down - 1, 0)
    floor = 0.105 * body.height * body.girth**0.5
    motion.pelvis[:, 2] += sat * (floor + 0.06 - motion.pelvis[:, 2])
    motion.pelvis[:, 0] -= 0.85 * body.leg * sat
    motion.lean[:, 1] += 0.5 * np.sin(np.pi * sat) - 1.45 * lain
    motion.lean[:, 0] += rng.choice([-1.0, 0.0, 1.0]) * 1.2 * lain
    motion.toes += -1.2 * sat[:, None]
    motion.hands += (np.sin(np.pi * down) * 0.7)[:, None, None] * (np.array([-0.3, 0.4, -0.7]) - motion.hands)
    return motion


PASTIMES: dict[str, tuple[Callable[[Moment], Motion], float, tuple[str, ...]]] = {
    "stand": (_stand, 3.0, ("standing", "standstill", "idle")),
    "sit": (_sit, 2.0, ("sitting", "seated")),
    "talk": (_talk, 1.5, ("talk", "speak", "gesture")),
    "phone": (_phone, 1.0, ("phone", "call")),
    "touch": (_touch, 1.5, ("scratch", "brush", "face", "hair")),
    "reach": (_reach, 1.0, ("reach", "open", "pour", "push", "take")),
    "sweep": (_sweep, 0.7, ("sweep", "mop", "golf", "baseball")),
    "pick": (_pick, 1.0, ("pick", "bend")),
    "tie": (_tie, 0.7, ("tie", "lace")),
    "lie": (_lie_down, 0.7, ("lie", "lying")),
}
"""How each pastime moves, how often it is shown, and words in names of classes that may mean the same."""


def fitting_pastimes(classes: Collection[str]) -> list[str]:
    """Pastimes that are none of the classes, judged by the classes' names: `pick` is left out if a class is "pick" or "PickUp"."""
    names = ["".join(filter(str.isalnum, label.lower())) for label in classes]
    return [
        pastime
        for pastime, (_, _, words) in PASTIMES.items()
        if not any(
            name == word or (pastime not in ("stand", "sit") and word in name) for name in names for word in words
        )
    ]


@functools.lru_cache(maxsize=2)
def idle_clips(count: int, *, seed: int, pastimes: tuple[str, ...] = tuple(PASTIMES)) -> tuple[ClipPoses, ...]:
    """Skeletons of people who do nothing in particular, in the layout openpose18, one person a clip.

    Args:
        count: Number of clips.
        seed: The same seed gives the same clips.
        pastimes: Names among `PASTIMES` to choose from.

    Raises:
        KeyError: If a name is not among them.
    """
    chosen = sorted(pastimes)
    weights = np.array([PASTIMES[name][1] for name in chosen])
    clips = []
    for number in range(count if chosen else 0):
        rng = np.random.default_rng([seed, number, 0x1D7E])
        name = str(rng.choice(chosen, p=weights / weights.sum()))
        clips.append(_film(f"idle_{name}_{number}", PASTIMES[name][0], rng))
    return tuple(clips)


def _film(clip_id: str, pastime: Callable[[Moment], Motion], rng: np.random.Generator) -> ClipPoses:
    body = draw_body(rng)
    t = np.arange(int(rng.uniform(*SECONDS) * FPS)) / FPS
    motion = pastime(Moment(body, draw_motion_style(rng), t, rng))
    fidget(motion, t, rng)
    points = pose_body(body, motion)
    pelvis = points[:, [OPENPOSE18.joints.index(f"{side}_hip") for side in ("right", "left")]].mean(axis=1)
    camera = draw_viewpoint(rng, pelvis=pelvis, stature=body.height, width=SIZE[0], height=SIZE[1])
    pixels, _ = camera.project(points[:, : OPENPOSE18.size])
    inside = ((pixels >= 0) & (pixels <= np.array(SIZE) - 1)).all(axis=-1, keepdims=True)
    joints = np.concatenate([np.where(inside, pixels, np.nan), inside], axis=-1).astype(np.float32)
    return ClipPoses(clip_id, joints[None], FPS, *SIZE, "drawn")
