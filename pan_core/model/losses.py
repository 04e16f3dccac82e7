"""The training loss, equations (16) to (18): L = lambda_pose * L_pose + lambda_joints * L_joints.

L_pose is the cross-entropy of the clip's class, read through pose attention. L_joints is the cross-entropy of the
atomic action of every frame, so joints attention is told on every frame what it is looking at. Several actions may
hold at one frame; then the target is uniform over them.

Shapes: B clips, T frames, K classes, A atomic actions.
"""

import torch
from torch import Tensor


def smooth(targets: Tensor, smoothing: float) -> Tensor:
    """Move a share of every target distribution (..., K) to the uniform one."""
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with target distributions, (..., K) and (..., K) -> (...)."""
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)


def pose_loss(logits: Tensor, targets: Tensor, mask: Tensor, *, prefix_share: float = 0.0) -> Tensor:
    """L_pose, equation (17).

    Args:
        logits: Class logits at every frame, (B, T, K).
        targets: Class distribution of each clip, (B, K), or of each frame, (B, T, K).
        mask: Which frames belong to their clip, bool (B, T).
        prefix_share: Share of the loss that is spread over all frames, so that the class is known early; the rest
            rests on the last frame.

    Returns:
        Mean over clips, a scalar.
    """
    every = cross_entropy(logits, targets if targets.dim() == logits.dim() else targets.unsqueeze(1))
    lengths = mask.sum(dim=1, keepdim=True)
    last = every.gather(1, lengths - 1).squeeze(1)
    spread = (every * mask).sum(dim=1) / lengths.squeeze(1)
    return ((1 - prefix_share) * last + prefix_share * spread).mean()


def joints_loss(action_logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """L_joints, equation (18).

    Args:
        action_logits: Shape (B, T, A).
        targets: Action distribution of each frame, (B, T, A); a frame without any action has zeros and is left out.
        mask: Which frames belong to their clip, bool (B, T).

    Returns:
        Mean over the frames that have a target, a scalar; 0 where none has.
    """
    counted = mask & (targets.sum(dim=-1) > 0)
    every = cross_entropy(action_logits, targets)
    return (every * counted).sum() / counted.sum().clamp(min=1)


def total_loss(pose: Tensor, joints: Tensor, *, lambda_pose: float, lambda_joints: float) -> Tensor:
    """L, equation (16)."""
    return lambda_pose * pose + lambda_joints * joints
