"""Clips in which none of the actions is done, beside the training clips, and clips that follow one another.

A network with `PanSettings.none` learns from them when nothing happens. Its class "none" has the index K, the number
of the classes. Shapes: B clips, T frames, V joints, K classes, A atomic actions.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pan_core.errors import DataError
from pan_core.model.missing import between, seen_joints
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import OPENPOSE18, convert
from pan_core.training.samples import Batch, Samples, join_samples, resample, sample_times

LEAD = (8, 46)
"""Least number of frames of a clip that goes before another, and the first number that is too many."""
GAP = (2, 9)
"""Likewise of the frames in which a person goes over from one clip to the next."""
LARGEST_SCALE = 3.0
SMOOTHED = 2
"""Frames on either side over which a place is averaged, to tell noise from movement."""


def as_background(samples: Samples, like: Samples) -> Samples:
    """Clips as ones of the class "none" of other samples: classes left out on purpose, or footage without labels.

    Args:
        samples: Clips of any classes.
        like: Gives classes, actions and skeleton layout; a joint that `samples` lack stays missing.

    Raises:
        DataError: If the two differ in mode.
    """
    if samples.mode != like.mode:
        raise DataError(
            f"background clips have mode {samples.mode!r}, expected {like.mode!r} as the training clips",
            code="samples.mismatch",
        )
    if samples.layout != like.layout:
        samples = samples.in_layout(like.layout, may_lack=True)
    return replace(
        samples,
        labels=np.full(len(samples), len(like.classes)),
        holds=np.zeros((len(samples.joints), len(like.actions)), dtype=bool),
        classes=like.classes,
        actions=like.actions,
    )


def with_background(train: Samples, background: Samples) -> Samples:
    """Training clips, then background clips under the label K."""
    return join_samples([train, as_background(background, train)])


def background_from(clips: Sequence[ClipPoses], like: Samples, *, seed: int) -> Samples:
    """Drawn background clips as samples of the kind of others, with the faults of those.

    Args:
        clips: Clips of one person in the layout openpose18.
        like: Training clips.
        seed: Of the faults.

    Raises:
        DataError: If there are none, or they lack more than half of the joints.
    """
    if not clips:
        raise DataError("no background clips: every pastime is one of the classes", code="background.none")
    joints, lengths = [], []
    for clip in clips:
        person = clip.joints[0]
        times = sample_times(
            len(person), clip.fps, mode=like.mode, frames=int(like.lengths[0]), rate=float(like.fps[0])
        )
        joints.append(resample(person, times * clip.fps, how="bridge" if like.mode == "clip" else "follow"))
        lengths.append(len(times))
    converted = convert(np.concatenate(joints), OPENPOSE18, like.layout, may_lack=True).astype(np.float32)
    if (lacking := float((~seen_joints(converted)).all(axis=0).mean())) > 0.5:
        raise DataError(
            f"drawn skeletons lack {lacking:.0%} of the joints of {like.layout.name!r}, expected at most half; give "
            "background clips of your own",
            code="background.joints",
        )
    clean = replace(
        like,
        joints=converted,
        holds=np.zeros((sum(lengths), len(like.actions)), dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.full(len(clips), len(like.classes)),
        clip_ids=np.array([clip.clip_id for clip in clips]),
        fps=np.resize(like.fps, len(clips)),
    )
    return roughen(clean, like, np.random.default_rng([seed, len(clips)]))


def roughen(clean: Samples, like: Samples, rng: np.random.Generator) -> Samples:
    """Give drawn skeletons the faults that found ones have, so that a network cannot tell the two by their faults.

    Each clip takes over scores, missing joints and trembling of a random clip of `like`, in the size of its own person.

    Args:
        clean: Clips to change, in the layout of `like`.
        like: Clips as an extractor finds them.
        rng: Source of all chance.
    """
    joints = clean.joints.copy()
    for start, end in zip(clean.offsets[:-1], clean.offsets[1:], strict=True):
        number = int(rng.integers(len(like)))
        model = like.joints[like.offsets[number] : like.offsets[number + 1]]
        # To and fro, so that nothing jumps where the model is shorter.
        at = np.abs((np.arange(end - start) + len(model) - 1) % max(2 * len(model) - 2, 1) - (len(model) - 1))
        own, faults = joints[start:end], model[at]
        ratio = spread(own) / max(spread(model), 1e-6)
        seen = seen_joints(own) & seen_joints(faults)
        own[..., :2] += ratio * _tremble(model)[at]
        own[..., 2] = faults[..., 2]
        own[~seen] = np.nan, np.nan, 0
    return replace(clean, joints=joints)


def _tremble(joints: np.ndarray) -> np.ndarray:
    """What a joint's place differs from the mean of the frames around, (T, V, 2); 0 where it is not seen."""
    places = np.where(seen_joints(joints)[..., None], joints[..., :2], np.nan)
    frames = len(places)
    around = np.clip(np.arange(frames)[:, None] + np.arange(-SMOOTHED, SMOOTHED + 1), 0, frames - 1)
    difference = places - places[around].mean(axis=1)
    return np.nan_to_num(difference).astype(np.float32)


def chain_clips(batch: Batch, share: float, rng: np.random.Generator, *, none: int) -> Batch:
    """Let some clips follow the end of another one, so that the end of one action and the start of the next are learnt.

    The clip before is moved and scaled to where the next begins; the person goes over in a few frames that count as
    none of the actions.

    Args:
        batch: Clips at a fixed rate.
        share: Probability that a clip follows another one.
        rng: Source of all chance.
        none: Index of the class "none", K.

    Returns:
        The clips with `frame_labels`.
    """
    size = len(batch.lengths)
    partner, follows = rng.permutation(size), rng.random(size) < share
    rows = [_clip_of(batch, number) for number in range(size)]
    chained = []
    for number, own in enumerate(rows):
        lead = _lead(rows[partner[number]], own, rng) if follows[number] and partner[number] != number else None
        chained.append(own if lead is None else _follow(lead, own, int(rng.integers(*GAP)), none))
    lengths = np.array([len(joints) for joints, _, _ in chained])
    within = [np.minimum(np.arange(lengths.max()), length - 1) for length in lengths]
    joints, targets, labels = (
        np.stack([parts[at] for parts, at in zip(column, within, strict=True)]) for column in zip(*chained, strict=True)
    )
    return Batch(joints, lengths, batch.labels, targets, frame_labels=labels)


_Clip = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Joints (T, V, 3), frame targets (T, A), class of each frame (T,)."""


def _clip_of(batch: Batch, number: int) -> _Clip:
    length = int(batch.lengths[number])
    labels = np.full(length, batch.labels[number])
    return batch.joints[number, :length], batch.frame_targets[number, :length], labels


def _lead(before: _Clip, own: _Clip, rng: np.random.Generator) -> _Clip | None:
    """The end of a clip, placed where another begins; None if either has no person there."""
    count = min(int(rng.integers(*LEAD)), len(before[0]))
    joints, targets, labels = (part[-count:] for part in before)
    last, first = seen_joints(joints[-1]), seen_joints(own[0][0])
    size = spread(joints)
    if not last.any() or not first.any() or size <= 0:
        return None
    ratio = np.clip(spread(own[0]) / size, 1 / LARGEST_SCALE, LARGEST_SCALE)
    placed = joints.copy()
    middle = own[0][0, first, :2].mean(axis=0)
    placed[..., :2] = (joints[..., :2] - joints[-1, last, :2].mean(axis=0)) * ratio + middle
    return placed, targets, labels


def _follow(lead: _Clip, own: _Clip, gap: int, none: int) -> _Clip:
    """One clip after another, with a transition of `gap` frames between them."""
    shares = np.arange(1, gap + 1, dtype=np.float32) / (gap + 1)
    shape = (gap, *own[0].shape[1:])
    between_them = between(np.broadcast_to(lead[0][-1], shape), np.broadcast_to(own[0][0], shape), shares)
    return (
        np.concatenate([lead[0], between_them, own[0]]).astype(np.float32),
        np.concatenate([lead[1], np.zeros((gap, own[1].shape[1]), dtype=own[1].dtype), own[1]]),
        np.concatenate([lead[2], np.full(gap, none), own[2]]),
    )


def spread(joints: np.ndarray) -> float:
    """Size of a person in a clip (T, V, 3): mean distance of the seen joints from their middle, in pixels."""
    seen = seen_joints(joints)[..., None]
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    places = np.where(seen, joints[..., :2], 0)
    apart = np.where(seen, places - places.sum(axis=1, keepdims=True) / count, 0)
    return float(np.linalg.norm(apart, axis=-1).sum() / max(seen.sum(), 1))
