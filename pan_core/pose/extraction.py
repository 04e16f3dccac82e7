"""Extract the 2D skeletons of the people in a video."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pan_core.pose.association import person_scores
from pan_core.pose.declared import model_content, open_estimator
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.person_tracker import PersonTracker
from pan_core.skeletons import OPENPOSE18
from pan_core.video import DECODE_SECONDS, FrameReader, require_all_frames

# Part of the identity: raise it whenever a change of grouping, tracking or decoding changes the poses.
METHOD = 4
# A track seen in fewer frames than this and than a quarter of the clip is taken for a false detection.
MIN_TRACK_FRAMES = 8
MIN_TRACK_SHARE = 0.25


@dataclass(frozen=True)
class ExtractedPoses:
    """Skeletons of one video.

    Attributes:
        joints: (M, T, V, 3) x, y in pixels, score; NaN, NaN, 0 if a joint was not found; M may be 0. People
            are sorted by their summed score.
        fps: Poses a second, after thinning.
        width: Pixels.
        height: Pixels.
        n_frames: Frames of the video, before thinning.
    """

    joints: np.ndarray
    fps: float
    width: int
    height: int
    n_frames: int


class PoseExtractor:
    """Find and follow people in videos with the exported pose network.

    Args:
        model_path: File written by `pan_core.pose.onnx_export.export_network`, or the declaration of another model.
        settings: How to search and follow.
        threads: Processor cores to use.

    Raises:
        DataError: If the model cannot be used.
    """

    layout = OPENPOSE18

    def __init__(self, model_path: Path, *, settings: ExtractionSettings, threads: int = 1) -> None:
        self.settings = settings
        self.identity = extractor_identity(model_path, settings=settings)
        self._estimator = open_estimator(
            model_path,
            stages=settings.stages,
            search_stages=settings.search_stages,
            search_size=settings.search_size,
            glance_size=settings.glance_size,
            crop_size=settings.crop_size,
            narrowest=settings.narrowest_crop,
            min_joint_score=settings.min_joint_score,
            threads=threads,
        )

    def tracker(self) -> PersonTracker:
        """A new tracker; for a camera, feed it frame by frame."""
        return PersonTracker(
            self._estimator,
            max_people=self.settings.max_people,
            min_person_score=self.settings.min_person_score,
            search_every=self.settings.search_every,
            look_every=self.settings.look_every,
            keep_missed=self.settings.keep_missed,
        )

    def extract(
        self, video: Path, *, seconds: float = DECODE_SECONDS, beat: Callable[[], None] = lambda: None
    ) -> ExtractedPoses:
        """Skeletons of a whole video.

        Args:
            video: The video.
            seconds: Time that decoding may take longer than the video lasts.
            beat: Called before the video is opened and after each frame, as a sign of life.

        Raises:
            VideoError: If the video cannot be decoded, or is damaged in its middle.
        """
        beat()
        tracker, seen = self.tracker(), []
        with FrameReader(video, seconds=seconds) as reader:
            step = frame_step(reader.fps, self.settings.max_fps)
            for frame in reader.frames(step=step):
                seen.append(tracker.update(frame))
                beat()
        require_all_frames(video, reader.n_frames)
        tracks = believable_tracks(
            collect_tracks(seen, joints=self.layout.size), min_person_score=self.settings.min_person_score
        )
        return ExtractedPoses(
            joints=tracks[: self.settings.max_people].astype(np.float32),
            fps=reader.fps / step,
            width=reader.size[1],
            height=reader.size[0],
            n_frames=reader.n_frames,
        )


def extractor_identity(model_path: Path, *, settings: ExtractionSettings) -> str:
    """Hash of everything that the poses depend on: model, settings and method."""
    digest = hashlib.sha256(model_content(model_path))
    digest.update(json.dumps([METHOD, asdict(settings)], sort_keys=True).encode())
    return f"{OPENPOSE18.name}-{digest.hexdigest()[:24]}"


def frame_step(fps: float, max_fps: float) -> int:
    """Number N of the rule "use every Nth frame": max(1, round(fps / max_fps))."""
    return max(1, round(fps / max_fps))


def collect_tracks(seen: list[list[tuple[int, np.ndarray]]], *, joints: int) -> np.ndarray:
    """Tracker output of T frames as one array (M, T, V, 3) in the order of first sight; NaN, NaN, 0 where unseen."""
    rows: dict[int, int] = {}
    for people in seen:
        for track_id, _ in people:
            rows.setdefault(track_id, len(rows))
    tracks = np.full((len(rows), len(seen), joints, 3), np.nan)
    tracks[..., 2] = 0.0
    for frame, people in enumerate(seen):
        for track_id, pose in people:
            tracks[rows[track_id], frame] = pose
    return tracks


def believable_tracks(tracks: np.ndarray, *, min_person_score: float) -> np.ndarray:
    """Tracks that are likely people, by summed score, the highest first.

    A track is dropped if it was seen in fewer than 8 frames and in less than a quarter of the clip, or if the
    mean score of the frames in which it was seen is below the bound.

    Args:
        tracks: (M, T, V, 3).
        min_person_score: Bound of the mean person score.
    """
    seen = (tracks[..., 2] > 0).any(axis=2)
    count = seen.sum(axis=1)
    total = person_scores(tracks).sum(axis=1)
    long = count >= min(MIN_TRACK_FRAMES, MIN_TRACK_SHARE * tracks.shape[1])
    sure = total >= min_person_score * count
    kept = np.flatnonzero(long & sure & (count > 0))
    return tracks[kept[np.argsort(-total[kept], kind="stable")]]
