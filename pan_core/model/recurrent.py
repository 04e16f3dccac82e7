"""The gated recurrent unit, equations (6) to (9).

    s = sigmoid(W_s x + U_s h + b_s)             update gate
    r = sigmoid(W_r x + U_r h + b_r)             reset gate
    c = tanh(W_c x + b_c + r * (U_c h + d_c))    candidate
    h' = s * c + (1 - s) * h

The reset gate multiplies U_c h, after the matrix product, as in cuDNN and in ONNX with `linear_before_reset=1`.
`torch.nn.GRU` computes h' = (1 - z) * c + z * h: the same unit with z = 1 - s, which is the gate with the opposite
sign of its weights. So its parameters serve, and whole clips run through its fast kernel.

Shapes: B clips, T frames, C inputs, H hidden units.
"""

import torch
from torch import Tensor, nn


class Recurrent(nn.Module):
    """A GRU that runs over clips at once, or one frame at a time with the same weights.

    Args:
        inputs: Channels of a frame vector.
        hidden: Hidden units, H.
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, vectors: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run over frames.

        Args:
            vectors: Shape (B, T, C).
            hidden: State before the first frame, (B, H).

        Returns:
            States after every frame, (B, T, H), and after the last, (B, H).
        """
        states, last = self.cell(vectors, hidden.unsqueeze(0))
        return states, last.squeeze(0)

    def step(self, vector: Tensor, hidden: Tensor) -> Tensor:
        """Run over one frame: vector (B, C), hidden (B, H) -> (B, H).

        Written as gates, because an engine runs a few matrix products faster than a recurrent operator of length 1.
        """
        weight = self.cell.get_parameter
        from_input = nn.functional.linear(vector, weight("weight_ih_l0"), weight("bias_ih_l0"))
        from_state = nn.functional.linear(hidden, weight("weight_hh_l0"), weight("bias_hh_l0"))
        reset_x, keep_x, candidate_x = from_input.split(self.hidden, dim=-1)
        reset_h, keep_h, candidate_h = from_state.split(self.hidden, dim=-1)
        keep = torch.sigmoid(keep_x + keep_h)
        candidate = torch.tanh(candidate_x + torch.sigmoid(reset_x + reset_h) * candidate_h)
        return candidate + keep * (hidden - candidate)


class Memoryless(nn.Module):
    """What takes the place of the GRU in an ablation: a layer that sees one frame at a time, h = tanh(W x + b).

    Args:
        inputs: Channels of a frame vector.
        hidden: Units, H.
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.layer = nn.Linear(inputs, hidden)

    def forward(self, vectors: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """As `Recurrent.forward`; the state before the first frame is not read."""
        states = torch.tanh(self.layer(vectors))
        return states, states[:, -1]

    def step(self, vector: Tensor, hidden: Tensor) -> Tensor:
        """As `Recurrent.step`; the state is not read."""
        return torch.tanh(self.layer(vector))
