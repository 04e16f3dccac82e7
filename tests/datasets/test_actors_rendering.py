import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.datasets.actors.appearance import Part
from pan_core.datasets.actors.scenes import clip_scene
from pan_core.datasets.actors.shapes import ProjectedPart, seen_joints
from pan_core.datasets.actors.viewpoint import look_at
from pan_core.skeletons import OPENPOSE18

X, SCORE = 0, 2
JOINT = {name: index for index, name in enumerate(OPENPOSE18.joints)}


def small_scene(label="Throwing", group=4, clip=1):
    return clip_scene(seed=0, label=label, group=group, clip=clip, frames=(12, 15), fps=15.0, width=160, height=120)[0]


def test_same_seed_gives_the_same_pixels_and_truth():
    np.testing.assert_array_equal(small_scene().frames(), small_scene().frames())
    np.testing.assert_array_equal(small_scene().joints(), small_scene().joints())


def test_another_clip_of_a_person_looks_and_moves_differently():
    first, second = small_scene(clip=1), small_scene(clip=2)
    assert first.people[0].height == second.people[0].height
    assert first.people[0].look.skin == second.people[0].look.skin
    assert first.people[0].look.shirt != second.people[0].look.shirt
    assert not np.allclose(first.camera.position[0], second.camera.position[0])


@pytest.mark.parametrize("label", ["Running", "Falling", "WalkAndSit"])
def test_joints_with_a_place_lie_in_the_picture(label):
    for group in range(1, 5):
        joints = small_scene(label, group).joints()
        assert joints.shape[0] == 1
        assert set(np.unique(joints[..., SCORE])) <= {0.0, 0.5, 1.0}
        places = joints[joints[..., SCORE] > 0]
        assert ((places[:, :2] >= 0) & (places[:, :2] <= (159, 119))).all()
        assert np.isnan(joints[joints[..., SCORE] == 0][:, :2]).all()
        assert (joints[..., SCORE] > 0).mean() > 0.8, "the camera keeps the person in the picture"


def test_person_is_drawn_where_the_joints_are():
    """Between two frames of a running person, the picture changes near the joints and hardly elsewhere."""
    frames, joints = render_scene([Performer("Running", start=(-1.0, 0.0))], frames=12)
    change = np.abs(frames[8].astype(float) - frames[4]).mean(-1)
    rows, columns = np.mgrid[: change.shape[0], : change.shape[1]]
    places = np.concatenate([joints[0, 4], joints[0, 8]])
    places = places[places[:, SCORE] > 0]
    distance = np.hypot(columns[..., None] - places[:, 0], rows[..., None] - places[:, 1]).min(-1)
    assert change[distance < 4].mean() > 3 * change[distance > 60].mean()


def test_body_facing_the_camera_shows_its_face_and_its_right_hand_on_the_left():
    _, joints = render_scene([Performer("Clapping", heading=-90)], frames=4)
    assert (joints[0, 0, [JOINT["nose"], JOINT["right_eye"], JOINT["left_eye"]], SCORE] == 1).all()
    assert joints[0, 0, JOINT["right_shoulder"], X] < joints[0, 0, JOINT["left_shoulder"], X]


def test_body_turned_away_hides_its_face():
    _, joints = render_scene([Performer("Clapping", heading=90)], frames=4)
    assert (joints[0, 0, [JOINT["nose"], JOINT["right_eye"], JOINT["left_eye"]], SCORE] == 0.5).all()
    assert joints[0, 0, JOINT["right_shoulder"], X] > joints[0, 0, JOINT["left_shoulder"], X]


def test_side_view_hides_the_far_shoulder():
    _, joints = render_scene([Performer("SittingDown", heading=0)], frames=4)
    assert joints[0, 0, JOINT["right_shoulder"], SCORE] == 1
    assert joints[0, 0, JOINT["left_shoulder"], SCORE] == 0.5


def test_people_who_cross_hide_one_another():
    performers = [Performer("Walking", group=1, start=(-1.3, 0.6)), Performer("Walking", 2, (1.3, -0.6), 180.0)]
    frames, joints = render_scene(performers, frames=40, width=320, height=240)
    assert frames.shape == (40, 240, 320, 3)
    assert joints.shape == (2, 40, 18, 3)
    necks = joints[:, :, JOINT["neck"], X]
    both = np.isfinite(necks).all(axis=0)
    side = np.sign(necks[0] - necks[1])[both]
    assert side[0] == -1
    assert side[-1] == 1
    meeting = np.nanargmin(np.abs(necks[0] - necks[1]))
    assert (joints[0, meeting, :, SCORE] == 1).sum() < (joints[1, meeting, :, SCORE] == 1).sum()


def test_scene_needs_somebody():
    with refused("actors.nobody"):
        render_scene([])


def test_things_hide_what_is_behind_them_only():
    """A board of half a metre stands 3 m before a camera; points lie behind it, before it, and beside it."""
    camera = look_at(np.zeros((1, 3)), np.array([[1.0, 0, 0]]), focal=100.0, width=200, height=200)
    corners = np.array([[[3.0, y, z] for y in (-0.25, 0.25) for z in (-0.25, 0.25)]])
    board = ProjectedPart(Part(places=corners, radii=np.full(4, 0.01), colour=(0, 0, 0)), camera)
    points = np.array([[[4.0, 0, 0], [2.0, 0, 0], [4.0, 1.0, 0]]])
    pixels, depths = camera.project(points)
    np.testing.assert_array_equal(seen_joints([board], pixels[None], depths[None]), [[[False, True, True]]])
