"""Extract the 2D skeletons of the people in a video."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pan_core.pose.declared import model_content, open_estimator
from pan_core.pose.estimation import Estimator
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.person_tracker import PersonTracker
from pan_core.pose.tracks import TrackCollector, VideoPoses
from pan_core.runtimes.session import Opener, open_model
from pan_core.skeletons import OPENPOSE18
from pan_core.video import DECODE_SECONDS, FrameReader, require_all_frames

# Part of the identity: raise it whenever a change of grouping, tracking or decoding changes the poses.
METHOD = 8


class PoseExtractor:
    """Find and follow people in videos with the exported pose network.

    Args:
        model_path: File written by `pan_core.pose.onnx_export.export_network`, or the declaration of another model.
        settings: How to search and follow.
        threads: Processor cores to use.
        opener: Opens the networks where they are to run, which is no part of the extractor's identity.

    Raises:
        DataError: If the model cannot be used.
    """

    layout = OPENPOSE18

    def __init__(
        self, model_path: Path, *, settings: ExtractionSettings, threads: int = 1, opener: Opener = open_model
    ) -> None:
        self.settings = settings
        self.identity = extractor_identity(model_path, settings=settings)
        self._estimator = open_estimator(model_path, threads=threads, opener=opener, **settings.of_estimator())

    @property
    def estimator(self) -> Estimator:
        """What finds people in single pictures."""
        return self._estimator

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
    ) -> VideoPoses:
        """Skeletons of a whole video.

        Args:
            video: The video.
            seconds: Time that decoding may take longer than the video lasts.
            beat: Called before the video is opened and after each frame, as a sign of life.

        Raises:
            VideoError: If the video cannot be decoded, or is damaged in its middle.
        """
        beat()
        tracker, seen = self.tracker(), TrackCollector(joints=self.layout.size)
        with FrameReader(video, seconds=seconds) as reader:
            step = frame_step(reader.fps, self.settings.max_fps)
            for frame in reader.frames(step=step):
                seen.add(tracker.update(frame))
                beat()
        require_all_frames(video, reader.n_frames)
        return VideoPoses(
            seen.tracks(),
            fps=reader.fps / step,
            width=reader.size[1],
            height=reader.size[0],
            n_frames=reader.n_frames,
            min_person_score=self.settings.min_person_score,
            extractor=self.identity,
        )


def extractor_identity(model_path: Path, *, settings: ExtractionSettings) -> str:
    """Hash of everything that the poses depend on: model, settings and method."""
    digest = hashlib.sha256(model_content(model_path))
    digest.update(json.dumps([METHOD, asdict(settings)], sort_keys=True).encode())
    return f"{OPENPOSE18.name}-{digest.hexdigest()[:24]}"


def frame_step(fps: float, max_fps: float) -> int:
    """Number N of the rule "use every Nth frame": max(1, round(fps / max_fps))."""
    return max(1, round(fps / max_fps))
