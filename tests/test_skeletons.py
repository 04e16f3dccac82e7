"""Layouts are consistent, and joints can be carried from one to another."""

import numpy as np
import pytest

from pan_core.errors import DataError
from pan_core.skeletons import COCO17, JHMDB15, LAYOUTS, OPENPOSE18, PENN13, SkeletonLayout, convert, layout_by_name


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_is_one_tree_with_every_sided_joint_paired(layout):
    assert len(layout.bones) == layout.size - 1
    reached = {int(np.flatnonzero(layout.parents() == np.arange(layout.size))[0])}
    for _ in layout.bones:
        reached |= {child for parent, child in layout.bones if parent in reached}
    assert reached == set(range(layout.size))
    named = {(layout.joints[right], layout.joints[left]) for right, left in layout.pairs}
    assert named == {(f"right_{j[5:]}", j) for j in layout.joints if j.startswith("left_")}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mirroring_twice_changes_nothing(layout):
    order = layout.mirror()
    assert (order[order] == np.arange(layout.size)).all()
    assert (order != np.arange(layout.size)).sum() == 2 * len(layout.pairs)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_survives_plain_data(layout):
    assert SkeletonLayout.from_dict(layout.as_dict()) == layout


def test_penn_action_gives_every_joint_of_jhmdb():
    """The head stands for the face; the belly lies amid shoulders and hips."""
    joints = np.random.default_rng(0).uniform(1, 9, (4, 13, 3)).astype(np.float32)
    joints[2, PENN13.index("left_hip")] = (np.nan, np.nan, 0)
    found = convert(joints, PENN13, JHMDB15)
    np.testing.assert_array_equal(found[:, JHMDB15.index("face")], joints[:, PENN13.index("head")])
    trunk = [PENN13.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip")]
    np.testing.assert_allclose(found[0, JHMDB15.index("belly"), :2], joints[0, trunk, :2].mean(axis=0), rtol=1e-5)
    assert found[2, JHMDB15.index("belly"), 2] == 0


def test_a_layout_with_faults_is_refused():
    with pytest.raises(DataError) as outside:
        SkeletonLayout("bad", ("a", "b"), ((0, 2),), (), (0,), ((0,), (1,)))
    with pytest.raises(DataError) as parents:
        SkeletonLayout("bad", ("a", "b", "c"), ((0, 2), (1, 2)), (), (0,), ((0,), (1,)))
    with pytest.raises(DataError) as unknown:
        layout_by_name("openpose25")
    assert "outside" in str(outside.value)
    assert "parents" in str(parents.value)
    assert "openpose25" in str(unknown.value)


def pose(layout):
    """One person whose joint number j stands at (j, 10 j) with score 1."""
    index = np.arange(layout.size, dtype=np.float32)
    return np.stack([index, 10 * index, np.ones_like(index)], axis=-1)


def test_same_named_joints_keep_their_place():
    got = convert(pose(COCO17), COCO17, OPENPOSE18)
    for name in set(COCO17.joints) & set(OPENPOSE18.joints):
        assert got[OPENPOSE18.index(name), 0] == COCO17.index(name)


def test_neck_is_the_middle_of_the_shoulders_and_head_is_the_nose():
    joints = pose(COCO17)
    neck = convert(joints, COCO17, OPENPOSE18)[OPENPOSE18.index("neck")]
    assert neck[0] == (COCO17.index("left_shoulder") + COCO17.index("right_shoulder")) / 2
    head = convert(pose(OPENPOSE18), OPENPOSE18, PENN13)[PENN13.index("head")]
    assert head[0] == OPENPOSE18.index("nose")


def test_a_derived_joint_is_missing_when_a_source_is():
    joints = pose(OPENPOSE18)
    joints[OPENPOSE18.index("left_hip")] = np.nan, np.nan, 0
    got = convert(joints, OPENPOSE18, JHMDB15)
    assert got[JHMDB15.index("belly"), 2] == 0
    assert np.isnan(got[JHMDB15.index("belly"), :2]).all()
    assert got[JHMDB15.index("neck"), 2] == 1


def test_what_cannot_be_derived_is_said():
    with pytest.raises(DataError) as caught:
        convert(pose(PENN13), PENN13, COCO17)
    assert "'left_eye'" in str(caught.value)


def test_what_cannot_be_derived_is_missing_if_it_may_be():
    source = pose(PENN13)
    got = convert(source, PENN13, COCO17, may_lack=True)
    lacking = [COCO17.index(name) for name in ("left_eye", "right_eye", "left_ear", "right_ear")]
    assert np.isnan(got[lacking, :2]).all() and (got[lacking, 2] == 0).all()
    np.testing.assert_array_equal(got[COCO17.index("nose")], source[PENN13.index("head")])
    assert (np.delete(got, lacking, axis=0)[:, 2] == 1).all()
