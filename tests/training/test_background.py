"""Clips of no class: that a network learns from them when nothing happens, and how they are made and chained."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.actors.idle import idle_clips
from pan_core.errors import DataError
from pan_core.model.pan import PanSettings
from pan_core.skeletons import COCO17, OPENPOSE18, PENN13
from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.background import background_from, chain_clips, roughen, with_background
from pan_core.training.fit import fit
from pan_core.training.predict import predict
from pan_core.training.samples import Batch, build_samples
from pan_core.training.settings import TrainSettings

SMALL = PanSettings(
    graph_channels=(8,), joint_heads=2, frame_channels=16, hidden=16, pose_heads=2, joint_units=8, pose_units=8,
    dropout=0.1,
)  # fmt: skip
PLAIN = AugmentationSettings(rotation=0, stretch=0, shear=0, joint_dropout=0, cut=0, mixup=0)
QUICK = TrainSettings(
    epochs=50, batch=8, learning_rate=8e-3, background=0.5, label_smoothing=0, device="cpu", augmentation=PLAIN
)


def stick_samples(sticks, mode="online"):
    clips, poses = sticks
    return build_samples(clips, poses, None, classes=("wave", "kick"), mode=mode, frames=12, rate=10.0)


def still(samples, seed=0):
    """The same people at rest: every frame is the first of a clip without its raised hand or foot, with fresh noise."""
    rng, joints = np.random.default_rng(seed), samples.joints.copy()
    body = np.array([[0, 0], [0, -1], [0.6, -0.5], [-0.6, -0.5], [0, 1.2]])
    for start, end in zip(samples.offsets[:-1], samples.offsets[1:], strict=True):
        size = np.linalg.norm(joints[start, 1, :2] - joints[start, 0, :2])
        places = joints[start, 0, :2] + size * (body + rng.normal(0, 0.03, (end - start, 5, 2)))
        joints[start:end, :, :2] = places
    return replace(samples, joints=joints.astype(np.float32))


@pytest.mark.parametrize("mode", ["clip", "online"])
def test_a_network_learns_when_nothing_happens(sticks, tmp_path, mode):
    samples = stick_samples(sticks, mode)
    train, test = samples.select(np.arange(16)), samples.select(np.arange(16, 24))
    model = fit(
        train, test, settings=QUICK, model_settings=replace(SMALL, none=True), checkpoint=tmp_path / "c.pt",
        background=still(train),
    ).model  # fmt: skip
    said, rest = predict(model, test), predict(model, still(test, seed=1))
    assert (said.probabilities.argmax(axis=1) == test.labels).all()
    assert said.probabilities.shape == (8, 2), "none is no class"
    none, of_rest = 1 - said.probabilities.sum(axis=1), 1 - rest.probabilities.sum(axis=1)
    assert none.max() < 0.3 < 0.6 < of_rest.min()
    frames = rest.action_probabilities[0, : rest.lengths[0]]
    assert (1 - frames.sum(axis=1))[-3:].min() > frames[-3:].max()


def test_none_and_background_go_together(sticks, tmp_path):
    samples = stick_samples(sticks)
    for none, background in ((True, None), (False, samples)):
        with refused("samples.background", DataError):
            fit(
                samples, None, settings=QUICK, model_settings=replace(SMALL, none=none),
                checkpoint=tmp_path / "c.pt", background=background,
            )  # fmt: skip


def test_background_of_another_mode_is_refused(sticks):
    with refused("samples.mismatch", DataError):
        with_background(stick_samples(sticks), stick_samples(sticks, "clip"))


def test_background_clips_have_the_class_after_the_last_and_no_action(sticks):
    train = stick_samples(sticks)
    joined = with_background(train, train.select(np.array([3])))
    assert len(joined) == 25 and joined.labels[-1] == 2
    assert joined.holds[train.offsets[-1] :].sum() == 0
    np.testing.assert_array_equal(joined.joints[: len(train.joints)], train.joints)


def line_batch() -> Batch:
    """Two clips of two joints, 4 and 6 frames, that walk to the right; the second is ten times as large and elsewhere."""
    joints = np.ones((2, 6, 2, 3), dtype=np.float32)
    steps = np.arange(6, dtype=np.float32)
    joints[0, :, :, 0] = steps[:, None] + [0, 2]
    joints[1, :, :, 0] = 500 + 10 * steps[:, None] + [0, 20]
    joints[1, :, :, 1] = 90
    targets = np.zeros((2, 6, 2), dtype=np.float32)
    targets[0, :, 0] = targets[1, :, 1] = 1
    return Batch(joints, np.array([4, 6]), np.array([0, 1]), targets)


def test_chained_clips_begin_where_the_one_before_ended():
    batch = line_batch()
    rng = np.random.default_rng(0)
    # A permutation of two leaves both in place half of the time.
    chained = next(found for found in (chain_clips(batch, 1.0, rng, none=2) for _ in range(50)) if found.lengths[0] > 4)
    labels = chained.frame_labels
    assert labels is not None
    for number, (own, other, length) in enumerate([(0, 1, 4), (1, 0, 6)]):
        end = chained.lengths[number]
        assert (labels[number, end - length : end] == own).all()
        np.testing.assert_allclose(chained.joints[number, end - length : end], batch.joints[number, :length])
        lead = int((labels[number] == other).sum())
        assert lead == batch.lengths[other], "both are shorter than the shortest lead"
        gap = labels[number, lead : end - length]
        assert 2 <= len(gap) <= 8 and (gap == 2).all()
        assert (chained.frame_targets[number, lead : end - length] == 0).all()
        middle = chained.joints[number, lead - 1, :, :2].mean(axis=0)
        np.testing.assert_allclose(middle, batch.joints[number, 0, :, :2].mean(axis=0), atol=1e-3)
        # Ten times the size is cut to three.
        ratio = 3 if own == 1 else 1 / 3
        width = np.ptp(batch.joints[other, 0, :, 0])
        assert np.ptp(chained.joints[number, 0, :, 0]) == pytest.approx(ratio * width, rel=1e-4)


def test_clips_without_a_person_at_the_seam_are_not_chained():
    batch = line_batch()
    batch.joints[:, 0] = batch.joints[:, 3:] = np.nan, np.nan, 0
    chained = chain_clips(batch, 1.0, np.random.default_rng(1), none=2)
    np.testing.assert_array_equal(chained.lengths, batch.lengths)


def test_drawn_skeletons_take_over_the_faults_of_found_ones(sticks):
    like = stick_samples(sticks)
    like.joints[:, 2] = np.nan, np.nan, 0
    like.joints[:, 3, 2] = 0.123
    clean = still(stick_samples(sticks))
    before = clean.joints.copy()
    rough = roughen(clean, like, np.random.default_rng(0))
    assert np.isnan(rough.joints[:, 2, :2]).all() and (rough.joints[:, 2, 2] == 0).all()
    assert (rough.joints[:, 3, 2] == np.float32(0.123)).all()
    np.testing.assert_array_equal(clean.joints, before)


@pytest.mark.parametrize("layout", [OPENPOSE18, COCO17, PENN13], ids=lambda layout: layout.name)
@pytest.mark.parametrize("mode", ["clip", "online"])
def test_background_fits_any_dataset(sticks, layout, mode):
    like = stick_samples(sticks, mode)
    joints = np.random.default_rng(0).uniform(50, 200, (len(like.joints), layout.size, 3)).astype(np.float32)
    joints[..., 2] = 0.8
    like = replace(like, joints=joints, layout=layout)
    found = background_from(idle_clips(4, seed=1), like, seed=0)
    assert (found.layout, found.mode, len(found)) == (layout, mode, 4)
    assert np.isfinite(found.joints).mean() > 0.7
    if mode == "clip":
        assert set(found.lengths) == {12}


def test_a_layout_that_cannot_be_drawn_and_no_pastime_are_refused(sticks):
    with refused("background.joints", DataError):
        background_from(idle_clips(2, seed=1), stick_samples(sticks), seed=0)
    with refused("background.none", DataError):
        background_from((), stick_samples(sticks), seed=0)
