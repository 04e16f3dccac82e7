"""A stream of poses gets the answers that training and evaluation give for the same clip as a whole."""

import numpy as np
import pytest
import torch
from refusals import refused
from scripted_people import small_network

from pan_core.errors import DataError
from pan_core.model.features import PoseFeatures
from pan_core.model.store import LoadedModel
from pan_core.recognition.step_network import frame_share
from pan_core.recognition.stream import StreamRecognizer
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.skeletons import PENN13
from pan_core.training.samples import resample

CLASSES, ACTIONS = ("Walk", "Wave", "Both"), ("Walk", "Wave")


@pytest.fixture(scope="module")
def recognizer() -> LoadedModel:
    """An untrained network whose weights are large enough for its answers to differ from frame to frame."""
    torch.manual_seed(3)
    network = small_network(PENN13, width=4)
    with torch.no_grad():
        for weights in (network.class_head.weight, network.action_head.weight):
            weights.mul_(100)
    return LoadedModel(network, CLASSES, ACTIONS, PENN13, "online", 32, 15.0, {})


def walk(frames: int, *, seed: int = 0) -> np.ndarray:
    """A person drifting to the right with joints that wander, all seen, (frames, 13, 3)."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(50, 200, (13, 2)) + rng.normal(0, 3, (frames, 13, 2)).cumsum(axis=0)
    places[..., 0] += 2 * np.arange(frames)[:, None]
    return np.concatenate([places, rng.uniform(0.3, 1, (frames, 13, 1))], axis=-1).astype(np.float32)


def whole_clip(recognizer: LoadedModel, poses: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Class and action probabilities at the end, by the batch path of training.

    Times are those that a live stream has reached: a pose that is held serves until the next one comes.
    """
    hold, at = fps >= 15, [0.0]
    while (np.floor(len(at) / 15 * fps + 1e-6) if hold else len(at) / 15 * fps - 1e-6) <= len(poses) - 1:
        at.append(len(at) / 15 * fps)
    features = torch.from_numpy(
        PoseFeatures(PENN13, mode="online")(resample(poses, np.array(at), how="hold" if hold else "follow")[None])
    )
    with torch.no_grad():
        output = recognizer.model(features)
    return tuple(torch.softmax(part[0, -1].double(), dim=-1).numpy() for part in (output.logits, output.action_logits))


def with_gaps(poses: np.ndarray, share: float) -> np.ndarray:
    """The poses with a share of their joints missing, each by itself."""
    lost = np.random.default_rng(9).random(poses.shape[:2]) < share
    return np.where(lost[..., None], np.array([np.nan, np.nan, 0], dtype=poses.dtype), poses)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("fps", [15.0, 30.0, 22.0, 14.985, 12.5, 8.0])
def test_stream_agrees_with_the_whole_clip_at_every_frame(recognizer, fps, missing):
    poses = with_gaps(walk(31), missing)
    stream = StreamRecognizer(TorchNetwork(recognizer), pose_fps=fps)
    labels = set()
    for number in range(len(poses)):
        (now,) = stream.update([(0, poses[number])])
        classes, actions = whole_clip(recognizer, poses[: number + 1], fps)
        assert now.clip.label == CLASSES[classes.argmax()]
        assert now.clip.confidence == pytest.approx(classes.max(), abs=1e-4)
        assert now.caption.confidence == pytest.approx(actions[actions >= 0.5 * actions.max()].sum(), abs=1e-4)
        labels.add((now.clip.label, now.caption.label))
    assert len(labels) > 1, "the fixture's network should change its mind, or the comparison says little"


def test_everybody_is_recognised_alone(recognizer):
    one, other = walk(20, seed=1), walk(20, seed=2)
    together = StreamRecognizer(TorchNetwork(recognizer), pose_fps=15)
    alone = StreamRecognizer(TorchNetwork(recognizer), pose_fps=15)
    for number in range(20):
        both = together.update([(7, other[number]), (3, one[number])])
        (single,) = alone.update([(0, one[number])])
        assert [now.person for now in both] == [7, 3]
        assert both[1].caption.label == single.caption.label
        assert both[1].clip.confidence == pytest.approx(single.clip.confidence, abs=1e-5)


def test_a_gap_is_read_as_missing_joints_and_a_long_one_starts_anew(recognizer):
    poses = walk(30)
    gap = poses.copy()
    gap[10:20] = np.nan, np.nan, 0
    stream = StreamRecognizer(TorchNetwork(recognizer), pose_fps=15)
    for number in range(30):
        result = stream.update([] if 10 <= number < 20 else [(0, poses[number])])
    classes, _ = whole_clip(recognizer, gap, 15.0)
    assert result[0].clip.confidence == pytest.approx(classes.max(), abs=1e-4)
    for _ in range(31):
        assert stream.update([]) == []
    (again,) = stream.update([(0, poses[0])])
    (fresh,) = StreamRecognizer(TorchNetwork(recognizer), pose_fps=15).update([(0, poses[0])])
    assert again.clip == fresh.clip


def test_shares_of_frames_make_up_the_pose_attention_of_the_clip(recognizer):
    """Equation (11) by its definition: a softmax over the scores of all frames."""
    features = torch.from_numpy(PoseFeatures(PENN13, mode="online")(walk(12)[None]))
    with torch.no_grad():
        scores = recognizer.model(features).pose_scores[0]
    network = TorchNetwork(recognizer)
    memory, shares = network.start(), []
    for frame in features.numpy()[0]:
        after = network.step(frame[None], memory).memory
        shares.append(frame_share(memory, after))
        memory = after
    later = np.concatenate([np.cumprod(1 - np.array(shares[:0:-1]), axis=0)[::-1], np.ones((1, len(shares[0])))])
    np.testing.assert_allclose(np.array(shares) * later, torch.softmax(scores, dim=0).numpy(), atol=1e-5)


def test_shares_of_frames_make_up_pose_attention_that_forgets():
    """By its definition: the softmax of the scores, each lowered by what it has lost since."""
    network = small_network(PENN13, forgetting=0.2)
    features = torch.from_numpy(PoseFeatures(PENN13, mode="online")(walk(12)[None]))
    with torch.no_grad():
        scores = network(features).pose_scores[0].numpy()
    recognizer = LoadedModel(network, CLASSES, ACTIONS, PENN13, "online", 32, 15.0, {})
    stream, shares = StreamRecognizer(TorchNetwork(recognizer), pose_fps=15), []
    for pose in walk(12):
        (now,) = stream.update([(0, pose)])
        shares.append(now.share)
    for last in range(12):
        weights = np.exp(scores[: last + 1] - 0.2 * np.arange(last, -1, -1)[:, None])
        assert shares[last] == pytest.approx((weights[-1] / weights.sum(axis=0)).mean(), abs=1e-5)


def none_network(bias: float) -> TorchNetwork:
    """A network that says nothing but the bias of "none", which both heads have beside names of bias 0."""
    network = small_network(PENN13, none=True)
    with torch.no_grad():
        for head in (network.class_head, network.action_head):
            head.weight.zero_()
            head.bias.zero_()
            head.bias[-1] = bias
    return TorchNetwork(LoadedModel(network, CLASSES, ACTIONS, PENN13, "online", 32, 15.0, {}))


def test_nothing_is_said_if_none_of_the_actions_is_the_likeliest():
    (now,) = StreamRecognizer(none_network(2.0), pose_fps=15).update([(0, walk(1)[0])])
    none = np.exp(2) / (np.exp(2) + 3)
    assert now.probabilities.shape == (3,) and now.actions.shape == (2,)
    assert now.probabilities.sum() == pytest.approx(1 - none)
    assert now.actions == pytest.approx([1 / (np.exp(2) + 2)] * 2)
    assert (now.clip.label, now.clip.confidence) == ("", pytest.approx(none))
    assert now.caption.label == ""
    (sure,) = StreamRecognizer(none_network(-2.0), pose_fps=15).update([(0, walk(1)[0])])
    assert sure.clip.label == "Walk" and sure.caption.label == "Walk & Wave"


def test_a_recognizer_of_clip_mode_is_refused(recognizer):
    clip = LoadedModel(recognizer.model, CLASSES, ACTIONS, PENN13, "clip", 32, 15.0, {})
    with refused("recognizer.clip-mode", DataError):
        TorchNetwork(clip)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(recognizer, fps):
    with refused("stream.rate", DataError):
        StreamRecognizer(TorchNetwork(recognizer), pose_fps=fps)
