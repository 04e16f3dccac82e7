"""2D poses of HMDB51, found by HRNet in COCO's 17 joints and published by PYSKL: no videos needed."""

from dataclasses import replace
from typing import ClassVar

from pan_core.datasets.base import RemoteFile
from pan_core.datasets.hmdb51 import CLASSES, FACTS, clip_name
from pan_core.datasets.pyskl import PysklDataset
from pan_core.errors import DataError


class Hmdb51Pose(PysklDataset):
    """Adapter of HMDB51's poses; the group is the film that a clip was cut from."""

    name = "hmdb51_pose"
    facts: ClassVar = replace(
        FACTS,
        title="HMDB51, 2D poses by HRNet",
        how="downloaded: 0.2 GB of poses",
        licence="Apache-2.0 (PYSKL); HMDB51: CC BY 4.0",
        reference=f"{FACTS.reference}; Duan et al., CVPR 2022",
    )
    files: ClassVar = (
        RemoteFile(
            "hmdb51_2d.pkl",
            urls=("https://download.openmmlab.com/mmaction/v1.0/skeleton/data/hmdb51_2d.pkl",),
            instead=("hmdb51_hrnet.pkl",),
        ),
    )
    classes = CLASSES
    fps = 30.0

    def group(self, clip_id: str, label: str) -> str:
        """The source film; the class in the name, which stands between film and camera, must be that of the label."""
        said = clip_name(clip_id)
        if said.label != label:
            raise DataError(f"the name says {said.label}, but the label says {label}", code="clip.other-label")
        return said.group
