"""What a row of the table stands for: a pose network at a quality."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pan_core.errors import DataError
from pan_core.pose.batch_extraction import Failure, extract_clips
from pan_core.pose.extraction import PoseExtractor, extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.tracks import VideoPoses

NOBODY = "pose.no-person"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PosePoint:
    """A network at a quality.

    Attributes:
        network: Name of the network, or the path of a model of the user's own.
        quality: Name of the quality.
        model: File of the network.
        settings: Settings of the extraction.
    """

    network: str
    quality: str
    model: Path
    settings: ExtractionSettings

    @property
    def name(self) -> str:
        """Network and quality."""
        return f"{self.network} {self.quality}"

    @cached_property
    def identity(self) -> str:
        """Identity of the extractor.

        Raises:
            ConfigError: If the model's declaration is none.
            DataError: If a file of the model is missing.
        """
        return extractor_identity(self.model, settings=self.settings)

    def extractor(self, *, people: int | None = None) -> PoseExtractor:
        """The extractor, for the settings' number of people or another one."""
        settings = replace(self.settings, max_people=people) if people else self.settings
        return PoseExtractor(self.model, settings=settings)

    def extract(
        self, videos: Mapping[str, Path], *, cache: Path, workers: int, progress: Progress | None = None
    ) -> Iterator[tuple[str, VideoPoses | None]]:
        """Poses of videos, from the cache if they are there; None if nobody was found.

        Args:
            videos: Name -> video.
            cache: Folder of the extracted poses.
            workers: Processes.
            progress: Called with the videos done and all of them.

        Raises:
            DataError: If a video cannot be read: a figure without it would be one of other data.
        """
        results = extract_clips(
            videos, model_path=self.model, settings=self.settings, cache=cache, workers=workers, progress=progress
        )
        for name, found in zip(videos, results, strict=True):
            if isinstance(found, Failure) and found.code != NOBODY:
                raise DataError(
                    f"{found.reason}; the table counts every video, so replace this one or take out its data",
                    code="benchmark.bad-video",
                )
            yield name, None if isinstance(found, Failure) else found
