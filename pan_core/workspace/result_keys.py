"""Keys of the figures in `reports/<stage>.json` that a mode, a method or a network is part of.

The stage that writes a figure and the code that reads it take the key from here.
"""

from dataclasses import dataclass

from pan_core.segments.table import BOUNDARY_METHODS

# Of evaluate: ways to read a clip's class besides the class head, and what their keys end with.
CLASS_READINGS = {"by segments": "by_segments", "without relabelling": "without_relabelling"}


COUNTS_LISTED = "all test clips"
"""Value of `test_accuracy_counts` in evaluate.json, the summary, the MLflow row and the tags of a version: a test clip in which
nobody was found is a mistake. Results without this key left such clips out, and are no figures to compare with."""


@dataclass(frozen=True)
class EvaluationKeys:
    """Keys of evaluate.json for one input mode, "clip" or "online"."""

    mode: str

    @property
    def accuracy(self) -> str:
        """Share of the listed test clips whose class is right, mean over the splits; see `COUNTS_LISTED`."""
        return f"test_accuracy_{self.mode}"

    def accuracy_by(self, reading: str) -> str:
        """The same with another way to read a clip's class, a key of `CLASS_READINGS`."""
        return f"{self.accuracy}_{CLASS_READINGS[reading]}"

    @property
    def accuracy_of_scored(self) -> str:
        """Share of the test clips with people whose class is right, mean over the splits."""
        return f"{self.accuracy}_of_scored"

    @property
    def class_accuracy(self) -> str:
        """Mean of the classes' accuracies."""
        return f"mean_class_accuracy_{self.mode}"

    @property
    def by_split(self) -> str:
        """Accuracy of each split."""
        return f"by_split_{self.mode}"

    @property
    def interval(self) -> str:
        """95 % interval of the accuracy."""
        return f"interval95_{self.mode}"

    @property
    def frame_accuracy(self) -> str:
        """Share of frames whose action is right."""
        return f"frame_accuracy_{self.mode}"


@dataclass(frozen=True)
class BoundaryKeys:
    """Keys of relabel.json for one method to find boundaries, a key of `BOUNDARY_METHODS`."""

    method: str

    @property
    def frame_accuracy(self) -> str:
        """Share of frames in the right segment."""
        return f"frame_accuracy{BOUNDARY_METHODS[self.method]}"

    @property
    def error_s(self) -> str:
        """Mean distance from the true boundary in seconds."""
        return f"boundary_error_s{BOUNDARY_METHODS[self.method]}"

    @property
    def errors_frames(self) -> str:
        """Distance of each boundary from the true one in frames."""
        return f"boundary_errors_frames{BOUNDARY_METHODS[self.method]}"


def exported_key(network: str, figure: str) -> str:
    """Key of export.json: a figure of an input mode's model or of a target's networks."""
    return f"{network}_{figure}"


def latency_key(part: str, figure: str) -> str:
    """Key of latency.json: a figure of "step" or "frame" on this machine."""
    return f"{part}_{figure}"
