import numpy as np
import pandas as pd
from memory_poses import MemoryPoses
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import SkeletonLayout
from pan_core.training.samples import build_samples, resample

LAYOUT = SkeletonLayout("two", ("hip", "head"), ((0, 1),), (), (0,), ((1,), (0,)))


def ramp(frames: int, people: int = 1) -> np.ndarray:
    """Joints whose x is the number of the frame."""
    joints = np.ones((people, frames, 2, 3), dtype=np.float32)
    joints[..., 0] = np.arange(frames)[:, None]
    return joints


def table(*rows: tuple[str, str, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["clip_id", "label", "fps", "n_frames"])


def build(joints, *, pose_fps=30.0, fps=30.0, segments=None, **settings):
    frames = joints.shape[1]
    poses = MemoryPoses(LAYOUT, [ClipPoses("c", joints, pose_fps, 64, 48, "drawn")])
    clips = table(("c", "run", fps, int(frames * fps / pose_fps)))
    return build_samples(clips, poses, segments, **{"classes": ("sit", "run"), "mode": "online", **settings})


def segment_table(*rows) -> pd.DataFrame:
    return pd.DataFrame(
        [("c", *row, "run") for row in rows], columns=["clip_id", "start_frame", "end_frame", "label", "parent_label"]
    )


def test_online_sampling_takes_every_second_of_twice_as_many_frames():
    samples = build(ramp(9), rate=15.0)
    assert samples.joints[:, 0, 0].tolist() == [0, 2, 4, 6, 8]
    assert samples.lengths.tolist() == [5]
    assert samples.fps.tolist() == [15]


def test_online_sampling_at_a_fraction_takes_the_last_frame_before_each_time():
    """25 poses a second at 15: times 0, 1/15, 2/15, ... are frames 0, 1.67, 3.33, 5, 6.67, 8.33."""
    samples = build(ramp(9), pose_fps=25.0, rate=15.0)
    assert samples.joints[:, 0, 0].tolist() == [0, 1, 3, 5, 6]


def test_online_sampling_of_slower_poses_draws_lines():
    samples = build(ramp(4), pose_fps=10.0, rate=15.0)
    np.testing.assert_allclose(samples.joints[:, 0, 0], [0, 2 / 3, 4 / 3, 2, 8 / 3], atol=1e-5)


def test_clip_sampling_spans_the_clip_evenly():
    samples = build(ramp(10), mode="clip", frames=4)
    np.testing.assert_allclose(samples.joints[:, 0, 0], [0, 3, 6, 9], atol=1e-5)
    samples = build(ramp(3), mode="clip", frames=5)
    np.testing.assert_allclose(samples.joints[:, 0, 0], [0, 0.5, 1, 1.5, 2], atol=1e-5)


def test_a_clip_of_one_frame_is_a_sample_in_both_modes():
    assert build(ramp(1), mode="clip", frames=4).joints[:, 0, 0].tolist() == [0, 0, 0, 0]
    assert build(ramp(1)).lengths.tolist() == [1]


def test_lines_bridge_a_gap_and_never_seen_joints_stay_missing():
    joints = ramp(5)[0]
    joints[2, 0] = [np.nan, np.nan, 0]
    joints[:, 1] = [np.nan, np.nan, 0]
    result = resample(joints, np.array([1.5, 2.0, 4.0]), how="bridge")
    np.testing.assert_allclose(result[:, 0, 0], [1.5, 2, 4], atol=1e-6)
    np.testing.assert_allclose(result[:, 0, 2], [0.5, 0, 1], atol=1e-6)
    assert np.isnan(result[:, 1, :2]).all()
    assert (result[:, 1, 2] == 0).all()


def test_following_reads_no_pose_beyond_the_two_around_a_time():
    """Joint 0 is lost in pose 2: between 1 and 2 it stays where it was in 1, between 2 and 3 it is where 3 has it."""
    joints = ramp(5)[0]
    joints[2, 0] = [np.nan, np.nan, 0]
    result = resample(joints, np.array([1.5, 2.0, 2.25, 3.5]), how="follow")
    np.testing.assert_allclose(result[[0, 2, 3], 0, 0], [1, 3, 3.5], atol=1e-6)
    np.testing.assert_allclose(result[:, 0, 2], [0.5, 0, 0.25, 1], atol=1e-6)
    np.testing.assert_array_equal(resample(joints[:4], np.array([1.5, 2.0, 2.25]), how="follow"), result[:3])


def test_without_segments_every_frame_has_the_class_of_the_clip():
    samples = build(ramp(9), rate=15.0)
    assert samples.actions == ("sit", "run")
    assert samples.labels.tolist() == [1]
    assert samples.batch(np.array([0])).frame_targets[0].tolist() == [[0, 1]] * 5


def test_segments_are_mapped_by_time_and_overlaps_share_the_target():
    """Video at 30 a second, poses and samples at 15: sample i is video frame 2 i."""
    segments = segment_table((0, 5, "walk"), (4, 8, "wave"))
    samples = build(ramp(6), pose_fps=15.0, segments=segments, actions=("walk", "wave"), rate=15.0)
    targets = samples.batch(np.array([0])).frame_targets[0]
    assert targets.tolist() == [[1, 0], [1, 0], [0.5, 0.5], [0, 1], [0, 0], [0, 0]]


def test_segments_of_other_clips_only_count_as_none():
    segments = segment_table((0, 5, "walk"))
    segments["clip_id"] = "other"
    assert build(ramp(6), segments=segments, actions=("walk",)).actions == ("sit", "run")


def test_batches_are_padded_with_the_last_frame():
    poses = MemoryPoses(LAYOUT, [ClipPoses(name, ramp(n), 15.0, 9, 9, "") for name, n in (("a", 2), ("b", 4))])
    clips = table(("a", "sit", 15.0, 2), ("b", "run", 15.0, 4))
    samples = build_samples(clips, poses, None, classes=("sit", "run"), mode="online", rate=15.0)
    batch = samples.batch(np.array([1, 0]))
    assert batch.joints[..., 0, 0].tolist() == [[0, 1, 2, 3], [0, 1, 1, 1]]
    assert batch.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.labels.tolist() == [1, 0]
    part = samples.batch(np.array([1, 0]), starts=np.array([1, 0]), lengths=np.array([2, 2]))
    assert part.joints[..., 0, 0].tolist() == [[1, 2], [0, 1]]
    chosen = samples.select(np.array([1]))
    assert chosen.joints[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert (chosen.lengths.tolist(), chosen.labels.tolist(), chosen.clip_ids.tolist()) == ([4], [1], ["b"])
    both = samples.select(np.array([1, 0]))
    np.testing.assert_array_equal(both.batch(np.array([0, 1])).joints, batch.joints)


def test_the_main_person_moves_most_or_is_seen_best():
    joints = ramp(6, people=3)
    joints[0, :, :, 0] = 5  # stands still
    joints[2, :, :, 2] = 0.1  # moves, badly seen
    assert main_person(joints) == 1
    still = np.ones((2, 6, 2, 3), dtype=np.float32)
    still[0, :, :, 2] = 0.4
    assert main_person(still) == 1
    assert build(joints).joints[1, 0, 0] > 0


def test_somebody_whose_joints_jump_about_is_not_the_main_person():
    """Half as well seen, and two and a half times as fast: the jumps of joints that were found badly."""
    joints = np.ones((2, 6, 2, 3), dtype=np.float32)
    joints[0, :, :, 0], joints[1, :, :, 0] = 2 * np.arange(6)[:, None], 5 * np.arange(6)[:, None]
    joints[1, :, :, 2] = 0.5
    assert main_person(joints) == 0


def test_faults_are_named():
    with refused("samples.nobody", DataError) as caught:
        build(np.zeros((0, 5, 2, 3), dtype=np.float32))
    assert str(caught.value).startswith("c:")
    with refused("samples.unknown-action", DataError) as caught:
        build(ramp(5), segments=segment_table((0, 5, "swim")), actions=("walk",))
    assert "swim" in str(caught.value)
    assert "(walk)" in str(caught.value)
    with refused("samples.mode", DataError):
        build(ramp(5), mode="both")
    with refused("samples.empty", DataError):
        build_samples(table(), MemoryPoses(LAYOUT, []), None, classes=("sit",), mode="clip")
    assert build(ramp(5), classes=("sit",)).labels.tolist() == [-1]
