import dataclasses

import numpy as np
import pytest

from pan_core.errors import DataError
from pan_core.model.features import PoseFeatures
from pan_core.model.online import OnlineFeatures
from pan_core.skeletons import PENN13


def walk(frames: int, people: int = 3, seed: int = 1) -> np.ndarray:
    """Random walks with missing joints, and a stretch without anybody."""
    rng = np.random.default_rng(seed)
    places = rng.normal(200, 50, (people, 1, 13, 2)) + np.cumsum(rng.normal(0, 3, (people, frames, 13, 2)), axis=1)
    joints = np.concatenate([places, rng.uniform(0.1, 1, (people, frames, 13, 1))], -1).astype(np.float32)
    joints[rng.random((people, frames, 13)) < 0.25] = [np.nan, np.nan, 0]
    joints[:, frames // 2 : frames // 2 + 3] = [np.nan, np.nan, 0]
    joints[0, :2] = [np.nan, np.nan, 0]
    return joints


def test_steps_equal_the_features_of_every_prefix():
    joints, describe, stream = walk(40), PoseFeatures(PENN13, mode="online"), OnlineFeatures(PENN13)
    state = stream.start(len(joints))
    for t in range(joints.shape[1]):
        features, state = stream.step(joints[:, t], state)
        np.testing.assert_allclose(features, describe(joints[:, : t + 1])[:, -1], atol=1e-5)


def test_a_step_leaves_the_state_that_it_was_given():
    stream, joints = OnlineFeatures(PENN13), walk(2)
    _, state = stream.step(joints[:, 0], stream.start(3))
    before = {name: value.copy() for name, value in dataclasses.asdict(state).items()}
    stream.step(joints[:, 1], state)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(state, name), value)


def test_the_state_does_not_grow_and_stays_finite():
    stream, joints = OnlineFeatures(PENN13), walk(50, people=1)
    state = stream.start()
    shapes = [getattr(state, name).shape for name in dataclasses.asdict(state)]
    for t in range(2000):
        features, state = stream.step(joints[:, t % 50], state)
    assert [getattr(state, name).shape for name in dataclasses.asdict(state)] == shapes
    assert np.isfinite(features).all()
    assert state.size[0, 1] <= 60


def test_streams_do_not_touch_each_other_and_can_be_selected():
    stream, joints = OnlineFeatures(PENN13), walk(6)
    state, alone = stream.start(3), stream.start(1)
    for t in range(5):
        _, state = stream.step(joints[:, t], state)
        _, alone = stream.step(joints[2:, t], alone)
    kept = state.select(np.array([2]))
    expected, _ = stream.step(joints[2:, 5], alone)
    np.testing.assert_array_equal(stream.step(joints[2:, 5], kept)[0], expected)


def test_wrong_shape_is_refused():
    stream = OnlineFeatures(PENN13)
    with pytest.raises(DataError) as caught:
        stream.step(np.zeros((2, 13, 3)), stream.start(1))
    assert all(str(shape) in str(caught.value) for shape in ((1, 13, 3), (2, 13, 3)))
