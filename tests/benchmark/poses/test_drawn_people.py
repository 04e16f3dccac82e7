"""Drawn scenes, followed by trackers that know the truth up to a point."""

import numpy as np
import pytest
from scripted_points import ListedTracker, ScriptedPoint, skeleton

from pan_core.benchmark.poses import drawn_people
from pan_core.benchmark.poses.drawn_people import (
    FALLING_SCENE,
    FALLS,
    jitter_at_rest,
    measure_crossing,
    measure_falling,
    measure_jitter,
)
from pan_core.datasets.actors import Performer, render_scene
from pan_core.skeletons import OPENPOSE18


def seen_only(joints):
    """True joints as a tracker gives them: hidden ones are missing."""
    there = joints[..., 2:] >= 1
    return np.where(there, joints, (np.nan, np.nan, 0))


def test_second_differences_by_hand():
    """A body of 100 pixels stands; one joint trembles by a pixel, one goes right evenly, one is lost once."""
    truth = np.repeat(skeleton(0, 0)[None], 6, axis=0)
    truth[..., 2] = 1
    truth[:, 5, 0] += 3 * (-1) ** np.arange(6)  # the true joint moves itself
    found = truth.copy()
    found[:, 1, 0] += np.arange(6) % 2
    found[:, 2, 0] += 4 * np.arange(6)
    found[2, 3] = np.nan, np.nan, 0
    rest, jitter = jitter_at_rest(found, truth)
    assert rest.shape == jitter.shape == (4, 18)
    assert rest[:, [0, 1, 2, 3]].all()
    assert not rest[:, 5].any()
    np.testing.assert_allclose(jitter[:, 0], 0)
    np.testing.assert_allclose(jitter[:, 1], 2 / 100)
    np.testing.assert_allclose(jitter[:, 2], 0, atol=1e-12)
    assert np.isnan(jitter[:3, 3]).all()
    assert jitter[3, 3] == 0


@pytest.fixture
def falls():
    """True joints of the four who fall, seen from three sides, (34, 18, 3) each."""
    return [
        render_scene([Performer("Falling", group, heading=heading + turn)], seed=seed, **FALLING_SCENE)[1][0]
        for group, seed, heading in FALLS
        for turn in (0.0, 180.0, 90.0)
    ]


def test_falls_cross_the_picture_in_the_first_two_views_and_go_along_the_line_of_sight_in_the_third(falls):
    """The way from the neck to the ankles, which lie in the picture, is across it or along the line of sight."""
    neck, *ankles = (OPENPOSE18.index(joint) for joint in ("neck", "right_ankle", "left_ankle"))

    def length(joints):
        return abs(joints[-1, neck, 0] - joints[-1, ankles, 0].mean())

    for one, other, along in np.array([length(joints) for joints in falls]).reshape(4, 3):
        assert min(one, other) > 2 * along
        assert min(one, other) > 120, "a standing person has 280 pixels"


def test_who_is_followed_until_the_last_ten_frames_has_none_of_these(falls):
    trackers = iter([
        ListedTracker([[(0, seen_only(pose))] for pose in joints[:24]] + [[]] * 10) for joints in falls
    ])  # fmt: skip
    found = measure_falling(ScriptedPoint(tracker=lambda: next(trackers)))
    shown = np.concatenate([joints[..., 2] >= 1 for joints in falls])
    early = np.concatenate([joints[:24, :, 2] >= 1 for joints in falls])
    assert found["falling_pck"] == pytest.approx(early.sum() / shown.sum())
    assert found["falling_last_pck"] == 0


def test_nobody_found_is_no_error():
    nobody = ScriptedPoint(tracker=lambda: ListedTracker([[]] * 40))
    assert measure_falling(nobody) == {"falling_pck": 0.0, "falling_last_pck": 0.0}
    assert measure_jitter(nobody) == {"jitter": None, "jitter_joints": 0}


def test_tracks_that_change_owners_in_the_middle_are_switches(monkeypatch):
    """In each of the scenes two walkers swap their tracks once, after ten frames: each of them has a switch in each."""
    trackers = []
    for count in (2, 3):
        for seed in (3, 4, 5):
            walkers = [
                Performer(a, seed + 3 * i, start, heading)
                for i, (a, start, heading) in enumerate(drawn_people.CROSSING)
            ]
            walkers += [Performer("Waving" if seed % 2 else "Clapping", seed + 7, (0.0, 1.6), -90.0)] * (count - 2)
            truth = render_scene(walkers, seed=seed, frames=30)[1]
            swapped = {0: 1, 1: 0, 2: 2}
            people = [
                [(one if frame < 10 else swapped[one], seen_only(truth[one, frame])) for one in range(count)]
                for frame in range(30)
            ]
            trackers.append(ListedTracker([[p for p in frame if (p[1][:, 2] > 0).any()] for frame in people]))
    found = measure_crossing(ScriptedPoint(tracker=lambda: trackers.pop(0)))
    assert found["switches"] == 12
    assert found["crossing_covered"] > 0.95
