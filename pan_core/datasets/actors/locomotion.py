"""Actions that move the whole body: walking, running, jumping."""

from dataclasses import dataclass

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion
from pan_core.datasets.actors.motion_style import ActionTiming, MotionStyle, carried, ease, occupy, standing

GRAVITY = 9.81


def stride(
    body: Body, motion: Motion, t: np.ndarray, *, rate: float, speed: float, stance: float, lift: float, phase: float
) -> np.ndarray:
    """Set the feet and the pelvis' travel of a steady gait.

    During its stance a foot stays at one place on the ground; in swing it moves to the next one.

    Args:
        body: Measures.
        motion: Receives feet, toes and pelvis x.
        t: Shape (T,), seconds.
        rate: Strides (two steps) a second.
        speed: Travel in m/s.
        stance: Share of the stride that a foot is on the ground; below 0.5 there is flight.
        lift: Height of the ankle in swing, in metres.
        phase: Where in the stride the gait is at t = 0.

    Returns:
        Shape (T, 2), position of each foot within its stride, 0..1.
    """
    cycle = rate * t[:, None] + phase + np.array([0.0, 0.5])
    within = cycle % 1.0
    swing = ((within - stance) / (1 - stance)).clip(0, 1)
    push = ((within - 0.7 * stance) / (0.3 * stance)).clip(0, 1) * (within < stance)
    step = swing**2 * (3 - 2 * swing)
    motion.feet[:, :, 0] = speed / rate * (np.floor(cycle) + stance / 2 - phase - np.array([0.0, 0.5]) + step)
    arc = np.sin(np.pi * swing**0.75)  # highest early in swing, when the heel follows the body
    motion.feet[:, :, 2] = body.ankle + lift * arc + 0.05 * push**2 * (1 - swing)
    motion.toes[:] = 0.55 * push**2 + 0.7 * np.sin(np.pi * swing) * (swing < 0.5) - 0.25 * ease(swing, 0.6, 1.0)
    motion.pelvis[:, 0] = speed * t
    return within


def swing_arms(motion: Motion, within: np.ndarray, *, reach: float, height: float, elbow: float) -> None:
    """Swing each arm against its leg; `elbow` 0 hangs straight, 1 is bent to a right angle."""
    for side in (RIGHT, LEFT):
        forward = -np.cos(2 * np.pi * within[:, side])
        motion.hands[:, side, 0] = reach * forward + 0.28 * elbow
        motion.hands[:, side, 2] = height + 0.16 * elbow * forward
        motion.hands[:, side, 1] *= 1 - 0.5 * elbow
    turn = np.cos(2 * np.pi * within[:, RIGHT])
    motion.bend[:, 2] += 0.35 * reach * turn
    motion.lean[:, 2] -= 0.2 * reach * turn


def walking(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Steady gait with one foot on the ground at any time."""
    motion = standing(body, style, timing.t)
    rate = rng.uniform(0.7 if style.free else 0.8, 1.05) * style.tempo
    speed = rate * body.leg * rng.uniform(1.0 if style.free else 1.15, 1.5) * style.amplitude**0.5
    motion.feet[:, :, 1] *= 0.7
    within = stride(
        body, motion, timing.t, rate=rate, speed=speed, stance=0.61, lift=rng.uniform(0.05, 0.1), phase=rng.random()
    )
    reach = rng.uniform(0.08 if style.free else 0.2, 0.42) * style.amplitude
    swing_arms(motion, within, reach=reach, height=-0.9, elbow=rng.uniform(0, 0.25))
    for side in (RIGHT, LEFT):
        if style.free and rng.random() < 0.2:
            occupy(motion, side, rng)
    motion.pelvis[:, 2] -= 0.012 + 0.015 * np.cos(4 * np.pi * within[:, RIGHT])
    motion.bend[:, 1] += rng.uniform(-0.02, 0.1)
    return motion


def running(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Gait with flight: bent elbows, high heels, the body leaning forward; from a slow jog to a run."""
    motion = standing(body, style, timing.t)
    effort = rng.uniform(0.0, 1.0)
    rate = (1.2 + 0.4 * effort) * style.tempo**0.7
    speed = rate * body.leg * (1.35 + 0.9 * effort) * style.amplitude**0.5
    lift = (0.14 + 0.4 * effort) * style.amplitude
    motion.feet[:, :, 1] *= 0.5
    within = stride(body, motion, timing.t, rate=rate, speed=speed, stance=0.4, lift=lift, phase=rng.random())
    reach = (0.26 + 0.2 * effort) * style.amplitude
    swing_arms(motion, within, reach=reach, height=-0.55 + 0.15 * effort, elbow=rng.uniform(0.6, 1.1))
    motion.hands[:, :, 1] *= rng.uniform(0.2, 1.2)
    motion.elbows[:, :, 1] = rng.uniform(0.0, 0.6)
    flight = np.cos(4 * np.pi * (within[:, RIGHT] - 0.2))
    motion.pelvis[:, 2] -= 0.055 + 0.035 * flight
    motion.lean[:, 1] += 0.04 + 0.2 * effort * rng.random()
    motion.bend[:, 1] += 0.05
    return motion


@dataclass(frozen=True)
class Leap:
    """How one jump is done.

    Attributes:
        height: Rise of the body above where it takes off, in metres.
        drop: How much lower it lands, in metres; below 0 onto something, which is lower than `height`.
        depth: How far it crouches before and after, in metres.
        tuck: How far the feet are drawn up in flight, in lengths of the leg.
        split: How far one foot is ahead of the other in flight, in lengths of the leg.
        arms: Where the hands are in flight: forward, outward, up, in lengths of the arm.
        lean: Forward lean in flight, in radians.
    """

    height: float
    drop: float
    depth: float
    tuck: float
    split: float
    arms: tuple[float, float, float]
    lean: float

    @property
    def flight(self) -> float:
        """Seconds from taking off to landing."""
        return float(np.sqrt(2 * self.height / GRAVITY) + np.sqrt(2 * (self.height + self.drop) / GRAVITY))


def draw_leap(body: Body, style: MotionStyle, rng: np.random.Generator) -> Leap:
    """On the level or, of some, down from something or up on it; feet together, tucked or in a stride."""
    height = rng.uniform(0.16, 0.5) * style.amplitude
    kind = 0.0 if style.carry else rng.random()
    drop = rng.uniform(0.3, 1.2) if kind > 0.75 else -rng.uniform(0.2, 0.8) * height if kind > 0.65 else 0.0
    arms = (rng.uniform(-0.2, 0.7), rng.uniform(0.1, 0.6), rng.uniform(-0.6, 0.9))
    return Leap(
        height=height,
        drop=drop,
        depth=rng.uniform(0.06, 0.24) * body.leg * style.amplitude,
        tuck=rng.uniform(0.02, 0.45),
        split=rng.uniform(0.2, 0.7) * rng.choice([-1, 1]) if rng.random() < 0.5 else 0.0,
        arms=arms,
        lean=rng.uniform(-0.2, 0.45),
    )


def jumping(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Crouch, take off with swinging arms, fly on a parabola, land softly; on the spot, forward, down or up."""
    motion = standing(body, style, timing.t)
    leap = draw_leap(body, style, rng)
    crouch = (0.30 if style.carry else rng.uniform(0.2, 0.5)) / style.tempo
    cycle = crouch + leap.flight + 0.55 / style.tempo
    single = style.carry or leap.drop
    repeats = 1 if single else max(1, min(3, int(timing.length / cycle)))
    begin = (
        timing.start
        if style.carry or repeats > 1
        else timing.start + rng.uniform(0, 1) * max(0.0, timing.length - cycle)
    )
    stretch = min(1.0, timing.length / cycle)
    speed = 0.0 if style.carry else max(0.0, rng.uniform(-1.0, 5.0))
    for jump in range(repeats):
        local = (timing.t - begin - jump * cycle * stretch) / stretch
        _jump_once(body, motion, local, (crouch, leap.flight, 0.55 / style.tempo), leap)
        travel = speed * leap.flight * ((local - crouch) / leap.flight).clip(0, 1)
        motion.pelvis[:, 0] += travel
        motion.feet[:, :, 0] += travel[:, None]
    carried(motion, style, timing.t, crouch + 1.4 * leap.flight)
    return motion


def _jump_once(body: Body, motion: Motion, t: np.ndarray, phases: tuple[float, float, float], leap: Leap) -> None:
    crouch, flight, landing = phases
    low = ease(t, 0, 0.6 * crouch) * (1 - ease(t, 0.6 * crouch, crouch))
    touch = crouch + flight
    sink = ease(t, touch - 0.02, touch + 0.14) * (1 - ease(t, touch + 0.14, touch + landing))
    air = ((t - crouch) / flight).clip(0, 1)
    # Thrown up with the speed that brings it down at `drop` below after the time of flight.
    rise = (GRAVITY * flight / 2 - leap.drop / flight) * air * flight - GRAVITY / 2 * (air * flight) ** 2
    up = max(leap.drop, 0.0) + rise
    airborne = np.sin(np.pi * air)
    motion.pelvis[:, 2] += up - leap.depth * low - (0.8 + max(leap.drop, 0)) * leap.depth * sink
    motion.pelvis[:, 0] -= 0.25 * leap.depth * (low + sink)
    motion.feet[:, :, 2] += (up + leap.tuck * body.leg * airborne)[:, None]
    motion.feet[:, :, 0] += 0.5 * leap.split * body.leg * airborne[:, None] * np.array([1.0, -1.0])
    motion.toes += (0.6 * airborne)[:, None]
    motion.lean[:, 1] += 0.45 * low + 0.3 * sink + leap.lean * airborne
    swing = ease(t, 0.55 * crouch, crouch + 0.1 * flight) * (1 - ease(t, touch - 0.3 * flight, touch + 0.2))
    back = ease(t, 0, 0.5 * crouch) * (1 - ease(t, 0.55 * crouch, crouch))
    motion.hands += swing[:, None, None] * (np.array(leap.arms) - motion.hands)
    motion.hands[:, :, 0] -= 0.4 * back[:, None]
    motion.hands[:, :, 2] += 0.12 * back[:, None]
