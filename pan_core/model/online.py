"""Online features frame by frame: what a device computes between the pose extractor and the network.

Fed the frames of a clip one after another, `OnlineFeatures.step` gives the features that `PoseFeatures` in online
mode gives for the whole clip. A step costs the same however long the stream has been running. NumPy only.

Shapes: M people (any number of streams side by side), V joints, D joint features.
"""

from dataclasses import dataclass

import numpy as np

from pan_core.errors import DataError
from pan_core.model.features import FORGETTING, LAGS, BodyFrame, describe, feature_count
from pan_core.model.missing import UnseenPlacer, seen_joints
from pan_core.skeletons import SkeletonLayout


@dataclass(frozen=True)
class OnlineState:
    """All that a stream remembers.

    Attributes:
        held: Last seen place of each joint, (M, V, 2).
        known: Whether a joint was seen at least once, (M, V).
        past_places: Places in the last frames, as many as the longest lag has, oldest first, (M, L, V, 2).
        past_known: What was known in them, (M, L, V).
        reference: Weighted sum of root places and sum of weights, (M, 3).
        size: Weighted sum of body sizes and sum of weights, (M, 2).
    """

    held: np.ndarray
    known: np.ndarray
    past_places: np.ndarray
    past_known: np.ndarray
    reference: np.ndarray
    size: np.ndarray

    def select(self, people: np.ndarray) -> "OnlineState":
        """State of some of the streams, by index or mask; for people who leave or change their order."""
        return OnlineState(*(getattr(self, name)[people] for name in self.__dataclass_fields__))


class OnlineFeatures:
    """Features of a stream of poses.

    Args:
        layout: Skeleton layout of the joints.
    """

    def __init__(self, layout: SkeletonLayout) -> None:
        self.layout = layout
        self._body = BodyFrame(layout)
        self._place_unseen = UnseenPlacer(layout)

    @property
    def feature_size(self) -> int:
        """Number of features of a joint, D."""
        return feature_count(self.layout)

    def start(self, people: int = 1) -> OnlineState:
        """State before the first frame."""
        joints, lags = self.layout.size, max(LAGS["online"])
        return OnlineState(
            held=np.zeros((people, joints, 2), dtype=np.float32),
            known=np.zeros((people, joints), dtype=bool),
            past_places=np.zeros((people, lags, joints, 2), dtype=np.float32),
            past_known=np.zeros((people, lags, joints), dtype=bool),
            reference=np.zeros((people, 3)),
            size=np.zeros((people, 2)),
        )

    def step(self, joints: np.ndarray, state: OnlineState) -> tuple[np.ndarray, OnlineState]:
        """Describe the next frame.

        Args:
            joints: Shape (M, V, 3): x, y in pixels and score; a missing joint has score 0 and NaN places.
            state: What `start` or the last step returned; it is left as it was.

        Returns:
            Features (M, V, D), float32, finite; and the state after the frame.

        Raises:
            DataError: Where the joints have another shape than the state.
        """
        expected = (*state.known.shape, 3)
        if joints.shape != expected:
            raise DataError(
                f"Expected joints of the frame to have shape {expected}, but got {joints.shape}", code="joints.shape"
            )
        seen = seen_joints(joints)
        held = np.where(seen[..., None], joints[..., :2], state.held).astype(np.float32)
        known = state.known | seen
        places = self._place_unseen(held, known)
        root, size = self._body.root(places), self._body.size(places, seen)
        after = OnlineState(
            held=held,
            known=known,
            past_places=np.concatenate([state.past_places[:, 1:], places[:, None]], axis=1),
            past_known=np.concatenate([state.past_known[:, 1:], known[:, None]], axis=1),
            reference=_count_in(state.reference, root, known.any(axis=-1)),
            size=_count_in(state.size, size[:, None], size > 0),
        )
        moves = [self._move(places, state, lag) for lag in LAGS["online"]]
        scores = np.where(seen, joints[..., 2], 0)
        parents = self._place_unseen.parents
        features = describe(places, root, moves, scores, _mean(after.reference), _mean(after.size)[:, 0], parents)
        return features, after

    def _move(self, places: np.ndarray, state: OnlineState, lag: int) -> np.ndarray:
        """How far each joint moved within `lag` frames; 0 where it had no seen place then."""
        return np.where(state.past_known[:, -lag, :, None], places - state.past_places[:, -lag], 0)


def _count_in(sums: np.ndarray, values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Weighted sums (M, C + 1) after one more frame with values (M, C)."""
    terms = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    return FORGETTING * sums + np.where(counted[:, None], terms, 0)


def _mean(sums: np.ndarray) -> np.ndarray:
    """Means (M, C) of weighted sums (M, C + 1); 0 where nothing was counted."""
    return sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], 1)
