"""Actions that lower or raise the body, and the kick: squatting, sitting down, standing up, kicking."""

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion
from pan_core.datasets.actors.motion_style import ActionTiming, MotionStyle, along, carried, ease, occupy, standing


def squatting(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Down and up on flat feet, once or several times; arms forward, folded before the chest, or hanging."""
    motion = standing(body, style, timing.t)
    period = rng.uniform(0.95, 1.5) / style.tempo
    repeats = max(1, int(timing.length / period))
    period = timing.length / repeats if timing.length < 1.6 * period * repeats else period
    low = np.zeros(len(timing.t))
    for repeat in range(repeats):
        begin = timing.start + repeat * period
        low += ease(timing.t, begin, begin + 0.45 * period) * (
            1 - ease(timing.t, begin + 0.55 * period, begin + period)
        )
    depth = min(0.72, rng.uniform(0.28, 0.62) * style.amplitude)
    motion.feet[:, :, 1] *= rng.uniform(1.1, 1.7)
    lower(body, motion, low, depth=depth, back=0.16, lean=rng.uniform(0.35, 0.65))
    arms = [(0.85, -0.1, 0.0), (0.4, -0.28, -0.1), (0.3, 0.1, -0.75)][rng.integers(3)]
    weight = (low if rng.random() < 0.6 else timing.envelope(0.3))[:, None, None]
    motion.hands += weight * (np.array(arms) - motion.hands)
    return motion


def lower(body: Body, motion: Motion, low: np.ndarray, *, depth: float, back: float, lean: float) -> None:
    """Bring the pelvis down by `depth` lengths of the leg and back, with the chest leaning forward."""
    motion.pelvis[:, 2] -= depth * body.leg * low
    motion.pelvis[:, 0] -= back * body.leg * low * (depth / 0.5)
    motion.lean[:, 1] += lean * low
    motion.gaze[:, 1] -= 0.5 * lean * low


def sitting_down(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """Back and down on a seat: the chest leans forward on the way and straightens at the end."""
    length = min(timing.length, rng.uniform(0.9, 1.5) / style.tempo)
    begin = timing.start + rng.uniform(0, 0.7) * (timing.length - length)
    return _seat_change(body, style, timing, (begin, begin + length), rng, rising=False)


def standing_up(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """From a seat to standing, the chest leaning forward first."""
    length = min(timing.length, rng.uniform(0.8, 1.4) / style.tempo)
    begin = timing.start + rng.uniform(0.2, 1.0) * (timing.length - length)
    return _seat_change(body, style, timing, (begin, begin + length), rng, rising=True)


def _seat_change(
    body: Body,
    style: MotionStyle,
    timing: ActionTiming,
    times: tuple[float, float],
    rng: np.random.Generator,
    *,
    rising: bool,
) -> Motion:
    motion = standing(body, style, timing.t)
    for side in (RIGHT, LEFT):
        occupy(motion, side, rng)
    share = ease(timing.t, *times)
    seated = 1 - share if rising else share
    height = float(np.clip(rng.uniform(0.34, 0.6), 0.0, 0.6 * body.leg + body.ankle))
    fall = motion.pelvis[0, 2] - (height + 0.09)
    back = rng.uniform(0.75, 0.95) * body.thigh
    motion.pelvis[:, 2] -= fall * seated
    motion.pelvis[:, 0] -= back * np.sin(0.5 * np.pi * seated)
    lean = rng.uniform(0.2, 0.95)
    motion.lean[:, 1] += lean * np.sin(np.pi * share) + rng.uniform(-0.2, 0.4) * seated
    motion.gaze[:, 1] -= rng.uniform(-0.3, 0.7) * lean * np.sin(np.pi * share)
    motion.bend[:, 2] += rng.uniform(-0.4, 0.4) * np.sin(np.pi * share)
    rests = [(0.45, -0.05, -0.62), (0.4, -0.25, -0.55), (0.1, 0.2, -0.85), (0.6, 0.0, -0.4), (0.3, 0.35, -0.6)]
    support = [(-0.15, 0.3, -0.85), (0.5, 0.2, -0.6), (0.3, 0.0, -0.8)][rng.integers(3)]
    one = rng.integers(len(rests))
    for side in (RIGHT, LEFT):
        rest = np.array(rests[one if rng.random() < 0.7 else rng.integers(len(rests))])
        motion.hands[:, side] += seated[:, None] * (rest - motion.hands[:, side])
        if rng.random() < 0.4:
            motion.hands[:, side] += np.sin(np.pi * share)[:, None] * (np.array(support) - motion.hands[:, side])
    motion.feet[:, rng.integers(2), 0] += rng.uniform(-0.08, 0.15)
    motion.feet[:, :, 1] *= rng.uniform(0.8, 1.3)
    carried(motion, style, timing.t, 0.35)
    stool = float(motion.pelvis[-1 if not rising else 0, 0])
    motion.seat = (stool, 0.0, height) if rng.random() < 0.7 else None
    return motion


def kicking(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """One foot swings back, then forward and up or across, once or twice; from a touch of a ball to a kick at the head."""
    motion = standing(body, style, timing.t)
    foot, period = style.side, rng.uniform(0.7, 1.15) / style.tempo
    repeats = 1 if style.carry else max(1, min(2, int(timing.length / period)))
    pace = min(1.0, timing.length / (repeats * period)) * period
    height = min(1.1, rng.uniform(0.15, 0.95) * style.amplitude) * body.leg
    reach = np.sqrt(max(body.leg**2 - (body.leg - height) ** 2, 0)) * 0.95
    turn = 1 if foot == RIGHT else -1
    across = rng.uniform(-0.1, 0.5) * body.leg * turn
    drawn = (-rng.uniform(0.2, 0.7) * body.leg, -0.3 * across, rng.uniform(0.15, 0.5) * body.leg)
    first = timing.start if style.carry else timing.start + rng.uniform(0, 1) * (timing.length - repeats * pace)
    arms = np.array([[0.35, 0.7, 0.0], [-0.35, 0.55, -0.55]]) + rng.normal(0, 0.22, (2, 3))
    lean, hop, twist = rng.uniform(0.0, 0.5), rng.uniform(0.0, 0.9), rng.uniform(0.0, 0.6)
    land = rng.uniform(0.0, 0.5) * body.leg if repeats == 1 else 0.0
    for repeat in range(repeats):
        begin = first + repeat * pace
        end, rest = (reach, across, height), (land, 0, 0)
        path = along(
            timing.t, [begin + s * pace for s in (0.0, 0.32, 0.56, 0.62, 1.0)], [(0, 0, 0), drawn, end, end, rest]
        )
        motion.feet[:, foot] += path
        wound = ease(timing.t, begin, begin + 0.32 * pace)
        kick = ease(timing.t, begin + 0.3 * pace, begin + 0.56 * pace)
        after = ease(timing.t, begin + 0.65 * pace, begin + pace)
        motion.lean[:, 1] -= (lean * height / body.leg + 0.1) * kick * (1 - after)
        motion.lean[:, 2] += twist * turn * (kick - 0.6 * wound * (1 - kick)) * (1 - after)
        motion.bend[:, 2] -= 1.2 * twist * turn * (kick - 0.6 * wound * (1 - kick)) * (1 - after)
        motion.toes[:, foot] += 0.3 * kick * (1 - after) - 0.5 * ease(path[:, 0], 0, -0.3)
        spread = (wound * (1 - after))[:, None]
        motion.hands[:, 1 - foot] += spread * (arms[0] - motion.hands[:, 1 - foot])
        motion.hands[:, foot] += spread * (arms[1] - motion.hands[:, foot])
        travel = hop * ease(timing.t, begin + 0.2 * pace, begin + pace)
        motion.pelvis[:, 0] += travel + 0.5 * land * after
        motion.pelvis[:, 2] -= rng.uniform(0.02, 0.1) * body.leg * wound * (1 - after)
        motion.feet[:, :, 0] += travel[:, None]
    motion.pelvis[:, 1] += 0.5 * turn * style.stance * timing.envelope(0.25)
    carried(motion, style, timing.t, 0.6 * pace)
    return motion
