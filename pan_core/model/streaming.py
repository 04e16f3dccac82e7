"""The network as functions of plain tensors, the form in which it is exported.

`StepModel` is the online mode: one frame and the memory in, scores and the memory out. `ClipModel` is the clip mode:
all frames in, the scores at the end out. Both trace to operators that ONNX opset 13 and TensorRT 8.2 have.

Shapes: B clips, T frames, V joints, D joint features, H hidden units, N heads, K classes, A atomic actions.
"""

import torch
from torch import Tensor, nn

from pan_core.model.pan import PAN, PanState

STATE_NAMES = PanState._fields

STEP_INPUTS = ("features", *STATE_NAMES)
STEP_OUTPUTS = (
    "logits", "action_logits", "joints_attention", "pose_attention", *(f"next_{name}" for name in STATE_NAMES)
)  # fmt: skip

CLIP_INPUTS = ("features",)
CLIP_OUTPUTS = ("logits", "action_logits", "joints_attention", "pose_attention")


class StepModel(nn.Module):
    """One frame of a stream.

    Inputs, in the order of `STEP_INPUTS`: features (B, V, D), hidden (B, H), maximum (B, N), numerator (B, H),
    denominator (B, N). Outputs, in the order of `STEP_OUTPUTS`: logits (B, K), action_logits (B, A),
    joints_attention (B, V), pose_attention (B,), and the memory after the frame.

    Args:
        network: A trained network; it is put into evaluation mode.
    """

    def __init__(self, network: PAN) -> None:
        super().__init__()
        self.network = network
        self.eval()  # the wrapper too: the exporter puts the network back into the mode of the wrapper

    def forward(
        self, features: Tensor, hidden: Tensor, maximum: Tensor, numerator: Tensor, denominator: Tensor
    ) -> tuple[Tensor, ...]:
        """Run over one frame."""
        result = self.network.step(features, PanState(hidden, maximum, numerator, denominator))
        return *result[:-1], *result.state

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Inputs of the right shapes at the start of a stream, for tracing."""
        network = self.network
        return torch.zeros(batch, network.joints, network.features), *(t.detach() for t in network.start(batch))


class ClipModel(nn.Module):
    """A whole clip.

    Input: features (B, T, V, D). Outputs, in the order of `CLIP_OUTPUTS`: logits (B, K) at the end,
    action_logits (B, T, A), joints_attention (B, T, V), pose_attention (B, T).

    Args:
        network: A trained network; it is put into evaluation mode.
    """

    def __init__(self, network: PAN) -> None:
        super().__init__()
        self.network = network
        self.eval()  # the wrapper too: the exporter puts the network back into the mode of the wrapper

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Run over clips of one length."""
        network = self.network
        batch, frames = features.shape[:2]
        vectors, joint_weights = network.embed_frames(features.flatten(0, 1))
        vectors = vectors.view(batch, frames, network.settings.frame_channels)
        states, last = network.recurrent(vectors, vectors.new_zeros(batch, network.settings.hidden))
        context, pose_weights = network.pose_attention.whole(states)
        logits = network.class_head(torch.cat([context, last], dim=-1))
        action_logits = network.action_head(states)
        return logits, action_logits, joint_weights.view(batch, frames, network.joints), pose_weights.mean(dim=-1)

    def example(self, frames: int, batch: int = 1) -> tuple[Tensor]:
        """Input of the right shape, for tracing."""
        return (torch.zeros(batch, frames, self.network.joints, self.network.features),)
