"""The people in a stream of poses: the same code for a video file, a camera and a device."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pan_core.errors import DataError
from pan_core.model.missing import between, seen_joints
from pan_core.model.online import OnlineFeatures
from pan_core.recognition.step_network import StepNetwork, frame_share, probabilities
from pan_core.viewer.captions import Caption, holding, likeliest

# A person who is out of sight for so long starts anew when seen again: what was before says little by then.
FORGET_SECONDS = 2.0


@dataclass(frozen=True)
class Recognition:
    """What is known of one person at one frame.

    Attributes:
        person: Number of the track.
        joints: Shape (V, 3): x, y in pixels, score.
        caption: Atomic actions that hold at this frame; its label is empty if none of the known ones does.
        clip: Class of everything that this person has done so far; likewise.
        probabilities: Of all clip classes, (K,), summing to 1 at most; the rest is the probability that none holds.
        actions: Probabilities of the atomic actions at this frame, (A,), likewise; two that hold have about a half each.
        attention: Weight of each joint at this frame, shape (V,).
        share: Weight of this frame among all frames of the person so far, mean of the heads.
    """

    person: int
    joints: np.ndarray
    caption: Caption
    clip: Caption
    probabilities: np.ndarray
    actions: np.ndarray
    attention: np.ndarray
    share: float


class PersonStream:
    """Recognises one person; frames come at the rate of the poses, the network steps at its own.

    Faster poses are held, slower ones are interpolated up to the newest, as in the training samples. So nothing
    waits for a later frame.

    Args:
        network: Runs the recognizer.
        features: Features of its layout.
        pose_fps: Poses a second.
    """

    def __init__(self, network: StepNetwork, features: OnlineFeatures, *, pose_fps: float) -> None:
        self._network = network
        self._features = features
        self._poses_per_step = pose_fps / network.rate
        self._described = features.start()
        self._memory = network.start()
        self._poses = 0
        self._steps = 0
        self._previous: np.ndarray | None = None
        self.unseen = 0
        self.caption = Caption("", 0.0)
        self.clip = Caption("", 0.0)
        self.probabilities = np.zeros(len(network.labels))
        self.actions = np.zeros(len(network.actions))
        self.attention = np.zeros(network.layout.size)
        self.share: float | None = 0.0

    def update(self, joints: np.ndarray) -> None:
        """Take in the next pose (V, 3); all scores 0 where the person is out of sight."""
        self.unseen = 0 if seen_joints(joints).any() else self.unseen + 1
        for pose in self._poses_due(joints):
            self._step(pose)
        self._previous = joints
        self._poses += 1

    def _poses_due(self, joints: np.ndarray) -> Iterator[np.ndarray]:
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

    def _step(self, pose: np.ndarray) -> None:
        described, self._described = self._features.step(pose[None].astype(np.float32), self._described)
        output = self._network.step(described, self._memory)
        self.share = output.share
        if self.share is None:
            self.share = float(frame_share(self._memory, output.memory).mean())
        self._memory = output.memory
        self.actions = probabilities(output.action_logits, self._network.actions)
        self.caption = holding(self.actions, self._network.actions)
        self.probabilities = probabilities(output.logits, self._network.labels)
        self.clip = likeliest(self.probabilities, self._network.labels)
        self.attention = output.joints_attention


class StreamRecognizer:
    """Recognises everybody whom a tracker follows.

    Args:
        network: Runs the recognizer.
        pose_fps: Poses a second.

    Raises:
        DataError: If the rate is none.
    """

    def __init__(self, network: StepNetwork, *, pose_fps: float) -> None:
        if not 0 < pose_fps < math.inf:
            raise DataError(f"Expected pose_fps to be poses a second, above 0, but got {pose_fps}", code="stream.rate")
        self._network = network
        self._features = OnlineFeatures(network.layout)
        self._pose_fps = pose_fps
        self._people: dict[int, PersonStream] = {}

    def update(self, people: Sequence[tuple[int, np.ndarray]]) -> list[Recognition]:
        """Recognise the people of the next frame.

        Args:
            people: Track number and joints (V, 3) of everybody seen in this frame, as a `PersonTracker` gives them.

        Returns:
            One for each of them, in the same order.
        """
        seen = dict(people)
        nobody = np.full((self._network.layout.size, 3), np.nan)
        nobody[:, 2] = 0
        for person in seen.keys() - self._people.keys():
            self._people[person] = PersonStream(self._network, self._features, pose_fps=self._pose_fps)
        for person, stream in list(self._people.items()):
            stream.update(seen.get(person, nobody))
            if stream.unseen > FORGET_SECONDS * self._pose_fps:
                del self._people[person]
        return [self._describe_person(person, joints) for person, joints in people]

    @property
    def people_count(self) -> int:
        """People whose recurrent state is kept."""
        return len(self._people)

    def _describe_person(self, person: int, joints: np.ndarray) -> Recognition:
        stream = self._people[person]
        return Recognition(
            person,
            joints,
            stream.caption,
            stream.clip,
            stream.probabilities,
            stream.actions,
            stream.attention,
            stream.share or 0.0,
        )
