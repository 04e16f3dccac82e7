"""Predictions of one model for the test clips of one split, kept whole so that every figure can be computed again.

Every figure that is called an accuracy counts every listed test clip: one in which nobody was found, or that cannot be used for
another reason, is a mistake. Confusion, calibration and frame accuracy are about answers, and know the scored clips only.

Shape letters: N clips, T frames of the longest clip, V joints, K classes, A atomic actions.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from pan_core.errors import DataError
from pan_core.evaluation import metrics
from pan_core.files import atomic_path
from pan_core.skeletons import SkeletonLayout

MODES = ("clip", "online")
WAYS = ("class head", "by segments", "without relabelling")


@dataclass(frozen=True)
class SplitPredictions:
    """Predictions of one model for the clips of one split, in one input mode.

    Frames past a clip's length are padding; nothing here reads them.

    Attributes:
        mode: "clip" where the features know the whole clip, "online" where those of a frame know only its past.
        split: Number of the official split.
        clip_ids: Clip identifiers, shape (N,).
        classes: The K class names, in the order of the class axis.
        actions: The A atomic actions, in the order of the action axis.
        labels: True class of each clip, shape (N,).
        probabilities: Class probabilities at the clip's last frame, shape (N, K).
        frame_probabilities: Class probabilities after each frame, shape (N, T, K).
        action_probabilities: Atomic action probabilities of each frame, shape (N, T, A).
        lengths: Frames of each clip, shape (N,).
        pose_attention: Weight of each frame, shape (N, T).
        joints_attention: Weight of each joint at each frame, shape (N, T, V).
        joints: x and y in pixels and score, shape (N, T, V, 3); NaN places where a joint was not found.
        layout: The skeleton layout of the joints.
        frame_targets: True distribution over actions at each frame, shape (N, T, A); None where nobody knows it.
        explanations: How well each class explains the actions of the frames, shape (N, K), the largest best; None
            where a class is made of parts that are not among the actions.
        whole_probabilities: Class probabilities of a network that learnt without relabelling, shape (N, K); None
            where there is none.
        unscored: True class of each listed test clip without an answer, such as one in which nobody was found, shape
            (U,).
        temperature: By which the class logits were divided to calibrate them; 1 if they were not.

    Raises:
        DataError: If shapes or values do not fit; names every such field.
    """

    mode: str
    split: int
    clip_ids: np.ndarray
    classes: tuple[str, ...]
    actions: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    frame_probabilities: np.ndarray
    action_probabilities: np.ndarray
    lengths: np.ndarray
    pose_attention: np.ndarray
    joints_attention: np.ndarray
    joints: np.ndarray
    layout: SkeletonLayout
    frame_targets: np.ndarray | None = None
    explanations: np.ndarray | None = None
    whole_probabilities: np.ndarray | None = None
    unscored: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    temperature: float = 1.0

    def __post_init__(self) -> None:
        faults = [
            f"Expected `{name}` to have shape {shape}, but got {getattr(self, name).shape}"
            for name, shape in self._list_shapes().items()
            if getattr(self, name) is not None and getattr(self, name).shape != shape
        ]
        if self.mode not in MODES:
            faults.append(f"Expected `mode` to be one of {', '.join(MODES)}, but got {self.mode!r}")
        frames = self.joints.shape[1] if self.joints.ndim > 1 else 0
        if self.lengths.size and not (self.lengths.min() >= 1 and self.lengths.max() <= frames):
            faults.append(f"Expected `lengths` within 1..{frames}, but got {self.lengths.min()}..{self.lengths.max()}")
        if self.labels.size and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            faults.append(f"Expected `labels` within 0..{len(self.classes) - 1}, but got {np.unique(self.labels)}")
        if faults:
            raise DataError(
                "predictions do not fit each other:\n" + "\n".join(f"  - {fault}" for fault in faults),
                code="predictions.shape",
            )

    def _list_shapes(self) -> dict[str, tuple[int, ...]]:
        clips = len(self.clip_ids)
        frames = self.joints.shape[1] if self.joints.ndim > 1 else 0
        joints, classes, actions = self.layout.size, len(self.classes), len(self.actions)
        return {
            "clip_ids": (clips,),
            "labels": (clips,),
            "lengths": (clips,),
            "probabilities": (clips, classes),
            "explanations": (clips, classes),
            "whole_probabilities": (clips, classes),
            "frame_probabilities": (clips, frames, classes),
            "action_probabilities": (clips, frames, actions),
            "frame_targets": (clips, frames, actions),
            "pose_attention": (clips, frames),
            "joints_attention": (clips, frames, joints),
            "joints": (clips, frames, joints, 3),
        }

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def predictions(self) -> np.ndarray:
        """Most probable class of each clip, shape (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def unscored_count(self) -> int:
        """Listed test clips without an answer."""
        return len(self.unscored)

    @property
    def listed(self) -> int:
        """All listed test clips."""
        return len(self) + self.unscored_count

    @property
    def scored_share(self) -> float:
        """Share of the listed test clips that have an answer."""
        return len(self) / self.listed

    @property
    def _outcomes(self) -> tuple[np.ndarray, np.ndarray]:
        """True and predicted class of every listed clip; -1, which no class is, of one without an answer."""
        unscored = np.full(self.unscored_count, -1)
        return np.concatenate([self.labels, self.unscored]), np.concatenate([self.predictions, unscored])

    @property
    def accuracy(self) -> float:
        """Share of the listed test clips whose class is right."""
        return metrics.accuracy(*self._outcomes)

    @property
    def class_counts(self) -> np.ndarray:
        """Listed test clips of each class, shape (K,)."""
        return np.bincount(self._outcomes[0], minlength=len(self.classes))

    @property
    def class_accuracies(self) -> np.ndarray:
        """Accuracy within each true class, shape (K,); NaN for a class without clips."""
        right = np.bincount(self.labels[self.labels == self.predictions], minlength=len(self.classes))
        return np.divide(right, self.class_counts, out=np.full(len(right), np.nan), where=self.class_counts > 0)

    @property
    def observed_accuracy(self) -> np.ndarray:
        """Accuracy after each of `metrics.OBSERVED_SHARES` of the clips."""
        return self.scored_share * metrics.observed_accuracy(self.labels, self.frame_probabilities, self.lengths)

    def clip_accuracies(self) -> dict[str, float]:
        """Accuracy by the way in which the class is read: `WAYS`, those that there are."""
        answers = (self.probabilities, self.explanations, self.whole_probabilities)
        return {
            way: self.scored_share * float(np.mean(answer.argmax(axis=1) == self.labels))
            for way, answer in zip(WAYS, answers, strict=True)
            if answer is not None
        }

    def save(self, path: Path) -> None:
        """Write everything to one .npz file, which appears whole or not at all."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["layout"] = json.dumps(self.layout.as_dict())
        arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
        for name in ("clip_ids", "classes", "actions"):
            arrays[name] = arrays[name].astype(str)
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def interval(splits: "Sequence[SplitPredictions]") -> metrics.Interval:
        """Accuracy over the listed test clips of some splits together, with its 95 % interval."""
        outcomes = [each._outcomes for each in splits]
        labels, predictions = (np.concatenate(part) for part in zip(*outcomes, strict=True))
        return metrics.accuracy_interval(labels, predictions)

    @classmethod
    def load(cls, path: Path) -> "SplitPredictions":
        """Read what `save` wrote.

        Raises:
            DataError: If the file is missing, damaged or lacks a field.
        """
        if not path.is_file():
            raise DataError(
                f"{path}: no such predictions; run `dvc repro evaluate` to make them", code="predictions.missing"
            )
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            values = dict(arrays)
            values["mode"], values["split"] = str(arrays["mode"]), int(arrays["split"])
            values["temperature"] = float(values.get("temperature", 1.0))
            values["classes"] = tuple(arrays["classes"].tolist())
            values["actions"] = tuple(arrays["actions"].tolist())
            values["layout"] = SkeletonLayout.from_dict(json.loads(str(arrays["layout"])))
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: not readable predictions ({error}); delete the file and run `dvc repro evaluate`",
                code="predictions.damaged",
            ) from error
