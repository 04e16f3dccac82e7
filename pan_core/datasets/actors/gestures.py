"""Actions of the arms: waving, clapping, punching, throwing."""

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion
from pan_core.datasets.actors.motion_style import ActionTiming, MotionStyle, along, carried, ease, standing, wander


def wave(motion: Motion, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> None:
    """Raise one hand (sometimes both) and swing it sideways; other channels of the motion stay as they are."""
    envelope = timing.envelope(rng.uniform(0.25, 0.45) / style.tempo)
    rate = rng.uniform(1.1, 2.1) * style.tempo
    high = rng.random()
    centre = (rng.uniform(0.05, 0.4), rng.uniform(0.25, 0.45), 0.25 + 0.6 * high)
    width = rng.uniform(0.17, 0.34) * style.amplitude
    swing = np.sin(2 * np.pi * rate * timing.t + rng.uniform(0, 6.28))
    sides = (RIGHT, LEFT) if rng.random() < 0.15 else (style.side,)
    for side in sides:
        raised = np.stack([0 * swing + centre[0], centre[1] + width * swing, centre[2] - 0.25 * width * swing], axis=-1)
        motion.hands[:, side] += envelope[:, None] * (raised - motion.hands[:, side])
        motion.elbows[:, side] += envelope[:, None] * (np.array([-0.2, 1.0, -0.7]) - motion.elbows[:, side])
    motion.bend[:, 0] += 0.06 * envelope * (1 if style.side == RIGHT else -1) * swing


def waving(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Standing and waving a hand."""
    motion = standing(body, style, timing.t)
    wave(motion, style, timing, rng)
    return motion


def clapping(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Hands meet before the body again and again; from a small clap to a wide one."""
    motion = standing(body, style, timing.t)
    envelope = timing.envelope(rng.uniform(0.25, 0.45) / style.tempo)[:, None]
    rate = rng.uniform(1.3, 2.6) * style.tempo
    gap = rng.uniform(0.24, 0.55) * style.amplitude
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * rate * timing.t + rng.uniform(0, 6.28))
    meeting = -body.shoulder / body.arm
    forward, up = rng.uniform(0.42, 0.7), rng.uniform(-0.45, 0.2)
    both = np.stack([forward - 0.15 * gap * opening, meeting + 0.05 + gap * opening, 0 * opening + up], axis=-1)
    for side in (RIGHT, LEFT):
        motion.hands[:, side] += envelope * (both - motion.hands[:, side])
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


def throwing(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Draw the arm back with the body turned, step, throw over the shoulder, follow through."""
    motion = standing(body, style, timing.t)
    t, side = timing.t, style.side
    pace = min(1.0, timing.length / 1.25) / style.tempo**0.5
    begin = timing.start + rng.uniform(0, 1) * max(0.0, timing.length - 1.25 * pace)
    back, hold, release, through, rest = (begin + pace * s for s in (0.42, 0.52, 0.70, 0.88, 1.25))
    high, reach = rng.uniform(0.2, 0.75), min(1.1, style.amplitude)
    hanging = tuple(motion.hands[0, side])
    motion.hands[:, side] = along(
        t,
        [begin, back, hold, 0.5 * (hold + release), release, through, rest],
        [
            hanging,
            (-0.5 * reach, 0.4, high * 0.7),
            (-0.52 * reach, 0.42, high * 0.8),
            (0.15, 0.35, high + 0.15),
            (0.85, -0.05, 0.25 * high + 0.1),
            (0.5, -0.45, -0.5),
            hanging,
        ],
    )
    throw = ease(t, begin, back) * (1 - ease(t, through, rest))
    motion.elbows[:, side] += throw[:, None] * (np.array([-0.2, 1.0, -0.4]) - motion.elbows[:, side])
    wound = ease(t, begin, back) - 1.8 * ease(t, hold, release) + 0.8 * ease(t, through, rest)
    sign = -1 if side == RIGHT else 1
    motion.bend[:, 2] += 0.55 * sign * wound * reach
    motion.lean[:, 2] += 0.3 * sign * wound * reach
    motion.bend[:, 1] += -0.18 * wound
    balance = ease(t, begin, back) * (1 - ease(t, hold, release))
    motion.hands[:, 1 - side] += balance[:, None] * (np.array([0.75, 0.1, 0.1]) - motion.hands[:, 1 - side])
    _throwing_step(motion, t, 1 - side, (back - 0.1, release), rng.uniform(0.15, 0.5) * reach)
    carried(motion, style, t, release)
    return motion


def _throwing_step(motion: Motion, t: np.ndarray, foot: int, times: tuple[float, float], length: float) -> None:
    share = ease(t, *times)
    motion.feet[:, foot, 0] += length * share
    motion.feet[:, foot, 2] += 0.25 * length * np.sin(np.pi * share)
    motion.pelvis[:, 0] += length * (0.6 * ease(t, times[0], times[1] + 0.15) - 0.12 * ease(t, 0, times[0]))


def fidget(motion: Motion, t: np.ndarray, rng: np.random.Generator) -> None:
    """Small involuntary sway of hands, chest and head, so that no two repetitions are alike."""
    motion.hands += wander(rng, t, (2, 3), 0.028)
    motion.bend += wander(rng, t, (3,), 0.02)
    motion.lean += wander(rng, t, (3,), 0.015)
    motion.gaze += wander(rng, t, (3,), 0.07) + rng.normal(0, (0.04, 0.08, 0.25))
    motion.pelvis[:, :2] += wander(rng, t, (2,), 0.008)
