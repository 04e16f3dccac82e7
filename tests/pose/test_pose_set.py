"""A pose set on disk: what was written is what is read, clip by clip, without holding it all."""

import numpy as np
import pytest
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.pose_set import ClipPoses, PoseSet, write_pose_set
from pan_core.skeletons import PENN13, SkeletonLayout

LAYOUT = SkeletonLayout("two", ("hip", "head"), ((0, 1),), (), (0,), ((1,), (0,)))


def clip(name, people=1, frames=3, *, first=0.0):
    """x counts up from `first`, y is -x, every score is 1."""
    x = first + np.arange(people * frames * 2, dtype=np.float32).reshape(people, frames, 2)
    return ClipPoses(name, np.stack([x, -x, np.ones_like(x)], axis=-1), 30.0, 64, 48, "drawn", "hash")


def test_clips_of_any_number_of_people_and_frames_come_back(tmp_path):
    clips = [clip("a", 2, 3), clip("nobody", 0, 5), clip("b", 1, 1, first=100)]
    write_pose_set(tmp_path / "poses", LAYOUT, iter(clips))
    poses = PoseSet(tmp_path / "poses")
    assert len(poses) == 3
    assert poses.layout == LAYOUT
    for written in clips:
        read = poses.clip(written.clip_id)
        np.testing.assert_array_equal(read.joints, written.joints)
        assert (read.fps, read.width, read.height, read.extractor, read.video_sha256) == (30, 64, 48, "drawn", "hash")


def test_the_joints_are_one_plain_npy_file(tmp_path):
    """NumPy itself reads the file, also when the number of rows has more digits than when it was begun."""
    write_pose_set(tmp_path / "poses", LAYOUT, (clip(str(i), frames=50) for i in range(250)))
    joints = np.load(tmp_path / "poses" / "joints.npy")
    assert joints.shape == (12500, 2, 3)
    assert joints.dtype == np.float32
    np.testing.assert_array_equal(joints.reshape(250, 50, 2, 3)[7], clip("7", frames=50).joints[0])


def test_a_clip_is_a_view_of_the_file(tmp_path):
    write_pose_set(tmp_path / "poses", LAYOUT, [clip("a"), clip("b")])
    poses = PoseSet(tmp_path / "poses")
    assert np.shares_memory(poses.clip("b").joints, poses.joints)
    assert not poses.clip("b").joints.flags.writeable


def test_float16_and_strided_joints_are_stored_as_float32(tmp_path):
    original = clip("a", 2, 4)
    half = ClipPoses("half", original.joints.astype(np.float16), 30.0, 64, 48, "drawn")
    strided = ClipPoses("strided", original.joints[:, ::-1], 30.0, 64, 48, "drawn")
    write_pose_set(tmp_path / "poses", LAYOUT, [half, strided])
    poses = PoseSet(tmp_path / "poses")
    np.testing.assert_array_equal(poses.clip("half").joints, original.joints)
    np.testing.assert_array_equal(poses.clip("strided").joints, original.joints[:, ::-1])


def broken_clips(fault):
    yield clip("a")
    if fault == "shape":
        yield ClipPoses("bad", np.zeros((1, 2, PENN13.size, 3)), 30.0, 64, 48, "drawn")
    if fault == "place":
        bad = clip("bad")
        bad.joints[0, 0, 0, 0] = np.nan
        yield bad
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("shape", DataError, "poses.clip-shape"),
        ("place", DataError, "poses.no-place"),
        ("interrupted", KeyboardInterrupt, ""),
    ],
)
def test_a_failed_write_leaves_what_was_there(tmp_path, fault, error, code):
    write_pose_set(tmp_path / "poses", LAYOUT, [clip("old")])
    with pytest.raises(error) as caught:
        write_pose_set(tmp_path / "poses", LAYOUT, broken_clips(fault))
    assert getattr(caught.value, "code", "") == code
    assert list(PoseSet(tmp_path / "poses").index["clip_id"]) == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["poses"]


def test_missing_joints_need_no_place(tmp_path):
    lost = clip("a")
    lost.joints[0, 1, 0] = [np.nan, np.nan, 0]
    write_pose_set(tmp_path / "poses", LAYOUT, [lost])
    assert np.isnan(PoseSet(tmp_path / "poses").clip("a").joints[0, 1, 0, :2]).all()


def test_faults_of_a_pose_set_are_named(tmp_path):
    with refused("poses.empty"):
        write_pose_set(tmp_path / "poses", LAYOUT, [])
    with refused("poses.missing"):
        PoseSet(tmp_path / "poses")
    write_pose_set(tmp_path / "poses", LAYOUT, [clip("a")])
    with refused("poses.no-clip"):
        PoseSet(tmp_path / "poses").clip("b")
    np.save(tmp_path / "poses" / "joints.npy", np.zeros((2, 2, 3), dtype=np.float32))
    with refused("poses.joints-shape") as caught:
        PoseSet(tmp_path / "poses")
    assert "(3, 2, 3)" in str(caught.value) and "(2, 2, 3)" in str(caught.value)
