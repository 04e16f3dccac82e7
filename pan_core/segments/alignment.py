"""Forced alignment: where each part of a known sequence begins, by exact dynamic programming.

Two things speak for a boundary: the posteriors of the parts in the frames on either side, which know what the parts
look like, and the motion, whose mean changes there, which is sharper in time. Posteriors alone are the forced
alignment of speech recognition; motion alone is the search for change points.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Alignment:
    """The best boundaries of a sequence.

    Attributes:
        boundaries: First frame of the second and every later part, rising.
        score: Sum of the frames' scores, less the weighted squared error of the motion.
    """

    boundaries: list[int]
    score: float


def align(
    scores: np.ndarray, *, min_frames: int = 1, motion: np.ndarray | None = None, motion_weight: float = 1.0
) -> Alignment:
    """Boundaries that maximise the score of all segments.

    A segment [a, b) of part p scores sum_{a <= t < b} score_{t,p} - w sum_{a <= t < b} |x_t - mean of x in it|^2,
    with x the motion and w its weight. With F_p(b) the best score of the frames before b in p parts,
    F_p(b) = max over a <= b - m of F_{p-1}(a) + score of [a, b) as part p. Time grows with P T^2.

    Args:
        scores: Log posterior of the part that stands at each place of the sequence, shape (T, P); a part may stand at
            several places.
        min_frames: Shortest segment m; lowered where the clip is too short for it.
        motion: Signal whose mean changes from part to part, (T, F); None to go by the scores alone.
        motion_weight: w.

    Returns:
        The P - 1 boundaries; of equally good ones the earliest.

    Raises:
        ValueError: Where there are fewer frames than parts, or the motion has another length than the scores.
    """
    frames, parts = scores.shape
    if frames < parts or (motion is not None and len(motion) != frames):
        raise ValueError(
            f"Expected at least {parts} frames and a motion of the same length as the scores, but got {frames} and "
            f"{'no motion' if motion is None else len(motion)}"
        )
    shortest = max(1, min(min_frames, frames // parts))
    summed = np.concatenate([np.zeros((1, parts)), np.cumsum(scores, axis=0)])  # T+1 P
    errors = _SquaredErrors(np.zeros((frames, 1)) if motion is None else motion)
    best = np.full((parts, frames + 1), -np.inf)
    origin = np.zeros((parts, frames + 1), dtype=np.int64)
    for end in range(shortest, frames + 1):
        starts = np.arange(end - shortest + 1)
        cost = motion_weight * errors.before(end)[starts]
        best[0, end] = summed[end, 0] - cost[0]
        for part in range(1, parts):
            value = best[part - 1, starts] + summed[end, part] - summed[starts, part] - cost
            origin[part, end] = value.argmax()
            best[part, end] = value[origin[part, end]]
    boundaries, end = [], frames
    for part in range(parts - 1, 0, -1):
        end = int(origin[part, end])
        boundaries.append(end)
    return Alignment(boundaries[::-1], float(best[-1, frames]))


class _SquaredErrors:
    """Squared distances of a signal (T, F) from its mean within any segment."""

    def __init__(self, signal: np.ndarray) -> None:
        first = np.zeros((1, signal.shape[1]))
        self._sums = np.concatenate([first, np.cumsum(signal, axis=0)])
        self._squares = np.concatenate([[0.0], np.cumsum((signal**2).sum(axis=1))])

    def before(self, end: int) -> np.ndarray:
        """Of the segments [a, end), for a = 0 to end - 1."""
        gap = self._sums[end] - self._sums[:end]
        return self._squares[end] - self._squares[:end] - (gap**2).sum(axis=1) / (end - np.arange(end))
