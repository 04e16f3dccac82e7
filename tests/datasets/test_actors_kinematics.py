import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pan_core.datasets.actors.choreography import CLASSES, choreograph
from pan_core.datasets.actors.kinematics import POINTS, draw_body, pose_body, rotations, two_bones
from pan_core.datasets.actors.motion_style import draw_motion_style, standing
from pan_core.datasets.actors.viewpoint import look_at


def test_rotations_agree_with_scipy():
    vectors = np.random.default_rng(0).normal(0, 1.5, (50, 3))
    vectors[0] = 0
    np.testing.assert_allclose(rotations(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-9)


def test_two_bones_make_the_triangle_3_4_5():
    root, target, pole = np.zeros((1, 3)), np.array([[5.0, 0, 0]]), np.array([[0.3, 0, 7.0]])
    middle, end = two_bones(root, target, pole, 3.0, 4.0)
    np.testing.assert_allclose(middle, [[1.8, 0, 2.4]])
    np.testing.assert_allclose(end, target)


def test_target_out_of_reach_is_approached_along_its_direction():
    middle, end = two_bones(np.zeros((1, 3)), np.array([[0.0, 100, 0]]), np.array([[1.0, 0, 0]]), 3.0, 4.0)
    assert 6.99 < end[0, 1] < 7.0
    assert np.linalg.norm(middle) == pytest.approx(3.0)
    assert np.linalg.norm(end - middle) == pytest.approx(4.0)


def test_standing_body_has_its_measures():
    rng = np.random.default_rng(5)
    body, style = draw_body(rng), draw_motion_style(rng)
    points = pose_body(body, standing(body, style, np.zeros(1)))[0]
    places = dict(zip(POINTS, points, strict=True))
    assert 0.9 * body.height < places["crown"][2] < 1.1 * body.height
    assert min(places["right_heel"][2], places["left_toe"][2]) < 0.04
    assert places["left_hip"][1] > 0 > places["right_hip"][1], "y points to the left of a body that faces x"
    assert places["nose"][0] > places["head"][0], "the nose is in front"


@pytest.mark.parametrize("label", CLASSES)
def test_bones_keep_their_length(label):
    rng = np.random.default_rng(11)
    body, style = draw_body(rng), draw_motion_style(rng)
    motion, _ = choreograph(label, body=body, style=style, frames=30, fps=15.0, rng=rng)
    points = pose_body(body, motion)
    for side in ("right", "left"):
        for begin, end, length in (
            ("shoulder", "elbow", body.upper_arm),
            ("elbow", "wrist", body.forearm),
            ("hip", "knee", body.thigh),
            ("knee", "ankle", body.shank),
        ):
            bone = points[:, POINTS.index(f"{side}_{end}")] - points[:, POINTS.index(f"{side}_{begin}")]
            np.testing.assert_allclose(np.linalg.norm(bone, axis=-1), length, atol=1e-9)
        shoulder = points[:, POINTS.index(f"{side}_shoulder")] - points[:, POINTS.index("neck")]
        np.testing.assert_allclose(np.linalg.norm(shoulder, axis=-1), body.shoulder, atol=1e-9)


def test_pinhole_projection_by_hand():
    """A camera 5 m from the origin at 1 m height looks along x; a metre at that distance is 200 / 5 = 40 pixels."""
    camera = look_at(np.array([[-5.0, 0, 1]]), np.array([[0.0, 0, 1]]), focal=200.0, width=320, height=240)
    points = np.array([[[0.0, 0, 1], [0, 1, 1], [0, 0, 2], [5, -1, 0]]])
    pixels, depths = camera.project(points)
    np.testing.assert_allclose(pixels[0], [[160, 120], [120, 120], [160, 80], [180, 140]])
    np.testing.assert_allclose(depths[0], [5, 5, 5, 10])


def test_homography_of_a_plane_agrees_with_the_projection():
    position, target = np.array([[-4.0, 1, 1.5]]), np.array([[0.0, 0.3, 0.8]])
    camera = look_at(position, target, focal=180.0, width=320, height=240, roll=0.1)
    ground = camera.plane_to_picture(0, np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    mapped = ground @ np.array([0.7, -0.4, 1.0])
    pixels, _ = camera.project(np.array([[[0.7, -0.4, 0.0]]]))
    np.testing.assert_allclose(mapped[:2] / mapped[2], pixels[0, 0])


def test_placed_motion_moves_the_body_as_a_whole():
    rng = np.random.default_rng(2)
    body, style = draw_body(rng), draw_motion_style(rng)
    motion, _ = choreograph("Throwing", body=body, style=style, frames=20, fps=15.0, rng=rng)
    turn = Rotation.from_euler("z", 90, degrees=True)
    turned = turn.apply(pose_body(body, motion).reshape(-1, 3)).reshape(20, -1, 3)
    expected = turned + np.array([3.0, -2.0, 0.0])
    moved = motion.placed(origin=(3.0, -2.0), heading=np.pi / 2)
    np.testing.assert_allclose(pose_body(body, moved), expected, atol=1e-9)
