"""What the channels of the pose network's output mean; shared by the network, its export and the grouping.

A picture of H x W gives h = H / 8 times w = W / 8 cells. Each stage gives 19 confidence maps S (the 18 joints of
the layout openpose18 and the background), then 38 part affinity maps L (x and y of 19 limbs).
"""

import numpy as np

from pan_core.errors import DataError

MAX_STAGES = 6
STRIDE = 8
JOINTS = 18
CONFIDENCE_MAPS = 19
AFFINITY_MAPS = 38
MAP_CHANNELS = CONFIDENCE_MAPS + AFFINITY_MAPS

# (from joint, to joint, number of the affinity map that holds x; y is the next one).
_LIMBS = np.array(
    [
        (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2), (9, 10, 4),
        (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),
        (2, 16, 18), (5, 17, 26),
    ]
)  # fmt: skip
LIMB_JOINTS = _LIMBS[:, :2]
LIMB_MAPS = _LIMBS[:, 2]

INPUT_NAME = "images"


def stage_output(stage: int) -> str:
    """Name of a stage's output in the exported file, stages counted from 1."""
    return f"stage{stage}"


def require_stages(stages: int) -> None:
    """Refuse a number of stages that the network does not have.

    Raises:
        DataError: If `stages` is outside 1..6.
    """
    if not 1 <= stages <= MAX_STAGES:
        raise DataError(
            f"Expected the number of pose stages to be in 1..{MAX_STAGES}, but got {stages}", code="pose-network.stages"
        )


def require_size(height: int, width: int) -> None:
    """Refuse picture sizes at which the padding would differ from the trained graph's.

    Raises:
        DataError: If a side is not a positive multiple of 8.
    """
    if min(height, width) < STRIDE or height % STRIDE or width % STRIDE:
        raise DataError(
            f"Expected picture sides to be multiples of {STRIDE}, but got {width}x{height}", code="pictures.size"
        )
