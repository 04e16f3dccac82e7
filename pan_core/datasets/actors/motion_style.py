"""How one person moves in one clip: tempo, range, handedness, and the time that an action may take."""

from dataclasses import dataclass, replace

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion


@dataclass(frozen=True)
class MotionStyle:
    """A personal way of moving.

    Attributes:
        tempo: Speed of movements, 1 is average.
        amplitude: Range of movements, 1 is average.
        side: The preferred hand and foot.
        slouch: Forward bend of the chest when standing, in radians.
        spread: Distance of the hanging hands from the body, in lengths of the arm.
        stance: Distance of each foot from the middle, in metres.
        carry: Speed in m/s with which the body enters the action, for a run-up.
        free: Whether the person moves as in films of all kinds: at any pace, with something in a hand.
    """

    tempo: float
    amplitude: float
    side: int
    slouch: float
    spread: float
    stance: float
    carry: float = 0.0
    free: bool = False


def draw_motion_style(rng: np.random.Generator) -> MotionStyle:
    """The lasting motion style of one person."""
    return MotionStyle(
        tempo=float(rng.uniform(0.84, 1.18)),
        amplitude=float(rng.uniform(0.78, 1.2)),
        side=LEFT if rng.random() < 0.25 else RIGHT,
        slouch=float(rng.uniform(-0.05, 0.16)),
        spread=float(rng.uniform(0.1, 0.26)),
        stance=float(rng.uniform(0.08, 0.15)),
    )


def varied(style: MotionStyle, rng: np.random.Generator, *, free: bool = False) -> MotionStyle:
    """The person's motion style in one clip; now and then the other hand or foot is used."""
    return replace(
        style,
        free=free,
        tempo=style.tempo * float(np.exp(rng.normal(0, 0.15 if free else 0.08))),
        amplitude=style.amplitude * float(np.exp(rng.normal(0, 0.15 if free else 0.10))),
        side=1 - style.side if rng.random() < 0.12 else style.side,
        stance=style.stance * float(rng.uniform(0.8, 1.3)),
    )


@dataclass(frozen=True)
class ActionTiming:
    """The time of an action within the frames that are computed.

    Attributes:
        t: Shape (T,), seconds since it began; frames outside it are computed for blending.
        start: When the movement starts, after standing idle.
        end: When the movement ends; idle from here on.
    """

    t: np.ndarray
    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds of movement."""
        return self.end - self.start

    def envelope(self, ramp: float) -> np.ndarray:
        """Shape (T,): 0 when idle, 1 in the midst of the movement, ramps of `ramp` seconds within it."""
        ramp = min(ramp, 0.45 * self.length)
        return ease(self.t, self.start, self.start + ramp) * (1 - ease(self.t, self.end - ramp, self.end))


def ease(t: np.ndarray, start: float, end: float) -> np.ndarray:
    """Smooth step from 0 at `start` to 1 at `end`, with zero speed at both."""
    share = ((t - start) / max(end - start, 1e-6)).clip(0, 1)
    return share**2 * (3 - 2 * share)


def along(t: np.ndarray, times: list[float], values: list[tuple[float, ...]]) -> np.ndarray:
    """Smooth path (T, C) through `values` at `times`, with rest at each of them."""
    points = np.array(values, dtype=float)
    path = np.repeat(points[:1], len(t), axis=0)
    for begin, finish, step in zip(times[:-1], times[1:], np.diff(points, axis=0), strict=True):
        path += ease(t, begin, finish)[:, None] * step
    return path


def wander(rng: np.random.Generator, t: np.ndarray, channels: tuple[int, ...], scale: float) -> np.ndarray:
    """Slow random sway, shape (T, *channels), standard deviation `scale`."""
    rates = rng.uniform(0.25, 1.6, (3, *channels))
    phases = rng.uniform(0, 2 * np.pi, (3, *channels))
    weights = rng.normal(0, scale / 1.2, (3, *channels))
    time = t.reshape(-1, *[1] * (len(channels) + 1))
    return (weights * np.sin(2 * np.pi * rates * time + phases)).sum(1)


def standing(body: Body, style: MotionStyle, t: np.ndarray) -> Motion:
    """Upright at the origin, facing x, arms hanging: what every action starts from."""
    size = len(t)
    hands = np.tile([0.06, style.spread, -0.93], (size, 2, 1))
    elbows = np.tile([-1.0, 0.45, 0.0], (size, 2, 1))
    feet = np.zeros((size, 2, 3))
    feet[:, RIGHT] = 0.0, -style.stance, body.ankle
    feet[:, LEFT] = 0.0, style.stance, body.ankle
    pelvis = np.zeros((size, 3))
    pelvis[:, 2] = body.ankle + 0.992 * body.leg
    bend = np.zeros((size, 3))
    bend[:, 1] = style.slouch
    gaze = np.zeros((size, 3))
    gaze[:, 1] = -0.6 * style.slouch
    return Motion(
        pelvis=pelvis,
        heading=np.zeros(size),
        lean=np.zeros((size, 3)),
        bend=bend,
        gaze=gaze,
        hands=hands,
        elbows=elbows,
        feet=feet,
        toes=np.zeros((size, 2)),
    )


def occupy(motion: Motion, side: int, rng: np.random.Generator) -> None:
    """What the arm that does nothing may do: hang, rest on the hip, hold something, be in a pocket."""
    places = (None, (0.05, 0.35, -0.45), (0.4, -0.1, -0.35), (0.15, 0.1, -0.75), (0.45, 0.1, -0.1))
    place = places[rng.choice(len(places), p=(0.5, 0.12, 0.14, 0.14, 0.1))]
    if place is not None:
        motion.hands[:, side] = np.array(place) + rng.normal(0, 0.06, 3)
        motion.elbows[:, side] = (-0.6, 0.8, -0.4)


def carried(motion: Motion, style: MotionStyle, t: np.ndarray, braking: float) -> None:
    """Let the body travel on with its run-up speed, which fades over `braking` seconds."""
    if style.carry == 0:
        return
    share = t.clip(0, braking) / braking
    travel = style.carry * (np.minimum(t, 0) + braking * (share - share**2 / 2))
    motion.pelvis[:, 0] += travel
    motion.feet[:, :, 0] += travel[:, None]
