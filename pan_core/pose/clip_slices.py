"""Slice the poses of a video into those of a clip."""

import math

from pan_core.errors import DataError
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.tracks import VideoPoses

# A time that was divided by a frame rate and multiplied again may miss a whole number by rounding.
ROUNDING = 1e-6


def slice_clip(poses: VideoPoses, clip_id: str, *, start_s: float, end_s: float) -> ClipPoses:
    """Cut out the people of a span of the video, those that are believable within it, whoever is there at other times.

    Poses may be thinned: pose t stands at t / fps seconds. A span between two poses gets the one after it, or the
    last, so that every clip has one.

    Args:
        poses: Poses of the whole video.
        clip_id: Name of the clip.
        start_s: Seconds from the video's first frame.
        end_s: Seconds; the end is not part of the span.

    Returns:
        The clip's poses, as of a video that shows nothing else; M is 0 if the span shows no person.

    Raises:
        DataError: If the span is empty or begins after the last pose.
    """
    frames = poses.tracks.frames
    start, end = start_s * poses.fps, end_s * poses.fps
    if not 0 <= start_s < end_s:
        raise DataError(
            f"{clip_id}: expected a span with 0 <= start < end, but got {start_s:g} s to {end_s:g} s",
            code="clip.empty-span",
        )
    if math.floor(start + ROUNDING) >= frames:
        raise DataError(
            f"{clip_id}: begins at {start_s:.2f} s, but the video's poses end after {frames / poses.fps:.2f} s: not all "
            "of it can be decoded; replace the video or shorten the span",
            code="clip.beyond-video",
        )
    first = min(math.ceil(start - ROUNDING), frames - 1)
    last = max(first + 1, min(math.ceil(end - ROUNDING), frames))
    return ClipPoses(
        clip_id,
        poses.people(first, last),
        poses.fps,
        poses.width,
        poses.height,
        poses.extractor,
        video_sha256=poses.video_sha256,
    )
