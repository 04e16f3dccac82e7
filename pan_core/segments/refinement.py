"""Refinement of boundaries: forced alignment against the recognizer's own posteriors.

A small network of online mode learns the parts of sequences from the boundaries at hand, those of change points in the
first round. Its posteriors then say, together with the motion, where each part begins, and in a further round the
network learns from that. Two things keep it honest and centred:

- The posteriors of a clip come from a network that did not see the clip's group (cross-fitting): one that did gives
  back much of the boundaries that it was taught.
- The network is causal, so its answer lags behind a change. A second one reads the clips backwards, where it lags
  the other way; their mean has no preferred side. A labelling tool may look ahead, a recognizer on a device may not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.datasets.splits import groups_of
from pan_core.datasets.taxonomy import Composition
from pan_core.model.pan import PanSettings
from pan_core.segments.alignment import align
from pan_core.segments.motion import equal_split, motion_signal
from pan_core.segments.table import segment_rows
from pan_core.training.ahead import Training, fit_ahead
from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.predict import predict
from pan_core.training.samples import Poses, Samples, build_samples
from pan_core.training.settings import TrainSettings

Boundaries = Mapping[str, Sequence[int]]
LEAST_PROBABILITY = 1e-6

MILD = AugmentationSettings(
    rotation=15.0, stretch=0.2, shear=0.0, jitter=0.01, joint_dropout=0.05, cut=0.0, crop=0.15, warp=0.0, mixup=0.0
)
"""Weaker than for recognition: the networks shall say when an action changes, on the very clips at hand."""


@dataclass(frozen=True)
class Pool:
    """Clips whose boundaries are refined by networks that learn from the same clips.

    Attributes:
        learners: Ids of the clips that may be learnt from.
        targets: Ids of the clips whose boundaries are wanted.
    """

    learners: frozenset[str]
    targets: frozenset[str]


@dataclass(frozen=True)
class RefinementSettings:
    """How boundaries are refined.

    Attributes:
        min_segment_s: No part of a sequence is shorter, in seconds.
        rounds: How often the networks learn and the boundaries are moved.
        folds: Parts of the learners' groups; the posteriors of a part come from networks that learnt from the others.
        margin_s: Frames so near to a boundary that is still in doubt are not learnt from, in seconds.
        motion_weight: What the squared error of the motion counts beside the log posteriors, where the motion has unit
            variance over the clip. The posteriors say which of two changes is meant, the motion says when it is: on
            the training clips of the embedded dataset 20 to 80 serve equally well, 3 and 200 are clearly worse.
        rate: Frames a second at which clips are read.
        training: How the networks are trained.
        network: Their widths.
        seed: Of folds and training.
    """

    min_segment_s: float = 0.6
    rounds: int = 1
    folds: int = 4
    margin_s: float = 0.1
    motion_weight: float = 40.0
    rate: float = 15.0
    training: TrainSettings = field(
        default_factory=lambda: TrainSettings(
            epochs=30,
            batch=16,
            learning_rate=7e-3,
            lambda_pose=0.2,
            lambda_joints=1.0,
            device="cpu",
            augmentation=MILD,
        )
    )
    network: PanSettings = field(
        default_factory=lambda: PanSettings(
            graph_channels=(32, 32), frame_channels=64, hidden=64, pose_heads=4, pooling=True
        )
    )
    seed: int = 0


def is_sequence(made: Composition) -> bool:
    """Whether a class has boundaries to be found."""
    return made.kind == "sequence" and len(made.parts) > 1


def learning_pools(clips: pd.DataFrame, splits: Sequence[int]) -> list[Pool]:
    """Which clips may teach which, so that no test clip has a part in the segments of a training clip.

    A clip is aligned by networks that learn from what is training in every split in which the clip itself is not
    test. A clip that is test in all of them is aligned by networks that learn from what is training in all.

    Args:
        clips: Clip table.
        splits: Splits in use.
    """
    parts = clips[[f"split{number}" for number in splits]].to_numpy(dtype=str)  # N S
    concerned = np.isin(parts, ["train", "val"])
    concerned[~concerned.any(axis=1)] = True
    ids = clips["clip_id"].to_numpy(dtype=str)
    pools = []
    for pattern in np.unique(concerned, axis=0):
        learners = (parts == "train")[:, pattern].all(axis=1)
        targets = (concerned == pattern).all(axis=1)
        pools.append(Pool(frozenset(ids[learners].tolist()), frozenset(ids[targets].tolist())))
    return pools


@dataclass(frozen=True)
class _PoolJob:
    """Clips of one pool that have a part of any sequence in them, in folds of whole groups."""

    learners: pd.DataFrame
    targets: pd.DataFrame
    folds: list[np.ndarray]


class Refiner:
    """Moves the boundaries of sequences.

    Args:
        clips: Clip table; each clip must have poses with somebody in them.
        poses: Pose set.
        compositions: How each class is made.
        settings: How to refine.
        folder: Where unfinished networks lie, so that an interrupted run goes on.
        progress: Called with the epochs done and all epochs.
        workers: Networks that are trained at a time, each in a process of its own.
        threads: Cores of each.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        poses: Poses,
        compositions: Mapping[str, Composition],
        *,
        settings: RefinementSettings,
        folder: Path,
        progress: Callable[[int, int], None] | None = None,
        workers: int = 1,
        threads: int = 1,
    ) -> None:
        self.clips, self.poses, self.compositions, self.settings = clips, poses, compositions, settings
        self.folder, self.progress = folder, progress
        self.workers, self.threads = workers, threads
        sequences = [made for made in compositions.values() if is_sequence(made)]
        self.actions = tuple(sorted({part for made in sequences for part in made.parts}))
        self._done = self._total = 0

    def refine(self, boundaries: Boundaries, pools: Sequence[Pool]) -> dict[str, list[int]]:
        """Refined boundaries of every clip of a sequence.

        Args:
            boundaries: Clip id -> first frames of the second and later parts, in frames of the clip.
            pools: Which clips learn for which. A clip in no pool keeps its boundaries, as does one whose learners
                are all of one group: nobody else could say where its parts begin.
        """
        found = {clip_id: list(own) for clip_id, own in boundaries.items()}
        jobs = [job for job in map(self._make_job, pools) if job is not None]
        networks = 2 * sum(len(job.folds) for job in jobs) * self.settings.rounds
        self._done, self._total = 0, networks * self.settings.training.epochs
        for number in range(self.settings.rounds):
            moved: dict[str, list[int]] = {}
            for place, job in enumerate(jobs):
                moved |= self._move_boundaries(job, found, f"{number}-{place}")
            found |= moved
        return found

    def _make_job(self, pool: Pool) -> _PoolJob | None:
        made = [self.compositions[label] for label in self.clips["label"]]
        useful = np.array([not {*m.parts}.isdisjoint(self.actions) for m in made], dtype=bool)
        cut = np.array([is_sequence(m) for m in made], dtype=bool)
        learners = self.clips[useful & self.clips["clip_id"].isin(pool.learners).to_numpy()]
        targets = self.clips[cut & self.clips["clip_id"].isin(pool.targets).to_numpy()]
        folds = group_folds(groups_of(learners).to_numpy(dtype=str), self.settings.folds, self.settings.seed)
        return _PoolJob(learners, targets, folds) if len(targets) and len(folds) > 1 else None

    def _move_boundaries(self, job: _PoolJob, boundaries: Boundaries, name: str) -> dict[str, list[int]]:
        """New boundaries of the targets of a job."""
        classes = sorted({*job.learners["label"], *job.targets["label"]})
        learners = self._build_samples(job.learners, boundaries, classes)
        targets = self._build_samples(job.targets, boundaries, classes)
        scores = self._score_targets(job, learners, targets, name)
        clips = dict(zip(job.targets["clip_id"], job.targets.itertuples(index=False), strict=True))
        return {
            clip_id: self._align_clip(clips[clip_id], scores[n], targets.batch(np.array([n])).joints[0])
            for n, clip_id in enumerate(targets.clip_ids.tolist())
        }

    def _score_targets(self, job: _PoolJob, learners: Samples, targets: Samples, name: str) -> list[np.ndarray]:
        """Sum of the log posteriors (T, A) of every target, forwards and backwards."""
        fold_of = {clip_id: fold for fold, held in enumerate(job.folds) for clip_id in learners.clip_ids[held]}
        scores = [np.zeros((length, len(self.actions))) for length in targets.lengths]
        trainings = {
            (fold, direction): self._plan_training(learners, held, direction, f"{name}-{fold}{direction:+}")
            for fold, held in enumerate(job.folds)
            for direction in (1, -1)
        }
        fit_ahead(list(trainings.values()), workers=self.workers, threads=self.threads, log=lambda training: self._log)
        for (fold, direction), training in trainings.items():
            # A clip that no network learns from is scored by the networks of every fold.
            own = np.flatnonzero([fold_of.get(clip_id, fold) == fold for clip_id in targets.clip_ids])
            found = self._learn_posteriors(training, _turn(targets.select(own), direction))
            for clip, values in zip(own, found, strict=True):
                scores[clip] += values[::direction]
        return scores

    def _plan_training(self, learners: Samples, held: np.ndarray, direction: int, name: str) -> Training:
        """The network that learns, in one direction, from all learners but those held out."""
        rest = np.setdiff1d(np.arange(len(learners)), held)
        # Training needs validation clips; nothing here uses their score, so one is enough.
        return Training(
            _turn(learners.select(rest), direction),
            _turn(learners.select(held[:1]), direction),
            settings=self.settings.training,
            model_settings=self.settings.network,
            checkpoint=self.folder / f"{name}.pt",
            seed=self.settings.seed,
        )

    def _learn_posteriors(self, training: Training, asked: Samples) -> list[np.ndarray]:
        """Log posteriors (T, A) of every clip that is asked for, by a network that learns from other clips."""
        model = training.fit(log=self._log).model
        training.checkpoint.unlink(missing_ok=True)
        if not len(asked):
            return []
        found = predict(model, asked)
        logs = np.log(np.maximum(found.action_probabilities, LEAST_PROBABILITY))
        return [values[:length] for values, length in zip(logs, found.lengths, strict=True)]

    def _log(self, epoch: int, row: dict[str, float]) -> None:
        self._done += 1
        if self.progress:
            self.progress(self._done, self._total)

    def _build_samples(self, clips: pd.DataFrame, boundaries: Boundaries, classes: Sequence[str]) -> Samples:
        """Samples with the labels of their frames; frames near a boundary have none."""
        rows = []
        for clip in clips.itertuples(index=False):
            margin, made = round(self.settings.margin_s * clip.fps), self.compositions[clip.label]
            for row in segment_rows(clip.clip_id, clip.label, made, clip.n_frames, boundaries.get(clip.clip_id, [])):
                start, end = int(row["start_frame"]), int(row["end_frame"])  # type: ignore[call-overload]
                start += margin * (start > 0)
                end -= margin * (end < clip.n_frames)
                if row["label"] in self.actions and start < end:
                    rows.append(row | {"start_frame": start, "end_frame": end})
        return build_samples(
            clips,
            self.poses,
            pd.DataFrame(rows),
            classes=classes,
            actions=self.actions,
            mode="online",
            rate=self.settings.rate,
        )

    def _align_clip(self, clip: tuple, scores: np.ndarray, joints: np.ndarray) -> list[int]:
        """Boundaries of one clip from the log posteriors (T, A) and the joints (T, V, 3) of its frames."""
        made = self.compositions[clip.label]  # type: ignore[attr-defined]
        parts = [self.actions.index(part) for part in made.parts]
        return aligned_boundaries(
            scores[:, parts],
            motion_signal(joints, self.poses.layout, self.settings.rate),
            n_frames=clip.n_frames,  # type: ignore[attr-defined]
            settings=self.settings,
        )


def aligned_boundaries(
    scores: np.ndarray, motion: np.ndarray, *, n_frames: int, settings: RefinementSettings
) -> list[int]:
    """Boundaries of one clip in its own frames.

    Args:
        scores: Log posterior of each part of the sequence, at the frames that were read, shape (T, P).
        motion: What `motion_signal` gives for them, shape (T, F).
        n_frames: Frames of the clip.
        settings: Weight of the motion, rate and shortest segment.
    """
    frames, parts = scores.shape
    if frames < parts:
        return equal_split(n_frames, parts)
    found = align(
        scores,
        min_frames=round(settings.min_segment_s * settings.rate),
        motion=motion / np.sqrt(motion.shape[1]),
        motion_weight=settings.motion_weight,
    )
    return [min(n_frames - 1, max(1, round(point * n_frames / frames))) for point in found.boundaries]


def group_folds(groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Indices of the clips in each fold, whole groups at random; fewer folds where there are fewer groups."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    parts = np.array_split(names, min(folds, len(names))) if len(names) else []
    return [np.flatnonzero(np.isin(groups, part)) for part in parts]


def _turn(samples: Samples, direction: int) -> Samples:
    """The same clips, forwards (1) or backwards (-1)."""
    if direction == 1:
        return samples
    first, last = np.repeat(samples.offsets[:-1], samples.lengths), np.repeat(samples.offsets[1:] - 1, samples.lengths)
    rows = first + last - np.arange(len(samples.joints))
    return replace(samples, joints=samples.joints[rows], holds=samples.holds[rows])
