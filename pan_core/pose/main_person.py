"""Choice of the person that a clip's label means."""

import numpy as np

from pan_core.model.missing import seen_joints


def main_person(joints: np.ndarray) -> int:
    """Find the person that a clip's label most likely means: seen best and moving most.

    Args:
        joints: Shape (M, T, V, 3), M >= 1.

    Returns:
        Index of the largest product of the summed score and the square root of the mean displacement of a seen joint
        between frames; a small constant is added to the displacement, so that among people who stand still the best
        seen wins. Without the root, people whose joints are found badly, and so jump about, win over the actor.
    """
    seen = seen_joints(joints)
    scores = np.where(seen, joints[..., 2], 0).sum(axis=(1, 2))
    places = np.where(seen[..., None], joints[..., :2], 0)
    both = seen[:, 1:] & seen[:, :-1]
    moved = np.linalg.norm(places[:, 1:] - places[:, :-1], axis=-1) * both
    motion = moved.sum(axis=(1, 2)) / np.maximum(both.sum(axis=(1, 2)), 1)
    return int(np.argmax(scores * np.sqrt(motion + 0.1)))
