"""Features against a literal, slow reading of their definition, and what they must not depend on."""

import math

import numpy as np
import pytest

from pan_core.errors import DataError
from pan_core.model.features import MODES, PoseFeatures, feature_count
from pan_core.skeletons import OPENPOSE18, PENN13, SkeletonLayout


def random_clips(layout: SkeletonLayout, frames: int, *, clips: int = 2, missing: float = 0.2, seed: int = 0):
    """Random walks of joints around a body 100 pixels tall; a share of the joints is missing."""
    rng = np.random.default_rng(seed)
    start = rng.normal(300, 40, size=(clips, 1, layout.size, 2))
    places = start + np.cumsum(rng.normal(0, 4, size=(clips, frames, layout.size, 2)), axis=1)
    scores = rng.uniform(0.2, 1, size=(clips, frames, layout.size, 1))
    joints = np.concatenate([places, scores], -1).astype(np.float32)
    gone = rng.random((clips, frames, layout.size)) < missing
    joints[gone] = [np.nan, np.nan, 0]
    joints[0, :, 3] = [np.nan, np.nan, 0]  # a joint that is never seen
    joints[1, : min(3, frames)] = [np.nan, np.nan, 0]  # a person who comes late
    return joints


def slow_places(clip: np.ndarray, layout: SkeletonLayout, t: int, online: bool):
    """Place of every joint in frame t, and whether it is a seen one, by the rules of `missing`."""
    frames, parents = len(clip), layout.parents()
    places: list = []
    for joint in range(layout.size):
        at = [i for i in range(frames) if clip[i, joint, 2] > 0 and (i <= t or not online)]
        if not at:
            places.append(None)
        elif online:
            places.append(clip[at[-1], joint, :2].astype(float))
        else:
            places.append(np.array([np.interp(t, at, clip[at, joint, axis].astype(float)) for axis in (0, 1)]))
    known = [place is not None for place in places]
    there = [place for place in places if place is not None]
    middle = sum(there) / len(there) if there else np.zeros(2)
    filled = []
    for joint in range(layout.size):
        above = joint
        while places[above] is None and parents[above] != above:
            above = parents[above]
        filled.append(middle if places[above] is None else places[above])
    return np.array(filled), known


def slow_size(places: np.ndarray, seen: list[bool], layout: SkeletonLayout) -> float:
    """The larger of torso length and a fifth of the diagonal around the seen joints."""
    if not any(seen):
        return 0.0
    xy = places[np.array(seen)]
    size = 0.2 * math.dist(xy.min(axis=0), xy.max(axis=0))
    upper, lower = layout.torso
    if all(seen[j] for j in (*upper, *lower)):
        size = max(size, math.dist(places[list(upper)].mean(axis=0), places[list(lower)].mean(axis=0)))
    return size


def slow_mean(values: list, t: int, online: bool):
    """Mean of the values that are not None: over the clip, or fading by 1/60 a frame up to t."""
    terms = [
        (value, (1 - 1 / 60) ** (t - i) if online else 1.0)
        for i, value in enumerate(values)
        if value is not None and (i <= t or not online)
    ]
    total = sum(weight for _, weight in terms)
    return sum(value * weight for value, weight in terms) / total if terms else None


def slow_features(clip: np.ndarray, layout: SkeletonLayout, mode: str) -> np.ndarray:
    """Features of one clip, frame by frame and joint by joint."""
    online, frames, parents = mode == "online", len(clip), layout.parents()
    filled = [slow_places(clip, layout, t, online) for t in range(frames)]
    roots = [places[list(layout.root)].mean(axis=0) if any(known) else None for places, known in filled]
    sizes = [slow_size(filled[t][0], [bool(s > 0) for s in clip[t, :, 2]], layout) or None for t in range(frames)]
    rows = []
    for t in range(frames):
        places, _ = filled[t]
        reference = slow_mean(roots, t, online)
        size = slow_mean(sizes, t, online) or 1.0
        root = places[list(layout.root)].mean(axis=0)
        for joint in range(layout.size):
            row = [*(places[joint] - (np.zeros(2) if reference is None else reference)), *(places[joint] - root)]
            row += [*(places[joint] - places[parents[joint]])]
            for lag in (1, 2, 4, 8) if online else (1, 4, -1, -4):
                was_known = 0 <= t - lag < frames and filled[t - lag][1][joint]
                row += [*(places[joint] - filled[t - lag][0][joint])] if was_known else [0.0, 0.0]
            distances = [math.dist(places[joint], places[other]) / size for other in range(layout.size)]
            rows.append([*(value / size for value in row), float(clip[t, joint, 2]), *distances])
    return np.array(rows).reshape(frames, layout.size, -1)


@pytest.mark.parametrize("layout", [PENN13, OPENPOSE18], ids=lambda layout: layout.name)
@pytest.mark.parametrize("mode", ["clip", "online"])
def test_features_follow_their_definition(mode, layout):
    joints = random_clips(layout, 11)
    features = PoseFeatures(layout, mode=mode)(joints)
    assert features.dtype == np.float32
    assert features.shape[-1] == feature_count(layout)
    for clip in range(len(joints)):
        np.testing.assert_allclose(features[clip], slow_features(joints[clip], layout, mode), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("mode", ["clip", "online"])
def test_place_and_size_of_the_person_do_not_matter(mode):
    joints = random_clips(PENN13, 12)
    moved = joints * np.array([0.5, 0.5, 1], dtype=np.float32) + np.array([80, -30, 0], dtype=np.float32)
    describe = PoseFeatures(PENN13, mode=mode)
    np.testing.assert_allclose(describe(moved), describe(joints), atol=1e-4)


def test_clip_features_see_the_future_and_online_features_do_not():
    joints = random_clips(PENN13, 12, missing=0.0)
    later = joints.copy()
    later[:, 8:, :, :2] += 50
    online, clip = (PoseFeatures(PENN13, mode=mode) for mode in ("online", "clip"))
    np.testing.assert_array_equal(online(joints)[:, :8], online(later)[:, :8])
    assert np.abs(clip(joints)[0, :8] - clip(later)[0, :8]).max() > 0.1


@pytest.mark.parametrize("mode", ["clip", "online"])
@pytest.mark.parametrize(
    "joints",
    [
        np.broadcast_to(np.array([np.nan, np.nan, 0], dtype=np.float32), (1, 5, 13, 3)),
        np.full((1, 5, 13, 3), 7, dtype=np.float32),
        np.broadcast_to(np.array([np.inf, 3, 0.9], dtype=np.float32), (1, 5, 13, 3)),
    ],
    ids=["nobody", "all joints in one place", "infinite places"],
)
def test_degenerate_poses_give_finite_features(mode, joints):
    assert np.isfinite(PoseFeatures(PENN13, mode=mode)(joints)).all()


def test_a_wild_joint_is_bounded():
    joints = random_clips(PENN13, 6, missing=0.0)
    joints[:, 3, 5, :2] = 1e7
    assert np.abs(PoseFeatures(PENN13, mode="online")(joints)).max() <= 20


def test_unknown_mode_and_wrong_shape_are_refused():
    with pytest.raises(DataError) as caught:
        PoseFeatures(PENN13, mode="offline")
    assert all(mode in str(caught.value) for mode in ("'offline'", *MODES))
    with pytest.raises(DataError) as caught:
        PoseFeatures(PENN13, mode="clip")(np.zeros((1, 4, 18, 3)))
    assert all(shape in str(caught.value) for shape in ("(B, T, 13, 3)", str((1, 4, 18, 3))))
