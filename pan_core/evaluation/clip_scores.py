"""Which clips a stored recognizer recognises by their skeletons."""

import pandas as pd

from pan_core.model.store import LoadedModel
from pan_core.pose.pose_set import PoseSet
from pan_core.training.predict import predict
from pan_core.training.samples import build_samples


def hits(recognizer: LoadedModel, clips: pd.DataFrame, poses: PoseSet) -> dict[str, bool]:
    """Whether each clip is recognised, by clip id; a class that the recognizer does not know is a mistake.

    A clip without people is a mistake, too. Joints are brought into the recognizer's layout.
    """
    found = poses.index
    shown = clips["clip_id"].isin(found.loc[(found["people"] > 0) & (found["frames"] > 0), "clip_id"])
    samples = build_samples(
        clips[shown], poses, None, classes=recognizer.labels, actions=recognizer.actions, mode=recognizer.mode,
        frames=recognizer.frames, rate=recognizer.rate,
    )  # fmt: skip
    if samples.layout != recognizer.layout:
        samples = samples.in_layout(recognizer.layout)
    said = predict(recognizer.model, samples)
    right = said.probabilities.argmax(axis=1) == samples.labels
    return dict.fromkeys(clips["clip_id"], False) | dict(zip(said.clip_ids.tolist(), right.tolist(), strict=True))
