"""The Pose-Attention Network: joints -> graph -> joints attention -> GRU -> pose attention -> classes.

Shapes: B clips, T frames, F frames of any clips, V joints, D joint features, H hidden units, N heads, K classes,
A atomic actions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pan_core.errors import ConfigError
from pan_core.model.attention import JointsAttention, JointsMean, PoseAttention, Running, age_scores
from pan_core.model.graph import HumanGraphNetwork
from pan_core.model.norm import AffineNorm, ClipDropout
from pan_core.model.recurrent import Memoryless, Recurrent

FASTEST = 100.0
"""Most that a score may lose with a frame: e^-100 is nothing, and far more is no number."""


@dataclass(frozen=True)
class PanSettings:
    """Widths of the network; the defaults stay below half a million parameters with 15 classes.

    Attributes:
        graph_channels: Widths of the graph layers over joints.
        pools: Body parts of the pooled graph.
        pooled_channels: Channels of a body part.
        joint_heads: Heads of joints attention.
        joint_units: Rows of its W.
        frame_channels: Channels of a frame vector, which the GRU reads.
        hidden: Units of the GRU.
        pose_heads: Heads of pose attention; divides `hidden`.
        pose_units: Rows of its W.
        dropout: Share of channels dropped from frame vectors and before the heads, in training.
        pooling: Whether joints are also gathered into body parts, equations (2) to (5).
        joints_attention: Whether joints are weighed, equations (13) to (15); otherwise their mean stands for a frame.
        pose_attention: Whether frames are weighed, equations (10) to (12); otherwise the context is their mean.
        recurrent: Whether frames run through the GRU, equations (6) to (9); otherwise each is seen by itself.
        forgetting: What the score of a frame loses with every later one in pose attention; 0 is the paper's form,
            which never forgets.
        none: Whether both heads have one more logit, the last: none of the classes or actions.
    """

    graph_channels: tuple[int, ...] = (48, 48)
    pools: int = 5
    pooled_channels: int = 16
    joint_heads: int = 8
    joint_units: int = 48
    frame_channels: int = 160
    hidden: int = 192
    pose_heads: int = 8
    pose_units: int = 48
    dropout: float = 0.3
    pooling: bool = False
    joints_attention: bool = True
    pose_attention: bool = True
    recurrent: bool = True
    forgetting: float = 0.0
    none: bool = False

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least 1, but got {getattr(self, name)}"
            for name in ("pools", "pooled_channels", "joint_heads", "joint_units", "frame_channels", "hidden",
                         "pose_heads", "pose_units")
            if getattr(self, name) < 1
        ]  # fmt: skip
        if not self.graph_channels or min(self.graph_channels) < 1:
            faults.append(f"graph_channels: expected one width or more, each >= 1, but got {self.graph_channels}")
        if self.pose_heads > 0 and self.hidden % self.pose_heads:
            faults.append(f"hidden: expected a multiple of pose_heads={self.pose_heads}, but got {self.hidden}")
        if not 0 <= self.dropout < 1:
            faults.append(f"dropout: expected 0 <= dropout < 1, but got {self.dropout}")
        if not 0 <= self.forgetting <= FASTEST:
            faults.append(f"forgetting: expected 0 to {FASTEST:g}, but got {self.forgetting}")
        if faults:
            raise ConfigError("recognizer", faults)


class PanState(NamedTuple):
    """What the network remembers of a stream; plain tensors, of one size however long the stream.

    Attributes:
        hidden: State of the GRU, (B, H).
        maximum: Running maximum of pose attention, (B, N).
        numerator: Running numerator, (B, H).
        denominator: Running denominator, (B, N).
    """

    hidden: Tensor
    maximum: Tensor
    numerator: Tensor
    denominator: Tensor


class PanOutput(NamedTuple):
    """Outputs at every frame t of a clip, each from frames up to t.

    Attributes:
        logits: Class of the clip as known at t, (B, T, K); one more, the last, with `PanSettings.none`.
        action_logits: Atomic action of frame t, (B, T, A); likewise.
        joints_attention: Weight of each joint in its frame, mean of the heads, (B, T, V).
        pose_scores: Scores of the frames before the softmax of pose attention, and before age, (B, T, N).
        state: Memory after the last frame.
    """

    logits: Tensor
    action_logits: Tensor
    joints_attention: Tensor
    pose_scores: Tensor
    state: PanState


class StepOutput(NamedTuple):
    """Outputs of one frame.

    Attributes:
        logits: Class as known now, (B, K); one more, the last, with `PanSettings.none`.
        action_logits: Atomic action of the frame, (B, A); likewise.
        joints_attention: Weight of each joint, mean of the heads, (B, V).
        pose_attention: Weight of this frame among all frames so far, mean of the heads, (B,).
        state: Memory after the frame.
    """

    logits: Tensor
    action_logits: Tensor
    joints_attention: Tensor
    pose_attention: Tensor
    state: PanState


class PAN(nn.Module):
    """The Pose-Attention Network.

    The action head reads the state of the GRU, whose input is what joints attention made of a frame: its loss
    trains joints attention on every frame. The class head reads the context of pose attention beside the state.

    Args:
        adjacency: Bones as 0/1, (V, V).
        features: Features of a joint, D.
        classes: Number of clip classes, K.
        actions: Number of atomic actions, A.
        settings: Widths.
    """

    def __init__(
        self, *, adjacency: np.ndarray, features: int, classes: int, actions: int, settings: PanSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.joints, self.features, self.classes, self.actions = len(adjacency), features, classes, actions
        self.normalise = AffineNorm(self.joints * features)
        self.graph = HumanGraphNetwork(
            adjacency=torch.from_numpy(np.asarray(adjacency)),
            inputs=features,
            channels=settings.graph_channels,
            pools=settings.pools,
            pooled_channels=settings.pooled_channels,
            pooling=settings.pooling,
        )
        inputs = self.graph.outputs
        self.joints_attention = (
            JointsAttention(inputs=inputs, units=settings.joint_units, heads=settings.joint_heads)
            if settings.joints_attention
            else JointsMean(inputs=inputs)
        )
        self.frame = nn.Linear(self.joints_attention.outputs, settings.frame_channels, bias=False)
        self.frame_norm = AffineNorm(settings.frame_channels)
        memory = Recurrent if settings.recurrent else Memoryless
        self.recurrent = memory(inputs=settings.frame_channels, hidden=settings.hidden)
        self.pose_attention = PoseAttention(
            hidden=settings.hidden,
            units=settings.pose_units,
            heads=settings.pose_heads,
            learned=settings.pose_attention,
            forgetting=settings.forgetting,
        )
        self.dropout = ClipDropout(settings.dropout)
        self.class_head = nn.Linear(2 * settings.hidden, classes + settings.none)
        self.action_head = nn.Linear(settings.hidden, actions + settings.none)

    @property
    def forgetting(self) -> float:
        """What the score of a frame loses with every later one; see `PanSettings`."""
        return self.settings.forgetting

    def start(self, batch: int) -> PanState:
        """Memory before the first frame."""
        like = self.class_head.weight
        return PanState(like.new_zeros(batch, self.settings.hidden), *self.pose_attention.start(batch, like=like))

    def embed_frames(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames one by one, (F, V, D) -> frame vectors (F, frame_channels) and joints attention (F, V)."""
        nodes = self.normalise(frames.flatten(1)).view(-1, self.joints, self.features)
        vectors, weights = self.joints_attention(self.graph(nodes))
        return self.frame_norm(self.frame(vectors)).relu_(), weights.mean(dim=-1)

    def forward(self, features: Tensor, *, mask: Tensor | None = None, state: PanState | None = None) -> PanOutput:
        """Run over clips, or over the next frames of a stream.

        Args:
            features: Shape (B, T, V, D).
            mask: Which frames belong to their clip, bool (B, T); the rest is neither computed nor counted in batch
                statistics, and must stand at the end of its clip. None for all.
            state: Memory of the frames before; None at the start of a clip.
        """
        batch, frames = features.shape[:2]
        state = self.start(batch) if state is None else state
        if mask is None or bool(mask.all()):
            flat, weights = self.embed_frames(features.flatten(0, 1))
            vectors, attention = flat.view(batch, frames, -1), weights.view(batch, frames, self.joints)
        else:
            flat, weights = self.embed_frames(features[mask])
            inside = mask.unsqueeze(-1)
            vectors = flat.new_zeros(batch, frames, flat.shape[-1]).masked_scatter(inside, flat)
            attention = weights.new_zeros(batch, frames, self.joints).masked_scatter(inside, weights)
        states, hidden = self.recurrent(self.dropout(vectors), state.hidden)
        context, memory, scores = self.pose_attention(states, Running(*state[1:]))
        logits, action_logits = self.read_out(states, context)
        return PanOutput(logits, action_logits, attention, scores, PanState(hidden, *memory))

    def step(self, features: Tensor, state: PanState) -> StepOutput:
        """Run over one frame, (B, V, D); the same as `forward` on all frames so far, at the cost of one."""
        vectors, weights = self.embed_frames(features)
        hidden = self.recurrent.step(vectors, state.hidden)
        context, memory, share = self.pose_attention.step(hidden, Running(*state[1:]))
        logits, action_logits = self.read_out(hidden, context)
        return StepOutput(logits, action_logits, weights, share.mean(dim=-1), PanState(hidden, *memory))

    def read_out(self, states: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Class and action logits out of GRU states (..., H) and pose attention contexts (..., H)."""
        logits = self.class_head(self.dropout(torch.cat([context, states], dim=-1)))
        return logits, self.action_head(self.dropout(states))


def frame_weights(pose_scores: Tensor, mask: Tensor, *, forgetting: float = 0.0) -> Tensor:
    """Pose attention of whole clips, equation (10): weights of their frames, mean of the heads.

    Args:
        pose_scores: Shape (B, T, N).
        mask: Which frames belong to their clip, bool (B, T).
        forgetting: As in `PanSettings`.

    Returns:
        Shape (B, T); sums to 1 over the frames of a clip, 0 after its end.
    """
    aged = pose_scores + age_scores(pose_scores.shape[1], forgetting, like=pose_scores)
    scores = aged.masked_fill(~mask.unsqueeze(-1), float("-inf"))
    return torch.softmax(scores, dim=1).mean(dim=-1)
