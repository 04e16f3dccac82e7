"""People who do nothing in particular: believable bodies before the cameras of the dataset, and never one of its classes."""

import numpy as np
import pytest

from pan_core.datasets.actors import CLASSES
from pan_core.datasets.actors.idle import PASTIMES, fitting_pastimes, idle_clips
from pan_core.skeletons import OPENPOSE18


@pytest.mark.parametrize("pastime", PASTIMES)
def test_clips_of_every_pastime(pastime):
    for clip in idle_clips(6, seed=3, pastimes=(pastime,)):
        people, frames, joints, _ = clip.joints.shape
        assert (people, joints) == (1, OPENPOSE18.size) and 20 <= frames <= 70
        seen = clip.joints[..., 2] > 0
        assert seen.mean() > 0.5, "most of the person is in the picture"
        assert np.isfinite(clip.joints[seen]).all() and np.isnan(clip.joints[~seen][:, :2]).all()
        # No joint moves faster than a hand does, which is 10 body heights in a second.
        places = np.where(seen[..., None], clip.joints[..., :2], np.nan)[0]
        height = np.nanmax(np.ptp(places[..., 1], axis=1))
        assert np.nanmax(np.linalg.norm(np.diff(places, axis=0), axis=-1)) < 10 * height / clip.fps


def test_the_same_seed_gives_the_same_clips():
    one, other, another = (idle_clips(3, seed=seed) for seed in (1, 1, 2))
    for a, b, c in zip(one, other, another, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints)
        assert a.joints.shape != c.joints.shape or not np.array_equal(a.joints, c.joints)


def test_whoever_sits_down_is_no_pastime_but_whoever_sits_is():
    assert fitting_pastimes(CLASSES) == list(PASTIMES)


@pytest.mark.parametrize(
    ("label", "left_out"),
    [
        ("pick", "pick"),
        ("PickUp", "pick"),
        ("Standing", "stand"),
        ("phone call", "phone"),
        ("pour", "reach"),
        ("golf", "sweep"),
    ],
)
def test_a_pastime_that_is_a_class_is_left_out(label, left_out):
    assert left_out not in fitting_pastimes([label, "Falling"])
    assert "talk" in fitting_pastimes([label, "Falling"])
