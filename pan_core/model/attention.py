"""Attention over frames, equations (10) to (12), and over joints, equations (13) to (15).

Both score an item by e = v^T tanh(W x + b), turn scores into weights by a softmax, and return the weighted sum. Both
have several heads, each with its own v.

Shapes: B clips, T frames, F frames of any clips, V joints, C channels, H hidden units, N heads.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

NEVER = -1e4
"""Maximum before the first frame: finite, so that differences stay numbers, also in half precision."""

SCORE_BOUND = 30.0
"""Scores of frames are cut to this magnitude: a weight of e^-60 beside another is nothing, and the sums of every
prefix of a clip can be had from one exponential a frame, without any of them running out of the range of float32."""


AGE_BOUND = 20.0
"""Likewise for what is forgotten: frames are taken in together whose ages make no greater difference."""


class Running(NamedTuple):
    """A softmax-weighted mean that goes on: what pose attention remembers of all past frames.

    Attributes:
        maximum: Largest score so far, (B, N).
        numerator: Sum of exp(score - maximum) * value, (B, H).
        denominator: Sum of exp(score - maximum), (B, N).
    """

    maximum: Tensor
    numerator: Tensor
    denominator: Tensor


class JointsAttention(nn.Module):
    """One vector a frame out of the vectors of its joints, equations (13) to (15).

    Args:
        inputs: Channels of a joint.
        units: Rows of W.
        heads: Number of heads.
    """

    def __init__(self, *, inputs: int, units: int, heads: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, units)
        self.score = nn.Linear(units, heads, bias=False)
        self.outputs = heads * inputs

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to joints, (F, V, C) -> frame vectors (F, N * C) and weights (F, V, N) that sum to 1 over V."""
        weights = torch.softmax(self.score(self.project(joints).tanh_()), dim=1)
        return torch.matmul(weights.transpose(1, 2), joints).flatten(1), weights


class JointsMean(nn.Module):
    """What takes the place of joints attention in an ablation: every joint counts the same.

    Args:
        inputs: Channels of a joint.
    """

    def __init__(self, *, inputs: int) -> None:
        super().__init__()
        self.outputs = inputs

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the joints, (F, V, C) -> (F, C), and equal weights (F, V, 1)."""
        return joints.mean(dim=1), torch.full_like(joints[..., :1], 1 / joints.shape[1])


class PoseAttention(nn.Module):
    """A summary of all frames up to now out of their recurrent states, equations (10) to (12).

    Every head weighs the frames for its own slice of the hidden units. The score of a frame depends on that frame
    only, so the softmax over a growing past is kept as a running maximum, numerator and denominator.

    With `forgetting` d the score of a frame loses d with every later frame: the weight of a frame that is n frames old
    is exp(-d n) times what it would be, so it halves every ln(2) / d frames. The paper's form has d = 0.

    Args:
        hidden: Hidden units, H; a multiple of `heads`.
        units: Rows of W.
        heads: Number of heads.
        learned: False for an ablation: every frame has the score 0, so the context is the mean of the frames so far.
        forgetting: What a score loses with every later frame, >= 0; 0 for never.
    """

    def __init__(self, *, hidden: int, units: int, heads: int, learned: bool = True, forgetting: float = 0.0) -> None:
        super().__init__()
        if hidden % heads:
            raise ValueError(f"Expected hidden to be a multiple of heads, but got hidden={hidden} and heads={heads}")
        self.hidden, self.heads, self.learned, self.forgetting = hidden, heads, learned, forgetting
        if learned:
            self.project = nn.Linear(hidden, units)
            self.score = nn.Linear(units, heads, bias=False)

    def scores(self, states: Tensor) -> Tensor:
        """Scores of frames, (..., H) -> (..., N)."""
        if not self.learned:
            return states.new_zeros(1).expand(*states.shape[:-1], self.heads)
        return self.score(self.project(states).tanh_()).clamp(-SCORE_BOUND, SCORE_BOUND)

    def start(self, batch: int, *, like: Tensor) -> Running:
        """Memory before the first frame, on the device and of the type of `like`."""
        return Running(
            maximum=like.new_full((batch, self.heads), NEVER),
            numerator=like.new_zeros(batch, self.hidden),
            denominator=like.new_zeros(batch, self.heads),
        )

    def step(self, state: Tensor, past: Running) -> tuple[Tensor, Running, Tensor]:
        """Take in one frame.

        Args:
            state: Recurrent state, (B, H).
            past: Memory of the frames before.

        Returns:
            Context (B, H), memory after the frame, and the frame's weights among all frames so far (B, N).
        """
        score = self.scores(state)
        before = past.maximum - self.forgetting if self.forgetting else past.maximum
        maximum = torch.maximum(before, score)
        fade, fresh = torch.exp(before - maximum), torch.exp(score - maximum)
        denominator = past.denominator * fade + fresh
        numerator = self._scale(past.numerator, fade) + self._scale(state, fresh)
        return self._scale(numerator, 1 / denominator), Running(maximum, numerator, denominator), fresh / denominator

    def forward(self, states: Tensor, past: Running) -> tuple[Tensor, Running, Tensor]:
        """Take in frames; the same as `step` on each of them.

        Args:
            states: Recurrent states, (B, T, H).
            past: Memory of the frames before the first.

        Returns:
            Context at every frame (B, T, H), memory after the last frame, and the scores (B, T, N).
        """
        if self.forgetting == 0:
            return self._take_in(states, past)
        longest = max(1, int(AGE_BOUND / self.forgetting))
        parts = []
        for part in states.split(longest, dim=1):
            context, past, scores = self._take_in(part, past)
            parts.append((context, scores))
        contexts, every = zip(*parts, strict=True)
        return torch.cat(contexts, dim=1), past, torch.cat(every, dim=1)

    def _take_in(self, states: Tensor, past: Running) -> tuple[Tensor, Running, Tensor]:
        """`forward` over frames whose ages differ by `AGE_BOUND` / `forgetting` at most.

        Each score is raised by what the frames before it have lost by then: in the ratio of numerator and denominator
        this is the same as lowering the older ones, and holds for every prefix at once.
        """
        batch, frames, _ = states.shape
        scores = self.scores(states)
        raised = scores + age_scores(frames, self.forgetting, like=scores)
        maximum = torch.maximum(raised.amax(dim=1), past.maximum).detach()
        weights = torch.exp(raised - maximum.unsqueeze(1))
        values = weights.unsqueeze(-1) * states.view(batch, frames, self.heads, -1)  # (B, T, N, H / N)
        fade = torch.exp(past.maximum - maximum)
        numerator = values.cumsum(dim=1) + self._scale(past.numerator, fade).view(batch, 1, self.heads, -1)
        denominator = weights.cumsum(dim=1) + (past.denominator * fade).unsqueeze(1)
        context = (numerator / denominator.unsqueeze(-1)).reshape(batch, frames, self.hidden)
        lost = frames * self.forgetting
        return context, Running(maximum - lost, numerator[:, -1].flatten(1), denominator[:, -1]), scores

    def whole(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Context after the last frame only, (B, T, H) -> (B, H), with the weights of all frames, (B, T, N)."""
        batch, frames, _ = states.shape
        scores = self.scores(states)
        if self.forgetting:
            scores = scores + age_scores(frames, self.forgetting, like=scores)
        weights = torch.softmax(scores, dim=1)
        values = states.view(batch, frames, self.heads, -1).transpose(1, 2)
        context = torch.matmul(weights.transpose(1, 2).unsqueeze(2), values)  # (B, N, 1, H / N)
        return context.reshape(batch, self.hidden), weights

    def _scale(self, values: Tensor, factors: Tensor) -> Tensor:
        """Multiply every head's slice of (B, H) by its factor (B, N)."""
        return (values.view(-1, self.heads, self.hidden // self.heads) * factors.unsqueeze(-1)).flatten(1)


def age_scores(frames: int, forgetting: float, *, like: Tensor) -> Tensor:
    """What to add to the scores of frames (B, T, N) for pose attention that forgets: (T, 1), 1 to T times `forgetting`."""
    return forgetting * torch.arange(1, frames + 1, device=like.device, dtype=like.dtype).unsqueeze(-1)
