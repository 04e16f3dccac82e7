"""The classes of the dataset, and how a clip's motion is put together from actions."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pan_core.datasets.actors.gestures import clapping, fidget, punching, throwing, wave, waving
from pan_core.datasets.actors.kinematics import Body, Motion, rotations
from pan_core.datasets.actors.locomotion import jumping, running, walking
from pan_core.datasets.actors.motion_style import ActionTiming, MotionStyle, ease
from pan_core.datasets.actors.postures import kicking, sitting_down, squatting, standing_up
from pan_core.datasets.actors.toppling import falling
from pan_core.errors import DataError

Action = Callable[[Body, MotionStyle, ActionTiming, np.random.Generator], Motion]

MOVES: dict[str, Action] = {
    "Walking": walking,
    "Running": running,
    "Jumping": jumping,
    "Waving": waving,
    "Clapping": clapping,
    "Squatting": squatting,
    "Punching": punching,
    "Kicking": kicking,
    "Throwing": throwing,
    "Falling": falling,
    "SittingDown": sitting_down,
    "StandingUp": standing_up,
}
ACTIONS = tuple(MOVES)
COMPOSITION: dict[str, tuple[str, tuple[str, ...]]] = {
    "LongJump": ("sequence", ("Running", "Jumping")),
    "JavelinThrow": ("sequence", ("Running", "Throwing")),
    "WalkAndSit": ("sequence", ("Walking", "SittingDown")),
    "WalkingAndWaving": ("together", ("Walking", "Waving")),
}
CLASSES = ACTIONS + tuple(COMPOSITION)
# No part of a sequence is shorter than this share of the clip, nor than this time: a jump or a throw needs it.
SHORTEST_SHARE, SHORTEST_S = 0.2, 0.7
EXCERPT = 0.55  # share of clips that begin, and of those that end, in the midst of the action, as real ones mostly do
REPEATED = ("Waving", "Clapping", "Squatting", "Punching")  # any part of them shows the action
LONGEST_OVERHANG_S = 1.2
APPROACHED = ("Kicking", "Jumping")  # what some steps may lead to
APPROACH = 0.6  # share of their clips in which they do


@dataclass(frozen=True)
class ActionSegment:
    """Frames start_frame up to, not including, end_frame in which an action is seen."""

    start_frame: int
    end_frame: int
    label: str


def choreograph(
    label: str,
    *,
    body: Body,
    style: MotionStyle,
    frames: int,
    fps: float,
    rng: np.random.Generator,
    excerpt: bool = False,
) -> tuple[Motion, list[ActionSegment]]:
    """Motion of one clip, and its true segments.

    The segment of an atomic action is the whole clip. The parts of a sequence cover the clip without overlap; those
    of actions done at once overlap.

    Args:
        label: One of `CLASSES`.
        body: Measures of the person.
        style: The person's way of moving.
        frames: Length T of the clip.
        fps: Frames a second.
        rng: Source of the variation between clips.
        excerpt: An atomic action may begin before the clip, end after it, or follow some steps, as in real clips.

    Raises:
        DataError: Where the class is unknown.
    """
    if label not in CLASSES:
        raise DataError(
            f"unknown class {label!r} of the actors dataset; it has {', '.join(CLASSES)}", code="actors.unknown-class"
        )
    t = np.arange(frames) / fps
    kind, parts = COMPOSITION.get(label, ("atomic", (label,)))
    if kind == "sequence":
        motion, segments = _in_sequence(parts, body, style, t, rng)
    elif kind == "together":
        motion, segments = _walking_and_waving(body, style, t, rng)
    else:
        motion = _one_action(label, body, style, t, frames / fps, rng, excerpt)
        segments = [ActionSegment(0, frames, label)]
    fidget(motion, t, rng)
    return motion, segments


def _draw_timing(
    t: np.ndarray, length: float, rng: np.random.Generator, *, lead_in: bool, lead_out: bool
) -> ActionTiming:
    """The movement's time within `length` seconds, with up to a fifth of them idle at either end."""
    start = rng.uniform(0.0, 0.2) * length if lead_in else 0.0
    end = length * (1 - rng.uniform(0.0, 0.18)) if lead_out else length
    return ActionTiming(t=t, start=start, end=end)


def _one_action(
    label: str, body: Body, style: MotionStyle, t: np.ndarray, length: float, rng: np.random.Generator, excerpt: bool
) -> Motion:
    if not excerpt:
        return MOVES[label](body, style, _draw_timing(t, length, rng, lead_in=True, lead_out=True), rng)
    if label in APPROACHED and rng.random() < APPROACH:
        steps = str(rng.choice(["Running", "Walking"], p=(0.7, 0.3)))
        return _after((steps, label), body, style, t, round(rng.uniform(0.12, 0.55) * len(t)), rng)
    overhang = LONGEST_OVERHANG_S if label in REPEATED else min(0.25 * length, 0.35)
    return MOVES[label](body, style, _draw_excerpt(t, length, rng, overhang), rng)


def _draw_excerpt(t: np.ndarray, length: float, rng: np.random.Generator, overhang: float) -> ActionTiming:
    """The movement's time of a clip that may begin and end in the midst of it, by up to `overhang` seconds at either end."""
    timing = _draw_timing(t, length, rng, lead_in=True, lead_out=True)
    start = -rng.uniform(0.3, 1) * overhang if rng.random() < EXCERPT else timing.start
    end = length + rng.uniform(0.3, 1) * overhang if rng.random() < EXCERPT else timing.end
    return ActionTiming(t=t, start=start, end=end)


def _in_sequence(
    parts: tuple[str, ...], body: Body, style: MotionStyle, t: np.ndarray, rng: np.random.Generator
) -> tuple[Motion, list[ActionSegment]]:
    frames, step = len(t), t[1] - t[0]
    shortest = min(max(SHORTEST_SHARE * frames, SHORTEST_S / step), 0.4 * frames)
    border = round(rng.uniform(shortest, frames - shortest))
    motion = _after(parts, body, style, t, border, rng)
    return motion, [ActionSegment(0, border, parts[0]), ActionSegment(border, frames, parts[1])]


def _after(
    parts: tuple[str, ...], body: Body, style: MotionStyle, t: np.ndarray, border: int, rng: np.random.Generator
) -> Motion:
    """The second action from frame `border` on, entered with the speed of the first."""
    frames, step = len(t), t[1] - t[0]
    moment = border * step
    first = MOVES[parts[0]](body, style, _draw_timing(t, moment, rng, lead_in=True, lead_out=False), rng)
    speed = (first.pelvis[-1, 0] - first.pelvis[0, 0]) / (t[-1] - t[0])
    remaining = _draw_timing(t - moment, (frames - border) * step, rng, lead_in=False, lead_out=True)
    second = MOVES[parts[1]](body, replace(style, carry=speed), remaining, rng)
    turn = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.6) if parts[1] == "SittingDown" else 0.0
    entry = np.interp(0.0, t - moment, second.pelvis[:, 0])
    second = _pivot(second, turn, at=float(entry), to=float(first.pelvis[0, 0] + speed * moment))
    half = rng.uniform(0.12, 0.2) + (0.1 if turn else 0.0)
    return first.blended(second, ease(t, moment - half, moment + half))


def _pivot(motion: Motion, turn: float, *, at: float, to: float) -> Motion:
    """The motion moved along x from `at` to `to`, and turned there about the vertical."""
    corner = rotations(np.array([0.0, 0.0, turn])) @ np.array([at, 0.0, 0.0])
    return motion.placed(origin=(to - corner[0], -corner[1]), heading=turn)


def _walking_and_waving(
    body: Body, style: MotionStyle, t: np.ndarray, rng: np.random.Generator
) -> tuple[Motion, list[ActionSegment]]:
    frames, step = len(t), t[1] - t[0]
    motion = walking(body, style, ActionTiming(t=t, start=0.0, end=frames * step), rng)
    timing = _draw_timing(t, frames * step, rng, lead_in=True, lead_out=True)
    wave(motion, style, timing, rng)
    start, end = round(timing.start / step), min(frames, round(timing.end / step))
    return motion, [ActionSegment(0, frames, "Walking"), ActionSegment(start, end, "Waving")]
