"""The fall: knees give way, the body topples, and somebody lies on the back, the front or a side."""

import numpy as np

from pan_core.datasets.actors.kinematics import LEFT, RIGHT, Body, Motion
from pan_core.datasets.actors.motion_style import ActionTiming, MotionStyle, ease, standing

LYING = 1.52
"""Angle in radians by which somebody who lies has toppled; the shoulders rest a little higher than the hips."""


def falling(body: Body, style: MotionStyle, timing: ActionTiming, rng: np.random.Generator) -> Motion:
    """The knees give way and the body topples, in any direction, to lie stretched out or half bent with its limbs apart."""
    motion = standing(body, style, timing.t)
    length = min(timing.length, rng.uniform(0.75, 1.2) / style.tempo)
    begin = timing.start + rng.uniform(0.2, 0.9) * (timing.length - length)
    share = ((timing.t - begin) / length).clip(0, 1)
    tip = share**2 * (2.2 - 1.2 * share)  # speeds up as a toppling body does, and stops at the ground
    direction = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2]) + rng.normal(0, 0.3)
    toward = np.array([np.cos(direction), np.sin(direction)])
    buckle = rng.uniform(0.1, 0.45)
    reach = body.leg * (0.992 - buckle * np.sin(np.pi * share**0.8) - rng.uniform(0.02, 0.1) * tip)
    angle = LYING * tip
    floor = (0.068 + 0.03 * abs(toward[1])) * body.height * body.girth**0.5
    motion.pelvis[:, :2] = (reach * np.sin(angle))[:, None] * toward
    motion.pelvis[:, 2] = np.maximum(body.ankle + reach * np.cos(angle), floor)
    motion.lean[:, 0] -= toward[1] * angle
    motion.lean[:, 1] += toward[0] * angle
    motion.bend[:, 1] += 0.35 * np.sin(np.pi * share) * (toward[0] if abs(toward[0]) > 0.5 else 0.5)
    motion.bend[:, 1] -= style.slouch * tip
    _tipping_feet(body, motion, share, tip, toward)
    settled = ease(tip, 0.55, 1.0)
    _lying_head(motion, settled, toward, rng)
    _lying_legs(body, motion, settled, toward, rng)
    _falling_arms(motion, tip, settled, toward, rng)
    return motion


def _tipping_feet(body: Body, motion: Motion, share: np.ndarray, tip: np.ndarray, toward: np.ndarray) -> None:
    """The heels of who falls forward rise over the toes; who has fallen backward has the toes up."""
    on_face = max(0.0, toward[0])
    motion.toes += (1.1 * on_face * ease(tip, 0.3, 1.0))[:, None]
    motion.feet[:, :, 2] += (on_face * body.height * (0.05 * np.sin(np.pi * tip) + 0.01 * tip))[:, None]
    motion.toes += (0.25 * min(0.0, toward[0]) * np.sin(np.pi * share))[:, None]


def _lying_head(motion: Motion, settled: np.ndarray, toward: np.ndarray, rng: np.random.Generator) -> None:
    """The head comes to rest: turned to a side by who lies on the face, on the ground or an arm by who lies on a side."""
    on_face = max(0.0, toward[0])
    motion.gaze[:, 2] += rng.choice([-1, 1]) * rng.uniform(0.7, 1.2) * on_face * settled
    motion.gaze[:, 0] -= rng.uniform(0.0, 0.3) * toward[1] * settled
    motion.gaze[:, 1] += rng.uniform(-0.25, 0.15) * settled


def _lying_legs(body: Body, motion: Motion, settled: np.ndarray, toward: np.ndarray, rng: np.random.Generator) -> None:
    """The feet slide apart, and each some way to the hips, so that one knee is bent more than the other."""
    across = np.array([-toward[1], toward[0]])
    bend = rng.uniform(0.0, 0.45) * body.leg * rng.permutation([1.0, rng.uniform(0.0, 1.0)])
    apart = rng.uniform(0.05, 0.28)
    for side, sign in ((RIGHT, -1), (LEFT, 1)):
        outward = sign * toward[0] if abs(toward[0]) > 0.5 else float(rng.choice([-0.5, 0.5]))
        slide = bend[side] * toward + apart * outward * across
        motion.feet[:, side, :2] += settled[:, None] * slide


def _falling_arms(
    motion: Motion, tip: np.ndarray, settled: np.ndarray, toward: np.ndarray, rng: np.random.Generator
) -> None:
    """The hands reach out for the ground, then lie on it, away from the body."""
    forward, aside = toward
    caught = ease(tip, 0.0, 0.5)
    for side, outward in ((RIGHT, -aside), (LEFT, aside)):
        catch = np.array([0.5 * forward + 0.2, 0.45 + 0.35 * outward, rng.uniform(-0.3, 0.6)])
        motion.hands[:, side] += caught[:, None] * (catch - motion.hands[:, side])
        turn = rng.uniform(-1.1, 0.6)  # 0 is straight out, -1.57 along the body
        flat = rng.uniform(0.75, 0.95) * np.array([0.08 * forward, np.cos(turn), np.sin(turn)])
        below = np.array([rng.uniform(0.4, 0.75), 0.0, rng.uniform(0.0, 0.6)])
        above = np.array([rng.uniform(0.3, 0.8), rng.uniform(-0.4, -0.1), rng.uniform(-0.75, -0.1)])
        level = np.array([0.0, np.sin(turn), -np.cos(turn)])  # an arm lies flat if its elbow points along the ground
        motion.elbows[:, side] += (forward**2 * settled)[:, None] * (level - motion.elbows[:, side])
        lying = forward**2 * flat + aside**2 * (below if outward > 0 else above)
        motion.hands[:, side] += settled[:, None] * (lying - motion.hands[:, side])
