"""The comparators against what was published of them."""

import numpy as np
import pytest
import torch
from memory_poses import MemoryPoses
from refusals import refused

from pan_core.benchmark.methods import comparator
from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PanSettings
from pan_core.skeletons import OPENPOSE18, PENN13
from pan_core.training.samples import build_samples


def parameters(network):
    return sum(weights.numel() for weights in network.parameters())


def test_stgcn_has_its_published_size():
    """3.1 M parameters with 18 joints and the 400 classes of Kinetics (Yan et al., section 4)."""
    network = comparator("stgcn").STGCN(layout=OPENPOSE18, classes=400, actions=1)
    assert parameters(network) == pytest.approx(3.1e6, rel=0.03)


def test_ddnet_has_its_published_size():
    """1,800,469 numbers, 5,632 of which are running means and variances, with 15 joints and 21 classes (jhmdb_1D_heavy.ipynb)."""
    assert parameters(comparator("ddnet").DDNet(joints=15, classes=21, actions=1)) == 1_800_469 - 5_632


def test_ddnet_reads_distances_and_motion_as_the_paper_has_them():
    """Against a slow reading of section 3: all distances over their mean, and differences of frames resized to as many."""
    network = comparator("ddnet").DDNet(joints=4, classes=2, actions=1)
    places = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 8, 4, 2))).float()
    read = {}
    for name in ("distances", "slow", "fast"):
        getattr(network, name).register_forward_pre_hook(lambda _, given, name=name: read.update({name: given[0]}))
    network.eval()(torch.cat([places, torch.zeros(2, 8, 4, 3)], dim=-1))
    for clip in range(2):
        own = [
            [float(torch.dist(places[clip, t, a], places[clip, t, b])) for a in range(4) for b in range(a + 1, 4)]
            for t in range(8)
        ]
        expected = (np.array(own) - np.mean(own)) / np.mean(own)
        np.testing.assert_allclose(read["distances"][clip].T, expected, rtol=1e-4, atol=1e-5)
    steps = np.diff(places.numpy().reshape(2, 8, 8), axis=1)
    # Resizing 7 steps to 8 at the centres of pixels: the first of the new ones lies before the centre of the first step.
    np.testing.assert_allclose(read["slow"][:, :, 0], steps[:, 0], rtol=1e-5)
    share = 1.5 * 7 / 8 - 0.5
    np.testing.assert_allclose(
        read["slow"][:, :, 1], (1 - share) * steps[:, 0] + share * steps[:, 1], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        read["fast"][:, :, 0],
        places.numpy().reshape(2, 8, 8)[:, 2] - places.numpy().reshape(2, 8, 8)[:, 0],
        rtol=1e-5,
        atol=1e-6,
    )
    assert read["fast"].shape == (2, 8, 4)


def test_partitions_of_a_body():
    """Root are the hips (7, 8); shoulder 1 hangs on the hip and carries elbow 3: hip is nearer, elbow farther."""
    same, nearer, farther = comparator("stgcn").partitions(PENN13)
    np.testing.assert_allclose((same + nearer + farther).sum(axis=1), 1, rtol=1e-6)
    assert nearer[1, 7] == pytest.approx(1 / 4)  # itself, head, elbow and hip
    assert farther[1, 3] > 0
    assert same[1, 1] > 0
    assert not (same * nearer).any()


@pytest.mark.parametrize("name", ["gru", "stgcn", "ddnet"])
def test_shapes(name, stage):
    samples = small_samples(stage, "clip")
    network = comparator(name).build(samples, PanSettings(hidden=16, pose_heads=2)).eval()
    features = torch.from_numpy(PoseFeatures(samples.layout, mode="clip")(samples.batch(np.arange(3)).joints))
    output = network(features, state=network.start(3))
    assert output.logits.shape == (3, 12, 2)
    assert output.action_logits.shape == (3, 12, len(samples.actions))
    assert output.joints_attention.shape == (3, 12, 13)


def test_gru_knows_nothing_of_later_frames():
    network = comparator("gru").PlainGRU(joints=13, classes=4, actions=4, hidden=8, dropout=0.0).eval()
    features = torch.randn(2, 10, 13, 5)
    whole, first = network(features).logits, network(features[:, :6])
    torch.testing.assert_close(first.logits, whole[:, :6])
    torch.testing.assert_close(network(features[:, 6:], state=first.state).logits, whole[:, 6:])


@pytest.mark.parametrize(
    "network",
    [
        comparator("stgcn").STGCN(layout=PENN13, classes=2, actions=2),
        comparator("ddnet").DDNet(joints=13, classes=2, actions=2),
    ],
)
def test_networks_without_an_online_mode_take_whole_clips_only(network):
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[1, 6:] = False
    with pytest.raises(ValueError, match="one length"):
        network(torch.randn(2, 8, 13, 4), mask=mask)


def test_the_first_two_features_are_places(stage):
    """What both read: moving and scaling a clip changes nothing, moving one joint changes its own columns."""
    describe = PoseFeatures(PENN13, mode="clip")
    joints = small_samples(stage, "clip").batch(np.array([0])).joints
    moved = joints.copy()
    moved[..., :2] = 3 * moved[..., :2] + 50
    np.testing.assert_allclose(describe(moved)[..., :2], describe(joints)[..., :2], atol=1e-4)
    steps = np.diff(describe(joints)[0, :, :, :2], axis=0)
    pixels = np.diff(joints[0, :, :, :2], axis=0)
    ratio = steps[np.abs(pixels) > 1] / pixels[np.abs(pixels) > 1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_an_unknown_comparator_is_refused():
    with refused("benchmark.comparator"):
        comparator("cnn")


def small_samples(stage, mode):
    clips = stage.catalogue(None, None).clips.iloc[:6]
    poses = MemoryPoses(PENN13, stage.poses(None, clips))
    return build_samples(clips, poses, None, classes=("kick", "wave"), mode=mode, frames=12, rate=10.0)
