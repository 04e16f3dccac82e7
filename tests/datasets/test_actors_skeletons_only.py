"""Skeletons that are never rendered: errors as a pose network makes them, and clips that repeat."""

import numpy as np
import pytest

from pan_core.datasets.actors import CLASSES, ActorsSettings
from pan_core.datasets.actors.estimated import estimate
from pan_core.datasets.actors.skeletons_only import LEAST_SEEN, draw_skeletons
from pan_core.skeletons import OPENPOSE18

SIZE = {"width": 320, "height": 240}
SHORT = ActorsSettings(min_frames=12, max_frames=18)


def upright(frames=20, x=160.0, top=40.0, torso=60.0):
    """A still person: the neck `torso` pixels above the hips, every other joint on that line or below it; (T, 18, 2)."""
    heights = {"neck": 0.0, "hip": 1.0, "knee": 1.8, "ankle": 2.6, "elbow": 0.5, "wrist": 0.9}
    rows = [next((h for part, h in heights.items() if joint.endswith(part)), -0.3) for joint in OPENPOSE18.joints]
    places = np.stack([np.full(len(rows), x), top + torso * np.array(rows)], axis=-1)
    return np.repeat(places[None], frames, axis=0)


def test_estimates_are_near_the_truth_and_more_so_for_larger_people_in_their_own_measure():
    """Errors grow with the person: in torso lengths they are the same, for the same draw."""
    small = estimate(upright(torso=20.0), **SIZE, rng=np.random.default_rng(3))
    large = estimate(upright(torso=60.0), **SIZE, rng=np.random.default_rng(3))
    neck = OPENPOSE18.index("neck")
    off = [(found[:, neck, :2] - upright(torso=t)[:, neck]) / t for found, t in ((small, 20.0), (large, 60.0))]
    np.testing.assert_allclose(off[0], off[1], atol=1e-5)
    assert 0 < np.abs(off[0]).max() < 1.5


def test_what_is_found_lies_in_the_picture_and_what_is_not_has_no_place():
    for seed in range(10):
        found = estimate(upright(top=130.0), **SIZE, rng=np.random.default_rng(seed))
        seen = found[..., 2] > 0
        assert np.isnan(found[~seen][:, :2]).all()
        assert ((found[seen][:, :2] >= 0) & (found[seen][:, :2] <= (319, 239))).all()
        assert found[..., 2].max() <= 1


def test_legs_below_the_picture_are_mostly_missing_and_the_face_in_it_never():
    """Ankles are 130 + 2.6 * 60 = 286 pixels down a picture of 240, more than 0.15 torsos outside."""
    found = np.stack([estimate(upright(top=130.0), **SIZE, rng=np.random.default_rng(seed)) for seed in range(40)])
    ankles = found[..., [OPENPOSE18.index(f"{side}_ankle") for side in ("right", "left")], 2]
    assert (ankles == 0).mean() > 0.7
    assert (found[..., OPENPOSE18.index("nose"), 2] > 0).all()


@pytest.mark.parametrize("place", [(-4000.0, 40.0), (160.0, 9000.0)])
def test_a_person_far_outside_the_picture_is_no_error(place):
    x, top = place
    found = estimate(upright(x=x, top=top), **SIZE, rng=np.random.default_rng(0))
    assert found.shape == (20, 18, 3)
    assert np.isfinite(found[found[..., 2] > 0]).all()


def test_a_single_frame_and_a_person_of_no_size_are_no_error():
    found = estimate(np.full((1, 18, 2), 50.0), **SIZE, rng=np.random.default_rng(0))
    assert np.isfinite(found).all()


def test_every_class_is_drawn_with_segments_that_end_with_the_clip():
    clips = list(draw_skeletons(SHORT, 2))
    assert [clip.label for clip in clips] == [label for label in CLASSES for _ in range(2)]
    assert len({clip.poses.clip_id for clip in clips}) == len(clips)
    for clip in clips:
        people, frames = clip.poses.joints.shape[:2]
        assert people == 1
        assert 12 <= frames <= 18
        assert max(segment.end_frame for segment in clip.segments) == frames
        assert (clip.poses.joints[..., 2] > 0).sum(axis=2).mean() >= LEAST_SEEN


def test_the_seed_alone_decides():
    first, again, other = (
        [
            clip.poses.joints
            for clip in draw_skeletons(ActorsSettings(seed=seed, min_frames=12, max_frames=18), 2, ["Waving"])
        ]
        for seed in (0, 0, 1)
    )
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0], equal_nan=True)
    assert not np.array_equal(first[0][:, :5], first[1][:, :5], equal_nan=True), "each clip has a person of its own"


def test_more_clips_keep_those_before():
    few, more = ([c.poses.joints for c in draw_skeletons(SHORT, n, ["Kicking"])] for n in (1, 3))
    np.testing.assert_array_equal(few[0], more[0])
