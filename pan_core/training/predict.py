"""Scores of a network for samples.

Shapes: N clips, T frames of the longest, V joints, K classes, A atomic actions.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PAN, PanOutput, frame_weights
from pan_core.training.samples import Samples

BATCH_FRAMES = 16_384
"""Frames of a batch at most, unless one clip has more."""

PART = 256
"""Frames that run at once. Pose attention compares every pair of them, so a long clip runs in parts, with its memory
handed from one to the next."""


@dataclass(frozen=True)
class Predictions:
    """Scores of clips; per-frame arrays are 0 after the end of a clip.

    Probabilities of a frame sum to at most 1; the rest is the probability that none of the classes or actions holds.

    Attributes:
        clip_ids: Shape (N,).
        lengths: Frames of each clip, (N,).
        probabilities: Class probabilities after the last frame, (N, K).
        frame_probabilities: Class probabilities as known at each frame, (N, T, K).
        action_probabilities: Atomic action of each frame, (N, T, A).
        pose_attention: Weight of each frame after the last one, (N, T).
        joints_attention: Weight of each joint in its frame, (N, T, V).
    """

    clip_ids: np.ndarray
    lengths: np.ndarray
    probabilities: np.ndarray
    frame_probabilities: np.ndarray
    action_probabilities: np.ndarray
    pose_attention: np.ndarray
    joints_attention: np.ndarray


@torch.inference_mode()
def predict(model: PAN, samples: Samples, batch: int = 64) -> Predictions:
    """Score samples.

    Args:
        model: A network whose classes, actions and layout are those of the samples; its mode is left as it was.
        samples: Clips, N >= 1.
        batch: Clips at a time; fewer where clips are long.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    describe = PoseFeatures(samples.layout, mode=samples.mode)
    clips, frames = len(samples), int(samples.lengths.max())
    result = Predictions(
        clip_ids=samples.clip_ids,
        lengths=samples.lengths,
        probabilities=np.zeros((clips, model.classes), dtype=np.float32),
        frame_probabilities=np.zeros((clips, frames, model.classes), dtype=np.float32),
        action_probabilities=np.zeros((clips, frames, model.actions), dtype=np.float32),
        pose_attention=np.zeros((clips, frames), dtype=np.float32),
        joints_attention=np.zeros((clips, frames, model.joints), dtype=np.float32),
    )
    for indices in length_batches(samples.lengths, batch):
        part = samples.batch(indices)
        mask = torch.from_numpy(part.mask).to(device)
        output = run_in_parts(model, torch.from_numpy(describe(part.joints)).to(device), mask)
        clip, frame = np.nonzero(part.mask)
        rows = indices[clip]
        every = torch.softmax(output.logits, dim=-1)[..., : model.classes].cpu().numpy()
        result.probabilities[indices] = every[np.arange(len(indices)), part.lengths - 1]
        result.frame_probabilities[rows, frame] = every[clip, frame]
        actions = torch.softmax(output.action_logits, dim=-1)[..., : model.actions].cpu().numpy()
        result.action_probabilities[rows, frame] = actions[clip, frame]
        # Networks that are compared with PAN never forget.
        weights = frame_weights(output.pose_scores, mask, forgetting=getattr(model, "forgetting", 0.0))
        result.pose_attention[rows, frame] = weights.cpu().numpy()[clip, frame]
        result.joints_attention[rows, frame] = output.joints_attention.cpu().numpy()[clip, frame]
    model.train(was_training)
    return result


def run_in_parts(model: PAN, features: torch.Tensor, mask: torch.Tensor) -> PanOutput:
    """`model(features, mask=mask)` for clips of any length, for evaluation."""
    state, parts = model.start(len(features)), []
    for start in range(0, features.shape[1], PART):
        output = model(features[:, start : start + PART], mask=mask[:, start : start + PART], state=state)
        state = output.state
        parts.append(output[:-1])
    logits, actions, joints, scores = (torch.cat(blocks, dim=1) for blocks in zip(*parts, strict=True))
    return PanOutput(logits, actions, joints, scores, state)


def length_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Indices of clips in batches of similar length, at most `size` clips and `BATCH_FRAMES` frames each."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        stop = min(start + size, len(order))
        while stop - start > 1 and (stop - start) * int(lengths[order[stop - 1]]) > BATCH_FRAMES:
            stop -= 1
        batches.append(order[start:stop])
        start = stop
    return batches
