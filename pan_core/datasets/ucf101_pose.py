"""2D poses of UCF101, found by HRNet in COCO's 17 joints and published by PYSKL: 13,320 clips without their videos."""

from dataclasses import replace
from typing import ClassVar

from pan_core.datasets.base import RemoteFile
from pan_core.datasets.pyskl import PysklDataset
from pan_core.datasets.ucf101 import CLASSES, FACTS
from pan_core.datasets.ucf_layout import NAME
from pan_core.errors import DataError


class Ucf101Pose(PysklDataset):
    """Adapter of UCF101's poses; groups as in UCF101 itself."""

    name = "ucf101_pose"
    facts: ClassVar = replace(
        FACTS,
        title="UCF101, 2D poses by HRNet",
        how="downloaded: 1 GB of poses",
        licence="Apache-2.0 (PYSKL); UCF101: research use",
        reference=f"{FACTS.reference}; Duan et al., CVPR 2022",
    )
    files: ClassVar = (
        RemoteFile(
            "ucf101_2d.pkl",
            urls=("https://download.openmmlab.com/mmaction/v1.0/skeleton/data/ucf101_2d.pkl",),
            size=1_070_780_736,
            checksum="sha256:5222399cb86d4e687db8437a20acaeee1bf1d8d4cc7a9036a31da0197529ed7e",
            instead=("ucf101_hrnet.pkl",),
        ),
    )
    classes = CLASSES
    fps = 25.0

    def group(self, clip_id: str, label: str) -> str:
        """Class and gNN of `v_<Class>_gNN_cMM`; the class must be that of the label, but for its capitals."""
        match = NAME.fullmatch(clip_id)
        if match is None:
            raise DataError("Expected a name like v_LongJump_g03_c02", code="clip.name")
        if match["label"].casefold() != label.casefold():
            raise DataError(f"the name says {match['label']}, but the label says {label}", code="clip.other-label")
        return f"{label}_g{match['group']}"
