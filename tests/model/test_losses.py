"""Losses against torch's own cross-entropy and against numbers by thought."""

import math

import pytest
import torch

from pan_core.model.losses import cross_entropy, joints_loss, pose_loss, smooth, total_loss

MASK = torch.tensor([[True, True, True], [True, False, False]])


def test_cross_entropy_agrees_with_torch():
    torch.manual_seed(0)
    logits, targets = torch.randn(6, 4), torch.softmax(torch.randn(6, 4), -1)
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    assert cross_entropy(logits, targets).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_smoothing_agrees_with_torch():
    logits, label = torch.tensor([[0.3, -1.0, 2.0]]), torch.tensor([2])
    expected = torch.nn.functional.cross_entropy(logits, label, label_smoothing=0.1).item()
    target = smooth(torch.tensor([[0.0, 0, 1]]), 0.1)
    assert cross_entropy(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_pose_loss_rests_on_the_last_frame_of_each_clip():
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 3, 4), torch.tensor([1, 3])
    targets = torch.nn.functional.one_hot(labels, 4).float()
    ends = torch.stack([logits[0, 2], logits[1, 0]])
    expected = torch.nn.functional.cross_entropy(ends, labels).item()
    assert pose_loss(logits, targets, MASK).item() == pytest.approx(expected, abs=1e-6)


def test_pose_loss_spread_over_all_frames():
    torch.manual_seed(2)
    logits, targets = torch.randn(2, 3, 4), torch.eye(4)[[1, 3]]
    one = torch.nn.functional.cross_entropy(logits[0], torch.tensor([1, 1, 1])).item()
    other = torch.nn.functional.cross_entropy(logits[1, :1], torch.tensor([3])).item()
    assert pose_loss(logits, targets, MASK, prefix_share=1.0).item() == pytest.approx((one + other) / 2, abs=1e-6)


def test_joints_loss_counts_frames_with_a_target_only():
    """Equal logits cost log A on each of the two counted frames; padding and the unlabelled frame cost nothing."""
    logits = torch.zeros(2, 3, 5)
    logits[0, 1] = torch.tensor([99.0, 0, 0, 0, 0])
    logits[1, 1:] = 99 * torch.eye(5)[:2]
    targets = torch.zeros(2, 3, 5)
    targets[0, 0, 2] = 1
    targets[1, 0, [0, 4]] = 0.5
    targets[1, 1:, 3] = 1
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert joints_loss(logits, targets, mask).item() == pytest.approx(math.log(5), abs=1e-6)


def test_joints_loss_without_any_target_is_zero():
    assert joints_loss(torch.randn(2, 3, 5), torch.zeros(2, 3, 5), MASK).item() == 0


def test_total_loss_is_equation_16():
    assert total_loss(torch.tensor(2.0), torch.tensor(3.0), lambda_pose=1.5, lambda_joints=0.5).item() == 4.5


def test_pose_loss_takes_a_target_for_each_frame():
    """The same target at every frame is the clip's; another one at the last frame changes what rests on it."""
    logits = torch.randn(2, MASK.shape[1], 3, generator=torch.Generator().manual_seed(4))
    clip = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    frames = clip.unsqueeze(1).repeat(1, MASK.shape[1], 1)
    assert pose_loss(logits, frames, MASK, prefix_share=0.4).item() == pytest.approx(
        pose_loss(logits, clip, MASK, prefix_share=0.4).item(), abs=1e-6
    )
    last = int(MASK[0].sum()) - 1
    frames[0, last] = torch.tensor([0, 1.0, 0])
    expected = (
        -torch.log_softmax(logits[0, last], dim=-1)[1] - torch.log_softmax(logits[1, int(MASK[1].sum()) - 1], dim=-1)[2]
    )
    assert pose_loss(logits, frames, MASK).item() == pytest.approx(float(expected) / 2, abs=1e-6)
