"""People in a frame, found anywhere or looked at closely: network and grouping behind two calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pan_core.pose.crops import NetworkInput, Square, cut_square, shrink_frame
from pan_core.pose.grouping import GroupingSettings, cells_to_pixels, group_people
from pan_core.pose.inference import PoseSession, search_model
from pan_core.runtimes.session import Opener, open_model
from pan_core.timing import part


class Estimator(Protocol):
    """Interface that the tracker needs; a test may answer with true joints."""

    @property
    def searches_crops(self) -> bool:
        """Whether a search looks at each person in a crop, too, so that its joints are as good as those of a look."""

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        """People anywhere in a frame, upright after `turn` quarter turns, (N, V, 3) in its pixels.

        A search that need not be close may be cheaper and miss small people.
        """

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        """People in each of some squares, (N, V, 3) in the frame's pixels."""


class PoseEstimator:
    """Estimator that runs the exported network.

    Args:
        model: Exported pose network.
        stages: Stage whose maps are used on crops.
        search_stages: Stage whose maps are used on whole frames.
        search_size: Largest width and height of a whole frame that is searched closely.
        glance_size: Likewise where it need not be close.
        crop_size: Longer side of a crop, a multiple of 8.
        narrowest: Smallest share of it for a crop's shorter side; 1 looks at squares.
        min_joint_score: Lowest confidence of a joint.
        threads: Processor cores.
        opener: Opens the network where it is to run.

    Raises:
        DataError: If the model cannot be used.
    """

    searches_crops = False

    def __init__(
        self,
        model: Path,
        *,
        stages: int,
        search_stages: int,
        search_size: tuple[int, int],
        glance_size: tuple[int, int] | None = None,
        crop_size: int,
        min_joint_score: float,
        narrowest: float = 1.0,
        threads: int = 1,
        opener: Opener = open_model,
    ) -> None:
        self._crops = self._frames = PoseSession(model, stages=stages, threads=threads, opener=opener)
        if search_stages != stages:
            self._frames = PoseSession(search_model(model), stages=search_stages, threads=threads, opener=opener)
        self._search_size = search_size
        self._glance_size = glance_size or search_size
        self._crop_size = crop_size
        self._narrowest = narrowest
        self._grouping = GroupingSettings(min_joint_score=min_joint_score)

    def search(self, frame: np.ndarray, *, turn: int = 0, closely: bool = True) -> np.ndarray:
        """People anywhere in a frame (H, W, 3): (N, V, 3) in its pixels, the most completely seen first.

        Args:
            frame: (H, W, 3) uint8, BGR.
            turn: Quarter turns, counter-clockwise, after which the people are upright.
            closely: Whether to find small people, too.
        """
        with part("search"):
            source = shrink_frame(frame, size=self._search_size if closely else self._glance_size, turn=turn)
            maps = self._frames(source.image[None])[0]
        return self._group_in_frame(maps, source)

    def look(self, frame: np.ndarray, squares: Sequence[Square]) -> list[np.ndarray]:
        """People in each square of a frame: (N, V, 3) in its pixels, the most completely seen first."""
        if not squares:
            return []
        with part("pose"):
            size, narrowest = self._crop_size, self._narrowest
            sources = [cut_square(frame, square, size=size, narrowest=narrowest) for square in squares]
            maps = [self._crops(source.image[None])[0] for source in sources]
        return [self._group_in_frame(each, source) for each, source in zip(maps, sources, strict=True)]

    def _group_in_frame(self, maps: np.ndarray, source: NetworkInput) -> np.ndarray:
        with part("grouping"):
            return source.to_frame(cells_to_pixels(group_people(maps, settings=self._grouping)))
