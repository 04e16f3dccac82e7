"""What a report shows, as plain data that a stage fills in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pan_core.evaluation.relevance import Explanation
from pan_core.evaluation.split_predictions import SplitPredictions
from pan_core.viewer.plots import History


@dataclass(frozen=True)
class Card:
    """One headline figure.

    Attributes:
        title: What it is.
        value: The figure with its unit.
        detail: Its uncertainty, and what it was measured on.
    """

    title: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class PoseAccuracy:
    """How many joints the extractor finds, by joint.

    Attributes:
        joints: The V joint names.
        pck: Share of joints found, shape (V,), by name of the data that it was measured on; NaN where a joint has
            no true place.
        threshold: Tolerated distance as a share of the person's box.
        overall: Share over all joints of the first data, for the headline; None for the mean of the joints' shares,
            which differs where some joints are visible more often than others.
    """

    joints: Sequence[str]
    pck: Mapping[str, np.ndarray]
    threshold: float
    overall: float | None = None


@dataclass(frozen=True)
class Relabelling:
    """How well clips of composed actions were cut into segments, by the way in which they were cut.

    Attributes:
        frame_accuracy: Share of frames whose found label holds there, in 0..1, by way; the way in use first.
        boundary_errors: Found minus true boundary, one value a boundary, by way.
        clips: Clips that were compared.
        unit: Unit of the errors, "frames" or "s".
    """

    frame_accuracy: Mapping[str, float]
    boundary_errors: Mapping[str, np.ndarray]
    clips: int
    unit: str = "frames"


@dataclass(frozen=True)
class Provenance:
    """How one figure was obtained.

    Attributes:
        figure: Its name in the report.
        kind: "measured" or "cited".
        how: The command that makes it again, or where it was published.
    """

    figure: str
    kind: str
    how: str


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows; a part that is empty or None leaves its section out.

    Attributes:
        title: Heading.
        dataset: Dataset name, a key of `table1.DATASET_TITLES` or the user's own.
        predictions: One for each split and mode; the first split is the one whose pictures are drawn.
        parameters: Trainable weights of the network.
        created: Date and time, as text.
        histories: Training curves by name of the training; see `plots.training_curves`.
        clips: Clips of each class (index) by part (columns).
        quarantine: Table of quarantined clips: clip_id, stage, reason.
        pose_accuracy: Accuracy of the poses that the recognizer was given.
        relabelling: Quality of the segments.
        explanations: What decided the class of some clips.
        settings: Parameters of the run, nested as in params.yaml.
        runs: Identifiers of the tracked runs, by stage.
        provenance: How each figure was obtained.
        cards: Further headline figures, after those that the predictions give.
        notes: Sentences for the head of the report, such as limits that a reader must know.
    """

    title: str
    dataset: str
    predictions: Sequence[SplitPredictions]
    parameters: int
    created: str = ""
    histories: Mapping[str, History] = field(default_factory=dict)
    clips: pd.DataFrame | None = None
    quarantine: pd.DataFrame | None = None
    pose_accuracy: PoseAccuracy | None = None
    relabelling: Relabelling | None = None
    explanations: Sequence[Explanation] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    provenance: Sequence[Provenance] = ()
    cards: Sequence[Card] = ()
    notes: Sequence[str] = ()
