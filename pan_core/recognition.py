"""Online recognition of the people in a stream of poses: the same code for a video file and for a camera."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pan_core.errors import DataError
from pan_core.model.missing import between, seen_joints
from pan_core.model.online import OnlineFeatures
from pan_core.model.store import LoadedModel
from pan_core.viewer.captions import Caption, holding

# A person who is out of sight for so long starts anew when seen again: what was before says little by then.
FORGET_SECONDS = 2.0


@dataclass(frozen=True)
class Recognised:
    """What is known of one person at one frame.

    Attributes:
        person: Number of the track.
        joints: Shape (V, 3): x, y in pixels, score.
        caption: Atomic actions that hold at this frame.
        clip: Class of everything that this person has done so far.
        probabilities: Of all clip classes, (K,).
        attention: Weight of each joint at this frame, shape (V,).
    """

    person: int
    joints: np.ndarray
    caption: Caption
    clip: Caption
    probabilities: np.ndarray
    attention: np.ndarray


class PersonStream:
    """Recognises one person; frames come at the rate of the poses, the network steps at its own.

    Faster poses are held, slower ones are interpolated up to the newest, as in the training samples. So nothing
    waits for a later frame.

    Args:
        recogniser: A recogniser of online mode.
        features: Features of its layout.
        pose_fps: Poses a second.
    """

    def __init__(self, recogniser: LoadedModel, features: OnlineFeatures, *, pose_fps: float) -> None:
        self._recogniser = recogniser
        self._features = features
        self._poses_per_step = pose_fps / recogniser.rate
        self._described = features.start()
        self._memory = recogniser.model.start(1)
        self._poses = 0
        self._steps = 0
        self._previous: np.ndarray | None = None
        self.unseen = 0
        self.caption = Caption("", 0.0)
        self.clip = Caption("", 0.0)
        self.probabilities = np.zeros(len(recogniser.labels))
        self.attention = np.zeros(recogniser.layout.size)

    def update(self, joints: np.ndarray) -> None:
        """Take in the next pose (V, 3); all scores 0 where the person is out of sight."""
        self.unseen = 0 if seen_joints(joints).any() else self.unseen + 1
        for pose in self._due(joints):
            self._step(pose)
        self._previous = joints
        self._poses += 1

    def _due(self, joints: np.ndarray) -> Iterator[np.ndarray]:
        """Poses of the network's steps up to this pose."""
        while True:
            at = self._steps * self._poses_per_step
            if self._poses_per_step >= 1:
                if math.floor(at + 1e-6) > self._poses:
                    return
                yield joints
            else:
                if at > self._poses + 1e-6:
                    return
                share = min(at - self._poses + 1, 1.0)
                yield joints if self._previous is None else between(self._previous, joints, share)
            self._steps += 1

    @torch.inference_mode()
    def _step(self, pose: np.ndarray) -> None:
        described, self._described = self._features.step(pose[None].astype(np.float32), self._described)
        output = self._recogniser.model.step(torch.from_numpy(described), self._memory)
        self._memory = output.state
        self.caption = holding(_probabilities(output.action_logits), self._recogniser.actions)
        self.probabilities = _probabilities(output.logits)
        best = int(self.probabilities.argmax())
        self.clip = Caption(self._recogniser.labels[best], float(self.probabilities[best]))
        self.attention = output.joints_attention[0].numpy()


class StreamRecogniser:
    """Recognises everybody whom a tracker follows.

    Args:
        recogniser: A recogniser of online mode.
        pose_fps: Poses a second.

    Raises:
        DataError: Where the recogniser is of clip mode, or the rate is none.
    """

    def __init__(self, recogniser: LoadedModel, *, pose_fps: float) -> None:
        if recogniser.mode != "online":
            raise DataError(
                f"Expected a recogniser of online mode, but got one of {recogniser.mode} mode, which must know the "
                "whole clip; give the folder of the online one"
            )
        if not 0 < pose_fps < math.inf:
            raise DataError(f"Expected pose_fps to be poses a second, above 0, but got {pose_fps}")
        self._recogniser = recogniser
        self._features = OnlineFeatures(recogniser.layout)
        self._pose_fps = pose_fps
        self._people: dict[int, PersonStream] = {}

    def update(self, people: Sequence[tuple[int, np.ndarray]]) -> list[Recognised]:
        """Recognise the people of the next frame.

        Args:
            people: Track number and joints (V, 3) of everybody seen in this frame, as a `PersonTracker` gives them.

        Returns:
            One for each of them, in the same order.
        """
        seen = dict(people)
        nobody = np.full((self._recogniser.layout.size, 3), np.nan)
        nobody[:, 2] = 0
        for person in seen.keys() - self._people.keys():
            self._people[person] = PersonStream(self._recogniser, self._features, pose_fps=self._pose_fps)
        for person, stream in list(self._people.items()):
            stream.update(seen.get(person, nobody))
            if stream.unseen > FORGET_SECONDS * self._pose_fps:
                del self._people[person]
        return [self._now(person, joints) for person, joints in people]

    def _now(self, person: int, joints: np.ndarray) -> Recognised:
        stream = self._people[person]
        return Recognised(person, joints, stream.caption, stream.clip, stream.probabilities, stream.attention)


def _probabilities(logits: torch.Tensor) -> np.ndarray:
    """Softmax of the first row, float64, so that a sum of two stays below 1."""
    return torch.softmax(logits[0].double(), dim=-1).numpy()
