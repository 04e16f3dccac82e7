"""Actions of the arms: waving, clapping, punching, throwing."""

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion
from pan_core.datasets.actors.motion_style import (
    ActionTiming,
    MotionStyle,
    along,
    carried,
    ease,
    occupy,
    standing,
    wander,
)


def wave(motion: Motion, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> None:
    """Raise one hand (sometimes both) and swing it sideways; other channels of the motion stay as they are.

    From a hand beside the face with the elbow low to one far overhead, from a hardly moving hand to a wide swing.
    """
    envelope = timing.envelope(rng.uniform(0.25, 0.45) / style.tempo)
    rate = rng.uniform(0.9, 2.6) * style.tempo
    high = rng.uniform(-0.15, 0.9)
    width = rng.uniform(0.06, 0.34) * style.amplitude
    centre = (rng.uniform(0.05, 0.55), max(rng.uniform(0.0, 0.5), width - 0.3), high)
    swing = np.sin(2 * np.pi * rate * timing.t + rng.uniform(0, 6.28))
    nod = rng.uniform(-0.6, 0.6) * width * swing
    pole = np.array([rng.uniform(-0.5, 0.2), rng.uniform(0.3, 1.0), rng.uniform(-1.2, -0.5)])
    sides = (RIGHT, LEFT) if rng.random() < 0.15 else (style.side,)
    for side in sides:
        raised = np.stack([centre[0] + nod, centre[1] + width * swing, centre[2] - 0.25 * width * swing], axis=-1)
        motion.hands[:, side] += envelope[:, None] * (raised - motion.hands[:, side])
        motion.elbows[:, side] += envelope[:, None] * (pole - motion.elbows[:, side])
    motion.bend[:, 0] += 0.06 * envelope * (1 if style.side == RIGHT else -1) * swing


def waving(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Standing and waving a hand."""
    motion = standing(body, style, timing.t)
    occupy(motion, 1 - style.side, rng)
    wave(motion, style, timing, rng)
    return motion


def clapping(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Hands meet before the body again and again; from a small clap to a wide one."""
    motion = standing(body, style, timing.t)
    envelope = timing.envelope(rng.uniform(0.25, 0.45) / style.tempo)[:, None]
    rate = rng.uniform(1.3, 3.4) * style.tempo
    gap = rng.uniform(0.12, 0.6) * style.amplitude
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * rate * timing.t + rng.uniform(0, 6.28))
    meeting = -body.shoulder / body.arm
    forward, up = rng.uniform(0.3, 0.7), rng.uniform(-0.6, 0.2)
    if rng.random() < 0.1:
        up = rng.uniform(0.2, 0.75)
    lag, tilt = rng.uniform(-0.1, 0.1), rng.uniform(-0.15, 0.15)
    both = np.stack([forward - 0.15 * gap * opening, meeting + 0.05 + gap * opening, tilt * opening + up], axis=-1)
    for side in (RIGHT, LEFT):
        shifted = both + np.array([0.0, 0.0, lag * (1 if side == RIGHT else -1)])
        motion.hands[:, side] += envelope * (shifted - motion.hands[:, side])
        motion.elbows[:, side] += envelope * (np.array([-0.3, 0.8, -0.9]) - motion.elbows[:, side])
    motion.bend[:, 1] += 0.05 * envelope[:, 0]
    return motion


def punching(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """From a guard, quick straight punches with one hand or both in turn."""
    motion = standing(body, style, timing.t)
    ramp = rng.uniform(0.2, 0.35) / style.tempo
    envelope = timing.envelope(ramp)
    guard = np.array([rng.uniform(0.25, 0.4), rng.uniform(-0.2, 0.0), rng.uniform(-0.1, 0.25)])
    target = np.array([rng.uniform(0.8, 0.97), rng.uniform(-0.32, -0.1), rng.uniform(-0.15, 0.3)])
    period = rng.uniform(0.5, 0.85) / style.tempo
    alternate = rng.random() < 0.7
    stagger = rng.uniform(0.16, 0.34)
    front = 1 - style.side
    motion.feet[:, front, 0] += stagger
    motion.feet[:, style.side, 0] -= stagger * 0.6
    for side in (RIGHT, LEFT):
        motion.hands[:, side] += envelope[:, None] * (guard - motion.hands[:, side])
        motion.elbows[:, side] += envelope[:, None] * (np.array([-0.5, 0.5, -1.0]) - motion.elbows[:, side])
    count = max(1, int((timing.length - 2 * ramp) / period + 0.5))
    for punch in range(count):
        begin = timing.start + ramp * 0.8 + punch * period
        side = (style.side + punch) % 2 if alternate else style.side
        extent = ease(timing.t, begin, begin + 0.4 * period) * (
            1 - ease(timing.t, begin + 0.5 * period, begin + period)
        )
        extent = extent * min(1.0, 0.9 * style.amplitude) * envelope
        motion.hands[:, side] += extent[:, None] * (target - guard)
        motion.bend[:, 2] += (0.7 if side == RIGHT else -0.7) * extent
        motion.lean[:, 1] += 0.08 * extent
        motion.pelvis[:, 0] += 0.1 * extent
    motion.pelvis[:, 2] -= 0.05 * body.leg * envelope
    return motion


THROWS = {
    "overhand": ((-0.5, 0.4, 0.5), (0.15, 0.35, 0.65), (0.85, -0.05, 0.2), (0.5, -0.45, -0.5)),
    "sidearm": ((-0.45, 0.65, -0.05), (0.25, 0.9, 0.0), (0.85, 0.1, 0.0), (0.4, -0.5, -0.1)),
    "underhand": ((-0.65, 0.15, -0.55), (0.0, 0.1, -0.97), (0.75, 0.0, -0.25), (0.7, -0.1, 0.3)),
    "over the head": ((-0.3, 0.0, 0.6), (0.1, 0.05, 0.95), (0.8, -0.05, 0.45), (0.65, -0.1, -0.4)),
}
"""Wrist from shoulder when drawn back, on the way, at the release and after it, in lengths of the arm."""


def throwing(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Draw the arm back with the body turned, step, throw, follow through: over the shoulder or the head, or from the side."""
    motion = standing(body, style, timing.t)
    t, side = timing.t, style.side
    pace = min(1.0, timing.length / 1.25) / style.tempo**0.5
    begin = timing.start + rng.uniform(0, 1) * max(0.0, timing.length - 1.25 * pace)
    back, hold, release, through, rest = (begin + pace * s for s in (0.42, 0.52, 0.70, 0.88, 1.25))
    reach, kind = min(1.1, style.amplitude), rng.choice(list(THROWS), p=(0.62, 0.16, 0.1, 0.12))
    drawn, over, let_go, after = (np.array(place) + rng.normal(0, 0.08, 3) for place in THROWS[kind])
    drawn[2] += rng.uniform(-0.25, 0.25)
    occupy(motion, 1 - side, rng)
    hanging = motion.hands[0, side] if rng.random() < 0.5 else np.array([0.4, -0.15, rng.uniform(-0.45, 0.15)])
    stops = [
        hanging,
        drawn * (reach, 1, 1),
        drawn * (1.04 * reach, 1.05, 1.05),
        over,
        let_go,
        after,
        motion.hands[0, side],
    ]
    motion.hands[:, side] = along(t, [begin, back, hold, 0.5 * (hold + release), release, through, rest], stops)
    if kind == "over the head" and rng.random() < 0.5:
        motion.hands[:, 1 - side] = motion.hands[:, side] * (1, 0.6, 1) + (0, -0.1, 0)
    throw = ease(t, begin, back) * (1 - ease(t, through, rest))
    motion.elbows[:, side] += throw[:, None] * (np.array([-0.2, 1.0, -0.4]) - motion.elbows[:, side])
    wound = ease(t, begin, back) - 1.8 * ease(t, hold, release) + 0.8 * ease(t, through, rest)
    sign, turn = -1 if side == RIGHT else 1, rng.uniform(0.4, 1.1)
    motion.bend[:, 2] += 0.5 * turn * sign * wound * reach
    motion.lean[:, 2] += 0.25 * turn * sign * wound * reach
    motion.bend[:, 1] += -rng.uniform(0.1, 0.4) * wound
    motion.lean[:, 1] += rng.uniform(0.0, 0.7) * ease(t, hold, through) * (1 - 0.7 * ease(t, through, rest))
    if kind != "over the head" and rng.random() < 0.6:
        balance = ease(t, begin, back) * (1 - ease(t, hold, release))
        motion.hands[:, 1 - side] += balance[:, None] * (np.array([0.75, 0.1, 0.1]) - motion.hands[:, 1 - side])
    step = rng.uniform(0.0, 0.75) * reach
    _throwing_step(motion, t, 1 - side, (back - 0.1, release), step, rng.uniform(0.2, 0.9))
    carried(motion, style, t, release)
    return motion


def _throwing_step(
    motion: Motion, t: np.ndarray, foot: int, times: tuple[float, float], length: float, lift: float
) -> None:
    """A step of `length` metres with the foot lifted by `lift` of it."""
    share = ease(t, *times)
    motion.feet[:, foot, 0] += length * share
    motion.feet[:, foot, 2] += lift * length * np.sin(np.pi * share)
    motion.pelvis[:, 0] += length * (0.6 * ease(t, times[0], times[1] + 0.15) - 0.12 * ease(t, 0, times[0]))


def fidget(motion: Motion, t: np.ndarray, rng: np.random.Generator) -> None:
    """Small involuntary sway of hands, chest and head, so that no two repetitions are alike."""
    motion.hands += wander(rng, t, (2, 3), 0.028)
    motion.bend += wander(rng, t, (3,), 0.02)
    motion.lean += wander(rng, t, (3,), 0.015)
    motion.gaze += wander(rng, t, (3,), 0.07) + rng.normal(0, (0.04, 0.08, 0.25))
    motion.pelvis[:, :2] += wander(rng, t, (2,), 0.008)
