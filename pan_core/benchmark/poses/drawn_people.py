"""Drawn scenes with known joints: people who cross, fall, stand still or are far away."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from pan_core.benchmark.poses.pose_points import PosePoint
from pan_core.datasets.actors import Performer, render_scene
from pan_core.pose.accuracy import box_sizes, pck, track_accuracy, visible
from pan_core.pose.person_tracker import PersonTracker
from pan_core.pose.tracks import TrackCollector

CROSSING = (("Walking", (-1.4, -0.6), 0.0), ("Walking", (1.4, 0.6), 180.0))
"""Action, start and heading of the two who cross."""
CROSSING_SEEDS = (3, 4, 5)
FALLS = ((1, 1, 0.0), (2, 2, 90.0), (3, 0, 90.0), (4, 7, 0.0))
"""Actor, seed, and heading at which the fall crosses the picture: backward, to the left, to the right, forward."""
FALLING_VIEWS = (0.0, 180.0, 90.0)
"""Turns of each: seen from one side, from the other, and from the head or the feet."""
FALLING_SCENE = {"frames": 34, "width": 640, "height": 480, "camera_height": 2.3}
"""The camera hangs as high as one that watches a room; a standing person is 280 pixels high, as in recordings of falls."""
LAST_FRAMES = 10
STANDING = (("Waving", 1), ("Clapping", 2), ("Waving", 3), ("Clapping", 4))
AT_REST = 0.002
"""Largest second difference of a true joint that stands still, in body sizes."""
SMALL = {2: 4.6, 3: 7.0, 4: 9.3, 5: 11.6}
"""Metres across the picture that make a person as high as one part in N of it."""


@lru_cache(maxsize=8)
def _scene(*performers: Performer, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """A drawn scene, kept for the next point that a worker process measures on it; nobody writes into it."""
    return render_scene(performers, **settings)


def follow(tracker: PersonTracker, frames: Iterable[np.ndarray]) -> np.ndarray:
    """Everybody whom a tracker follows through frames, (N, T, 18, 3)."""
    seen = TrackCollector(joints=18)
    for frame in frames:
        seen.add(tracker.update(frame))
    return seen.tracks().dense()


def measure_crossing(point: PosePoint) -> dict:
    """Two and three people who walk past each other and hide one another, three scenes each."""
    switches, covered = 0, []
    for count in (2, 3):
        extractor = point.extractor(people=count)
        for seed in CROSSING_SEEDS:
            walkers = [Performer(a, seed + 3 * i, start, heading) for i, (a, start, heading) in enumerate(CROSSING)]
            walkers += [Performer("Waving" if seed % 2 else "Clapping", seed + 7, (0.0, 1.6), -90.0)] * (count - 2)
            frames, truth = _scene(*walkers, seed=seed, frames=30)
            result = track_accuracy(follow(extractor.tracker(), frames), visible(truth))
            switches += result.switches
            covered.append(result.covered)
    return {"switches": switches, "crossing_covered": float(np.mean(covered))}


def measure_falling(point: PosePoint) -> dict:
    """Four actors who fall backward, forward and aside, each seen from both sides and once from the head or the feet."""
    extractor, pairs = point.extractor(people=1), []
    for (group, seed, heading), turn in product(FALLS, FALLING_VIEWS):
        frames, truth = _scene(Performer("Falling", group, heading=heading + turn), seed=seed, **FALLING_SCENE)
        tracks = follow(extractor.tracker(), frames)
        pairs.append((tracks[0] if len(tracks) else np.zeros_like(truth[0]), visible(truth)[0]))
    whole, late = (
        tuple(np.concatenate([one[-last:] for one in side]) for side in zip(*pairs, strict=True))
        for last in (len(pairs[0][0]), LAST_FRAMES)
    )
    return {"falling_pck": pck(*whole).overall, "falling_last_pck": pck(*late).overall}


def measure_jitter(point: PosePoint) -> dict:
    """Four actors who stand, and the joints of theirs that are at rest."""
    extractor, moves, missing, resting = point.extractor(people=1), [], 0, 0
    for action, group in STANDING:
        frames, truth = _scene(Performer(action, group, (0.0, 0.0), -90.0), seed=6, frames=40)
        tracks = follow(extractor.tracker(), frames)
        found = tracks[0] if len(tracks) else np.zeros_like(truth[0])
        still, jitter = jitter_at_rest(found, visible(truth)[0])
        resting += int(still.sum())
        missing += int(np.isnan(jitter[still]).sum())
        moves.append(jitter[still])
    shown = np.concatenate(moves)
    lost = missing == resting
    return {"jitter": None if lost else float(np.nanmedian(shown)), "jitter_joints": resting - missing}


def jitter_at_rest(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Second differences of joints over time, in body sizes.

    Args:
        found: (T, V, 3) x, y, score of one person.
        truth: (T, V, 3) true joints, visibility in the place of the score.

    Returns:
        (T - 2, V) whether the true joint is visible and at rest in three frames, and the second difference of the found one,
        NaN if it was not found in all of them.
    """
    size = box_sizes(truth)[1:-1, None]

    def bend(joints: np.ndarray) -> np.ndarray:
        places = np.where(joints[..., 2:] > 0, joints[..., :2], np.nan)
        return np.linalg.norm(places[2:] - 2 * places[1:-1] + places[:-2], axis=-1) / size

    true = bend(truth)
    return np.nan_to_num(true, nan=np.inf) <= AT_REST, bend(found)


def measure_small(point: PosePoint) -> dict:
    """Somebody in a picture of 640 x 480 whose height is a half, a third, a quarter and a fifth of it."""
    extractor, smallest = point.extractor(people=1), None
    for view in SMALL.values():
        performer = Performer("Waving", 2, (0.0, 0.0), -90.0)
        frames, truth = _scene(performer, seed=1, frames=4, view_width=view, width=640, height=480)
        true = visible(truth)[0, -1]
        seen = follow(extractor.tracker(), frames)
        if len(seen) and pck(seen[0, -1], true).overall >= 0.5:
            smallest = round(float(np.ptp(truth[0, 0, truth[0, 0, :, 2] > 0, 1])))
    return {"smallest_pixels": smallest}
