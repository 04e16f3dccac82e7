"""Augmentation of joints and mixing of samples, vectorised over the batch.

Joints are changed before features are computed, so that bones, motions and distances stay consistent. Shapes:
B clips, T frames, V joints.
"""

from dataclasses import dataclass

import numpy as np

from pan_core.errors import ConfigError
from pan_core.model.missing import seen_joints
from pan_core.skeletons import SkeletonLayout


@dataclass(frozen=True)
class AugmentationSettings:
    """How strongly training clips are varied.

    Attributes:
        flip: Probability of a left-right mirror; 0 where a class says which side it is done with.
        rotation: Largest rotation in the picture, degrees.
        stretch: Largest change of the aspect ratio, as a share.
        shear: Largest slant of either axis against the other; with rotation and stretch, what another view does.
        jitter: Standard deviation of joint noise, as a share of the person's spread.
        joint_dropout: Probability that a joint goes missing for a span of the clip.
        cut: Probability that an edge of the picture cuts off a part of the person, at most half of where joints are.
        crop: Largest share of a clip that is cut off at its ends.
        warp: Largest share by which time runs faster or slower: within a clip in clip mode, over a clip in online mode.
        mixup: Parameter of the Beta distribution of mixing weights; 0 for none.
    """

    flip: float = 0.5
    rotation: float = 30.0
    stretch: float = 0.3
    shear: float = 0.2
    jitter: float = 0.02
    joint_dropout: float = 0.15
    cut: float = 0.3
    crop: float = 0.3
    warp: float = 0.3
    mixup: float = 0.2

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected 0 <= {name} <= 1, but got {getattr(self, name)}"
            for name in ("flip", "joint_dropout", "cut")
            if not 0 <= getattr(self, name) <= 1
        ]
        faults += [
            f"{name}: expected 0 <= {name} < 1, but got {getattr(self, name)}"
            for name in ("stretch", "shear", "crop", "warp")
            if not 0 <= getattr(self, name) < 1
        ]
        faults += [
            f"{name}: expected at least 0, but got {getattr(self, name)}"
            for name in ("rotation", "jitter", "mixup")
            if getattr(self, name) < 0
        ]
        if faults:
            raise ConfigError("augmentation", faults)


def augment(
    joints: np.ndarray, layout: SkeletonLayout, settings: AugmentationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Vary clips: mirror, rotate, stretch and slant the picture, move joints a little, lose some.

    Args:
        joints: Shape (B, T, V, 3); not changed.
        layout: Says which joints a mirror swaps.
        settings: Strengths.
        rng: Source of all chance.

    Returns:
        Shape (B, T, V, 3), float32.
    """
    joints = mirror(joints, layout, rng.random(len(joints)) < settings.flip)
    places = joints[..., :2] @ _draw_transforms(len(joints), settings, rng)[:, None]
    if settings.jitter > 0:
        places += _draw_noise(places, seen_joints(joints), settings.jitter, rng)
    varied = cut_off(np.concatenate([places, joints[..., 2:]], axis=-1), settings.cut, rng)
    return lose_joints(varied, settings.joint_dropout, rng)


def mirror(joints: np.ndarray, layout: SkeletonLayout, chosen: np.ndarray) -> np.ndarray:
    """Mirror the chosen clips left to right: x changes its sign, paired joints change places.

    Args:
        joints: Shape (B, T, V, 3).
        layout: Says which joints are pairs.
        chosen: Bool (B,).
    """
    flipped = joints[:, :, layout.mirror()] * np.array([-1, 1, 1], dtype=joints.dtype)
    return np.where(chosen[:, None, None, None], flipped, joints)


def cut_off(joints: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Make joints missing beyond an edge of the picture, as of people who are partly outside it.

    Args:
        joints: Shape (B, T, V, 3); changed and returned.
        probability: That a clip has such an edge: above, below, left or right.
        rng: Source of all chance.
    """
    batch = len(joints)
    side, axis = rng.choice([-1, 1], batch), rng.integers(0, 2, batch)
    depth, chosen = rng.uniform(0, 0.5, batch), rng.random(batch) < probability
    if not chosen.any():
        return joints
    along = joints[np.arange(batch), ..., axis] * side[:, None, None]
    seen = (joints[..., 2] > 0) & np.isfinite(along)
    low = np.where(seen, along, np.inf).min(axis=(1, 2))
    high = np.where(seen, along, -np.inf).max(axis=(1, 2))
    cut = chosen & seen.any(axis=(1, 2))
    span = np.where(cut, high, 0) - np.where(cut, low, 0)
    edge = np.where(cut, high - depth * span, np.inf)
    joints[seen & (along > edge[:, None, None])] = np.array([np.nan, np.nan, 0], dtype=joints.dtype)
    return joints


def lose_joints(joints: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Make joints missing for one span of frames, each with the given probability; changes and returns `joints`."""
    batch, frames, size = joints.shape[:3]
    lost = rng.random((batch, 1, size)) < probability
    ends = np.sort(rng.random((2, batch, 1, size)), axis=0) * frames
    at = np.arange(frames)[None, :, None]
    gone = lost & (at >= ends[0]) & (at < ends[1])
    joints[gone] = np.array([np.nan, np.nan, 0], dtype=joints.dtype)
    return joints


def crop_frames(
    lengths: np.ndarray, settings: AugmentationSettings, rng: np.random.Generator, *, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose a part of each clip, for clips at a fixed rate.

    Args:
        lengths: Frames of the clips, (B,).
        settings: `crop` is the largest share to cut off.
        rng: Source of all chance.
        longest: No part has more frames.

    Returns:
        First frames (B,) and lengths (B,).
    """
    kept = np.ceil(lengths * (1 - settings.crop * rng.random(len(lengths)))).astype(np.int64)
    kept = np.minimum(kept, longest)
    starts = np.floor(rng.random(len(lengths)) * (lengths - kept + 1)).astype(np.int64)
    return starts, kept


def crop_time(
    joints: np.ndarray, targets: np.ndarray, settings: AugmentationSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Stretch a part of each clip to the number of frames that it had, for clips of a fixed number of frames.

    Within the part, time runs faster in one half of the clip and slower in the other, by one period of a sine.

    Args:
        joints: Shape (B, T, V, 3).
        targets: Action distribution of the frames, (B, T, A); taken from the nearest frame.
        settings: `crop` is the largest share to cut off, `warp` the largest change of pace.
        rng: Source of all chance.
    """
    batch, frames = joints.shape[:2]
    kept = 1 - settings.crop * rng.random((batch, 1))
    start = rng.random((batch, 1)) * (1 - kept)
    time = np.linspace(0, 1, frames)
    pace, phase = settings.warp * rng.uniform(-1, 1, (batch, 1)), 2 * np.pi * rng.random((batch, 1))
    warped = time + pace * (np.sin(2 * np.pi * time + phase) - np.sin(phase)) / (2 * np.pi)
    return _take_frames(joints, targets, np.clip(start + kept * warped, 0, 1) * (frames - 1))


def change_pace(
    joints: np.ndarray,
    targets: np.ndarray,
    lengths: np.ndarray,
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let every clip run faster or slower as a whole, for clips at a fixed rate: people differ in their pace.

    Args:
        joints: Shape (B, T, V, 3).
        targets: Action distribution of the frames, (B, T, A); taken from the nearest frame.
        lengths: Frames of the clips, (B,); what stands after them is not read.
        settings: A clip runs up to 1 + `warp` times as fast or as slowly.
        rng: Source of all chance.

    Returns:
        Joints (B, S, V, 3), targets (B, S, A) and lengths (B,); a clip's last frame is repeated after its end.
    """
    pace = (1 + settings.warp) ** rng.uniform(-1, 1, len(lengths))
    kept = np.floor((lengths - 1) / pace + 1e-6).astype(np.int64) + 1
    at = np.minimum(np.arange(kept.max()), kept[:, None] - 1) * pace[:, None]
    return *_take_frames(joints, targets, np.minimum(at, lengths[:, None] - 1)), kept


def mixing(batch: int, settings: AugmentationSettings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Partners and weights for mixup (Zhang et al., 2018).

    Returns:
        Partner of each clip, (B,), and the clip's own weight, float32 (B,), at least 0.5 so that its length counts.
    """
    if settings.mixup == 0:
        return np.arange(batch), np.ones(batch, dtype=np.float32)
    weights = rng.beta(settings.mixup, settings.mixup, batch)
    return rng.permutation(batch), np.maximum(weights, 1 - weights).astype(np.float32)


def _take_frames(joints: np.ndarray, targets: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints on the line between the frames around the times `at`, (B, S), and targets of the nearest frames.

    A joint that is missing in one of the two frames is as in the nearest.
    """
    before, nearest = at.astype(np.int64), np.rint(at).astype(np.int64)
    after = np.minimum(before + 1, joints.shape[1] - 1)
    share = (at - before)[..., None, None].astype(np.float32)
    clip = np.arange(len(joints))[:, None]
    between = (1 - share) * joints[clip, before] + share * joints[clip, after]
    both = np.isfinite(between).all(axis=-1, keepdims=True)
    return np.where(both, between, joints[clip, nearest]), targets[clip, nearest]


def _draw_transforms(batch: int, settings: AugmentationSettings, rng: np.random.Generator) -> np.ndarray:
    """Random rotation, then slant, then stretch of x: one 2x2 matrix a clip, to multiply row vectors with; (B, 2, 2)."""
    angle = np.deg2rad(rng.uniform(-settings.rotation, settings.rotation, batch))
    ratio = 1 + rng.uniform(-settings.stretch, settings.stretch, batch)
    slant = np.tile(np.eye(2), (batch, 1, 1))
    slant[:, [0, 1], [1, 0]] = rng.uniform(-settings.shear, settings.shear, (batch, 2))
    cosine, sine = np.cos(angle), np.sin(angle)
    transforms = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2) @ slant
    transforms[..., 0] *= ratio[:, None]
    return transforms.astype(np.float32)


def _draw_noise(places: np.ndarray, seen: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose size follows the spread of the seen joints of each clip, (B, T, V, 2)."""
    count = np.maximum(seen.sum(axis=2, keepdims=True), 1)[..., None]
    filled = np.where(seen[..., None], places, 0)
    centred = np.where(seen[..., None], filled - filled.sum(axis=2, keepdims=True) / count, 0)
    found = np.maximum(seen.sum(axis=(1, 2)), 1)
    spread = np.sqrt(np.square(centred).sum(axis=(1, 2, 3)) / found).astype(np.float32)
    return spread[:, None, None, None] * share * rng.standard_normal(places.shape, dtype=np.float32)
