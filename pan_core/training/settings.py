"""Settings of a training, checked where they are made."""

from dataclasses import dataclass, field

from pan_core.errors import ConfigError
from pan_core.training.augmentation import AugmentationSettings


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    Attributes:
        epochs: Passes over the training clips.
        least_steps: Steps at least; where clips are few, there are as many more epochs.
        batch: Clips a step.
        learning_rate: Peak of the one-cycle schedule.
        warm_up: Share of the steps before the peak.
        weight_decay: Of AdamW.
        label_smoothing: Share of every target that is spread over all classes.
        lambda_pose: Weight of L_pose.
        lambda_joints: Weight of L_joints.
        prefix_share: Share of L_pose that is spread over all frames of a clip.
        average: Reach of the weight average, as a share of all steps.
        background: Background clips of a step, as a share of its clips, for a network with `PanSettings.none`.
        chained: Probability that a clip follows another one, for such a network in online mode.
        longest: Frames of a clip in one step at most, before its pace is changed; longer ones are seen in random parts.
        device: "cpu", "cuda" or "auto".
        precision: "full", "mixed" (bfloat16 products) or "auto": mixed on a GPU that can, full elsewhere.
        augmentation: How clips are varied.
    """

    epochs: int = 60
    least_steps: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.2
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    lambda_pose: float = 1.0
    lambda_joints: float = 0.5
    prefix_share: float = 0.3
    average: float = 0.03
    background: float = 0.25
    chained: float = 0.5
    longest: int = 160
    device: str = "auto"
    precision: str = "auto"
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)

    def __post_init__(self) -> None:
        bounds = {
            "epochs": self.epochs >= 1,
            "least_steps": self.least_steps >= 0,
            "batch": self.batch >= 2,
            "learning_rate": self.learning_rate > 0,
            "warm_up": 0 <= self.warm_up < 1,
            "weight_decay": self.weight_decay >= 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "lambda_pose": self.lambda_pose > 0,
            "lambda_joints": self.lambda_joints >= 0,
            "prefix_share": 0 <= self.prefix_share <= 1,
            "average": 0 <= self.average <= 1,
            "background": 0 <= self.background <= 1,
            "chained": 0 <= self.chained <= 1,
            "longest": self.longest >= 1,
            "device": self.device in ("cpu", "cuda", "auto"),
            "precision": self.precision in ("auto", "full", "mixed"),
        }
        faults = [f"{name}: cannot be {getattr(self, name)!r}" for name, holds in bounds.items() if not holds]
        if faults:
            raise ConfigError("training", faults)
