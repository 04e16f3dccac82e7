"""A pose set in memory."""

from collections.abc import Iterable

from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import SkeletonLayout


class MemoryPoses:
    """Poses of some clips, read as those of a `PoseSet`."""

    def __init__(self, layout: SkeletonLayout, clips: Iterable[ClipPoses]) -> None:
        self.layout = layout
        self._clips = {clip.clip_id: clip for clip in clips}

    def clip(self, clip_id: str) -> ClipPoses:
        return self._clips[clip_id]
