"""Which joints and frames decided the class of a clip: gradient times attention.

Attention alone says where the network looks, whatever it then concludes. What a joint at a frame adds to a class is
the weight that joints attention gives it times the change of the class's logit with that weight, summed over the heads
(the relevance of Chefer, Gur and Wolf, "Generic Attention-model Explainability", ICCV 2021, before its rectification).
The logit is taken against the mean of all classes: what lifts every class alike decides nothing. Later frames and pose
attention enter through the gradient. A value is a first-order estimate, not the outcome of removing the joint.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from pan_core.errors import DataError
from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PAN, frame_weights
from pan_core.model.store import LoadedModel
from pan_core.skeletons import SkeletonLayout
from pan_core.training.samples import Poses, build_samples


@dataclass(frozen=True)
class Explanation:
    """What decided the class of one clip.

    Attributes:
        clip_id: The clip.
        true: Its class.
        predicted: The class that was recognised, and that is explained.
        confidence: Its probability.
        joints: Poses that the network read, (T, V, 3).
        layout: Skeleton layout.
        joints_attention: Weight of each joint in its frame, mean of the heads, (T, V).
        pose_attention: Weight of each frame, mean of the heads, (T,).
        relevance: What each joint at each frame adds to the logit of the predicted class, (T, V); below 0 where it
            speaks for other classes.
    """

    clip_id: str
    true: str
    predicted: str
    confidence: float
    joints: np.ndarray
    layout: SkeletonLayout
    joints_attention: np.ndarray
    pose_attention: np.ndarray
    relevance: np.ndarray


def explain_clip(recognizer: LoadedModel, clips: pd.DataFrame, poses: Poses, clip_id: str) -> Explanation:
    """Explain the class that a recognizer gives to a clip.

    Args:
        recognizer: Of either mode.
        clips: Clip table with the clip.
        poses: Its poses.
        clip_id: The clip.

    Raises:
        DataError: If nobody was found in the clip.
    """
    samples = build_samples(
        clips[clips["clip_id"] == clip_id], poses, None, classes=recognizer.labels, mode=recognizer.mode,
        frames=recognizer.frames, rate=recognizer.rate,
    )  # fmt: skip
    joints = samples.batch(np.array([0])).joints
    features = torch.from_numpy(PoseFeatures(samples.layout, mode=samples.mode)(joints))
    logits, attention, frames, relevance = relevance_of(recognizer.model, features)
    powers = np.exp(logits - logits.max())
    probabilities = (powers / powers.sum())[: len(recognizer.labels)]
    return Explanation(
        clip_id=clip_id,
        true=str(clips.loc[clips["clip_id"] == clip_id, "label"].iloc[0]),
        predicted=recognizer.labels[int(probabilities.argmax())],
        confidence=float(probabilities.max()),
        joints=joints[0],
        layout=samples.layout,
        joints_attention=attention,
        pose_attention=frames,
        relevance=relevance,
    )


def relevance_of(network: PAN, features: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits and attention of one clip, and the relevance of its joints for the most probable class.

    Args:
        network: In evaluation mode.
        features: Shape (1, T, V, D).

    Returns:
        Logits at the end (K,), with none (K + 1,), joints attention (T, V), pose attention (T,), relevance (T, V).

    Raises:
        DataError: If the network has no joints attention, from which relevance is computed.
    """
    if not network.settings.joints_attention:
        raise DataError(
            "this recognizer was made without joints attention (model.joints_attention), so it says nothing about joints",
            code="relevance.no-attention",
        )
    seen: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        seen.append(output[1])

    hook = network.joints_attention.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            output = network(features)
            logits = output.logits[0, -1]
            classes = logits[: network.classes]
            against = classes.max() - classes.mean()
            (gradient,) = torch.autograd.grad(against, seen[0])  # (T, V, N)
    finally:
        hook.remove()
    relevance = (seen[0] * gradient).sum(dim=-1)
    everything = torch.ones(features.shape[:2], dtype=torch.bool)
    frames = frame_weights(output.pose_scores, everything, forgetting=network.forgetting)[0]
    values = (logits, output.joints_attention[0], frames, relevance)
    logits_, attention, shares, found = (value.detach().numpy() for value in values)
    return logits_, attention, shares, found
