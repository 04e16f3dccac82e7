"""A plain GRU on joint places: the least that a skeleton recognizer can be.

Shapes: B clips, T frames, V joints, D joint features, H hidden units, K classes, A atomic actions.
"""

from torch import Tensor, nn

from pan_core.model.pan import PanOutput, PanSettings
from pan_core.training.samples import Samples

PLACES = 2
"""The first two features of a joint: its place relative to the clip's reference, in body sizes."""


class PlainGRU(nn.Module):
    """Two GRU layers over the places of all joints, and a linear layer on the last state.

    Args:
        joints: Number of joints, V.
        classes: Number of clip classes, K.
        actions: Number of atomic actions, A; it says nothing of them.
        hidden: Units of each layer, H.
        dropout: Share of units dropped between the layers and before the last one.
    """

    def __init__(self, *, joints: int, classes: int, actions: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.joints, self.classes, self.actions = joints, classes, actions
        self.cell = nn.GRU(joints * PLACES, hidden, num_layers=2, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def start(self, batch: int) -> Tensor:
        """State before the first frame, (2, B, H)."""
        return self.head.weight.new_zeros(self.cell.num_layers, batch, self.cell.hidden_size)

    def forward(self, features: Tensor, *, mask: Tensor | None = None, state: Tensor | None = None) -> PanOutput:
        """Run over clips, (B, T, V, D); the mask is not needed, as no frame knows of later ones."""
        batch, frames, joints, _ = features.shape
        places = features[..., :PLACES].flatten(2)
        states, last = self.cell(places, self.start(batch) if state is None else state)
        return PanOutput(
            logits=self.head(self.dropout(states)),
            action_logits=features.new_zeros(batch, frames, self.actions),
            joints_attention=features.new_full((batch, frames, joints), 1 / joints),
            pose_scores=features.new_zeros(batch, frames, 1),
            state=last,
        )


def build(samples: Samples, settings: PanSettings) -> PlainGRU:
    """A GRU as wide as PAN's."""
    return PlainGRU(
        joints=samples.layout.size,
        classes=len(samples.classes),
        actions=len(samples.actions),
        hidden=settings.hidden,
        dropout=settings.dropout,
    )
