"""JHMDB, 14 of 21 classes: 609 clips with 15 annotated joints, as one pickle of the PYSKL format.

The joints are JHMDB's `pos_world`, which its authors define by x_world = (x / W - 1/2) W / H / s and
y_world = (y / H - 1/2) / s, with the picture's width W and height H and a scale s that differs by clip and is not in
the file. The places in the picture are therefore lost but for one factor; `SCALE` stands for it.
"""

from typing import ClassVar

import numpy as np

from pan_core.datasets.base import Facts, RemoteFile
from pan_core.datasets.pyskl import PysklDataset
from pan_core.skeletons import JHMDB15

CLASSES = (
    "catch", "clap", "golf", "jump", "pick", "pour", "pullup", "push", "run", "sit", "stand", "throw", "walk", "wave",
)  # fmt: skip
SCALE = 0.5


class Jhmdb14(PysklDataset):
    """Adapter of the 14-class subset; names are numbers here, so films are not known and every clip is a group."""

    name = "jhmdb14"
    facts: ClassVar = Facts(
        "JHMDB, 14 of 21 classes",
        classes=14,
        clips=609,
        splits={
            1: {"train": 433, "test": 176},
            2: {"train": 433, "test": 176},
            3: {"train": 434, "test": 175},
        },
        how="put jhmdb14_2d.pkl into the mirror folder: it has no download address",
        licence="MIT (DD-Net); HMDB51: CC BY 4.0",
        reference="Jhuang et al., ICCV 2013; Yang et al., 2019",
    )
    files: ClassVar = (RemoteFile("jhmdb14_2d.pkl"),)
    layout = JHMDB15
    classes = CLASSES
    extractor = "annotated"

    def pixels(self, joints: np.ndarray, width: int, height: int) -> np.ndarray:
        """Back to the picture with s = 1/2, where a unit is half the picture's height.

        At that scale 99.4 % of all joints lie inside 320 x 240 pixels; at s = 1 a fifth would lie outside.
        """
        centre = np.array([width / 2, height / 2], dtype=np.float32)
        joints[..., :2] = joints[..., :2] * np.float32(height * SCALE) + centre
        return joints
