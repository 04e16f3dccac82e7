"""What a benchmark runs: every variant of the recognizer in every input mode, on every official split, per seed.

A run trains on the whole official training part. No choice is made in it: the averaged weights of the last epoch are
scored, and the recipe was chosen before (docs/decisions.md). So validation clips would measure what nobody asks for, and
are left where published protocols have them: in training.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pan_core.model.features import MODES
from pan_core.model.pan import PanSettings
from pan_core.training.settings import TrainSettings

PARTS_OF_THE_PAPER = ("pooling", "joints_attention", "pose_attention", "joints_loss", "recurrence")
COMPARATORS = ("gru", "stgcn", "ddnet")
PICTURES = ("c3d", "two_stream", "transformation")
"""Comparators that see the pictures of a video instead of skeletons."""
LEAKAGE = "leakage"


@dataclass(frozen=True)
class Recipe:
    """How a network is fed and trained; the settings are one for all datasets.

    Attributes:
        network: Widths of the network.
        training: Optimisation.
        frames: Frames of a clip in clip mode.
        rate: Frames a second in online mode.
        pretrained_on: Dataset whose training part each network learns first, by the same recipe and in the layout of the
            dataset at hand; its heads are then thrown away. Empty for none.
    """

    network: PanSettings
    training: TrainSettings
    frames: int
    rate: float
    pretrained_on: str = ""


@dataclass(frozen=True)
class Variant:
    """What is trained and how it is split.

    Attributes:
        kind: "model" for the recognizer itself, "ablation" for it with a part of the paper switched,
            "comparator" for another network, "control" for the recognizer on a split that ignores groups.
        name: The part that is switched, the other network, or the control.
    """

    kind: str = "model"
    name: str = "pan"

    @property
    def modes(self) -> tuple[str, ...]:
        """Input modes that it can serve: ST-GCN, DD-Net and networks of pictures look at frames to come."""
        return ("clip",) if self.name in ("stgcn", "ddnet", *PICTURES) else MODES


MODEL = Variant()


@dataclass(frozen=True)
class Job:
    """One run: a variant, a mode, a split and a seed."""

    variant: Variant
    mode: str
    split: int
    seed: int

    @property
    def name(self) -> str:
        """Readable and unique within a benchmark."""
        prefix = "" if self.variant == MODEL else f"{self.variant.kind}-"
        return f"{prefix}{self.variant.name}-{self.mode}-split{self.split}-seed{self.seed}"


def plan(variants: Sequence[Variant], *, modes: Sequence[str], splits: Sequence[int], seeds: int) -> list[Job]:
    """The runs of a benchmark, the recognizer's first, so that its figures are known early."""
    return [
        Job(variant, mode, split, seed)
        for variant in variants
        for seed in range(seeds)
        for split in splits
        for mode in modes
        if mode in variant.modes
    ]


def identity(recipe: Any, data_hash: str, code_hash: str) -> str:
    """Hash of what the figures of a run rest on besides the run itself; runs of one identity can be averaged.

    Args:
        recipe: Recipe of the network, a dataclass.
        data_hash: Hash of its data.
        code_hash: Hash of its code.
    """
    return hashlib.sha256(repr((asdict(recipe), data_hash, code_hash)).encode()).hexdigest()[:16]
