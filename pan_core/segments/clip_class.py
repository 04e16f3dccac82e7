"""The class of a clip from the actions of its frames: relabelling backwards.

Every class is a hypothesis on which actions hold in which frames. Its score is the mean over the frames of how near
the posterior is to what the hypothesis predicts there: minus the Kullback-Leibler divergence from the posterior to
the uniform distribution over the actions that should hold. For one action that is its log posterior; for several at
once it is the mean of their log posteriors plus the logarithm of their number, so that hypotheses of one and of two
actions are on one scale.
"""

from collections.abc import Sequence

import numpy as np

from pan_core.datasets.taxonomy import Composition
from pan_core.segments.alignment import align


def score_classes(
    log_posteriors: np.ndarray, compositions: Sequence[Composition], actions: Sequence[str], *, min_frames: int
) -> np.ndarray:
    """Score the classes of a clip by the actions of its frames.

    Args:
        log_posteriors: Log posterior of each action in each frame, shape (T, A), finite.
        compositions: How each of the K classes is made. A sequence is explained by the best boundaries in its order.
        actions: The A names.
        min_frames: Shortest part of a sequence; lowered where the clip is too short for it. A clip with fewer frames
            than parts is compared by the mean over all parts.

    Returns:
        Shape (K,): mean over the frames, at most 0; the largest says the class.

    Raises:
        ValueError: Where a part is not among the actions.
    """
    columns = dict(zip(actions, log_posteriors.T, strict=True))
    if unknown := sorted({part for made in compositions for part in made.parts} - set(columns)):
        raise ValueError(f"Expected every part of a class among the actions, but {', '.join(unknown)} is not")
    return np.array(
        [_score(np.stack([columns[part] for part in made.parts], 1), made, min_frames) for made in compositions]
    )


def _score(parts: np.ndarray, made: Composition, min_frames: int) -> float:
    """Score of one class from the log posteriors of its parts (T, P)."""
    frames, count = parts.shape
    if made.kind == "together":
        return float(parts.mean() + np.log(count))
    if count == 1 or frames < count:
        return float(parts.mean())
    return align(parts, min_frames=min_frames).score / frames
