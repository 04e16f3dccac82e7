"""What tune, train, evaluate and export share: samples of the valid clips, and the settings that train uses."""

import math
from dataclasses import dataclass

import pandas as pd

from pan_core.datasets.actors.idle import fitting_pastimes, idle_clips
from pan_core.errors import DataError
from pan_core.files import read_json
from pan_core.model.pan import PanSettings
from pan_core.params.load import Params
from pan_core.params.schema import ModelParams, TrainParams
from pan_core.pose.pose_set import PoseSet
from pan_core.tables import read_table
from pan_core.training.augmentation import AugmentationSettings
from pan_core.training.background import background_from
from pan_core.training.samples import Samples, build_samples
from pan_core.training.settings import TrainSettings
from pan_core.workspace import paths

IDLE_CLIPS = 300


@dataclass(frozen=True)
class TrainingData:
    """Valid clips with their poses and segments."""

    clips: pd.DataFrame
    segments: pd.DataFrame
    poses: PoseSet

    @property
    def classes(self) -> list[str]:
        """Clip classes, sorted; their order is the order of the logits."""
        return sorted(self.clips["label"].unique())

    @property
    def actions(self) -> list[str]:
        """Atomic actions, sorted."""
        return sorted(self.segments["label"].unique())

    def samples(self, model: ModelParams, *, mode: str, split: int, part: str) -> Samples:
        """Samples of one part of a split."""
        return build_samples(
            self.clips[self.clips[f"split{split}"] == part],
            self.poses,
            self.segments,
            classes=self.classes,
            actions=self.actions,
            mode=mode,
            frames=model.frames,
            rate=model.rate,
        )


def read_training_data() -> TrainingData:
    """The valid clips of the workspace."""
    return TrainingData(
        clips=read_table("clips", paths.VALID / "clips.parquet"),
        segments=read_table("segments", paths.VALID / "segments.parquet"),
        poses=PoseSet(paths.POSES),
    )


def unscored_clips(valid: pd.DataFrame, split: int) -> pd.DataFrame:
    """Listed test clips of a split that are in quarantine, so that no recognizer can answer.

    Args:
        valid: The valid clips.
        split: Number of the split.
    """
    listed = read_table("clips", paths.CLIPS)
    return listed[(listed[f"split{split}"] == "test") & ~listed["clip_id"].isin(valid["clip_id"])]


def tuned(params: Params) -> tuple[ModelParams, TrainParams]:
    """Parameters of network and training, with what the study found in the place of params.yaml's values."""
    return params.varied(read_json(paths.TUNED)["values"])


def background_samples(train: Samples, *, seed: int) -> Samples | None:
    """People who do nothing in particular, for any dataset: drawn skeletons with the faults of the training clips.

    Args:
        train: Training clips; pastimes that are among its classes are left out.
        seed: The same seed gives the same clips.

    Returns:
        None, with a line of print, if every pastime is one of the classes, or the drawn skeletons lack more than half of the joints of
        the training clips.
    """
    pastimes = fitting_pastimes([*train.classes, *train.actions])
    try:
        return background_from(idle_clips(IDLE_CLIPS, seed=seed, pastimes=tuple(pastimes)), train, seed=seed)
    except DataError as error:
        print(f"training without background: {error}")
        return None


def network_settings(model: ModelParams, *, mode: str = "clip", none: bool = False) -> PanSettings:
    """Network as the library takes it.

    Args:
        model: Parameters.
        mode: Pose attention forgets in online mode only: the frames of clip mode have no time of their own.
        none: As in `PanSettings`.
    """
    forgetting = math.log(2) / (model.half_life_s * model.rate) if model.half_life_s and mode == "online" else 0.0
    widths = model.model_dump(exclude={"frames", "rate", "half_life_s"})
    return PanSettings(**widths, forgetting=forgetting, none=none)


def train_settings(train: TrainParams) -> TrainSettings:
    """Training as the library takes it."""
    values = train.model_dump(exclude={"modes", "threads", "augmentation", "events"})
    return TrainSettings(**values, augmentation=AugmentationSettings(**train.augmentation.model_dump()))
