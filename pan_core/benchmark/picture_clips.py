"""Clips as networks that see pictures read them: some frames of a video, cut to a square, and optical flow if a network asks for it.

A video is decoded once for a clip, and only the frames that are seen are kept, small. Shapes: W windows, T frames, C channels, S side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from pan_core.errors import VideoError
from pan_core.video import FrameReader

FLOW_LIMIT = 40.0
"""Optical flow in pixels a frame that becomes 0 and 255, as in Ng et al. (CVPR 2015)."""
FLIPPED_SHARE = 0.5
_NO_PICTURE: np.ndarray = np.empty(0, np.uint8)


@dataclass(frozen=True)
class View:
    """What a network sees of a clip.

    Attributes:
        frames: Frames of a window, T.
        size: Side of the square that is cut out, in pixels.
        short_side: Shorter side of the picture that it is cut out of.
        spread: Frames are spread over the whole clip; else they are neighbours.
        windows: Windows of a test clip, evenly spread; their scores are averaged.
        flow: Whether optical flow to the next frame is seen beside the picture.
    """

    frames: int
    size: int
    short_side: int
    spread: bool
    windows: int = 1
    flow: bool = False

    @property
    def channels(self) -> int:
        """Red, green and blue; with flow also its x, its y and nothing, so that networks of pictures can begin from their own weights."""
        return 6 if self.flow else 3


def choose_frames(length: int, view: View, rng: np.random.Generator | None) -> np.ndarray:
    """Numbers of the frames in each window, (W, T); a clip that is too short holds its last frame.

    Args:
        length: Frames of the clip.
        view: What is seen.
        rng: Of a training clip, which shows one window at a random place; None for a test clip.
    """
    if view.spread:
        shares = (np.arange(view.frames) + (0.5 if rng is None else rng.random(view.frames))) / view.frames
        return np.minimum((shares * length).astype(int), length - 1)[None]
    latest = max(length - view.frames, 0)
    starts = (
        np.unique(np.linspace(0, latest, view.windows).round().astype(int))
        if rng is None
        else rng.integers(0, latest + 1, size=1)
    )
    return np.minimum(starts[:, None] + np.arange(view.frames), length - 1)


def read_windows(path: Path, numbers: np.ndarray, view: View) -> np.ndarray:
    """Pictures of a video's frames, (W, T, H, W, C) uint8, RGB and flow.

    Args:
        path: The video.
        numbers: Frames, (W, T).
        view: What is seen.

    Raises:
        VideoError: If the video cannot be read.
    """
    places = {int(number): None for number in np.unique(numbers)}
    pictures, last = {}, None
    for number, frame in _read_small(path, places, view):
        pictures[number] = last = frame
    if last is None:
        raise VideoError(
            f"{path}: ends before frame {min(places)}; it has changed since its clips were listed", code="video.changed"
        )
    # Videos of a variable rate may end a frame before the list says.
    return np.stack([np.stack([pictures.get(int(n), last) for n in window]) for window in numbers])


def _read_small(path: Path, wanted: dict[int, None], view: View) -> Iterator[tuple[int, np.ndarray]]:
    """Wanted frames in order, each with its number."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST) if view.flow else None
    end = max(wanted) + (2 if view.flow else 1)
    waiting: np.ndarray | None = None
    grey: np.ndarray = _NO_PICTURE
    with FrameReader(path) as reader:
        for number, frame in enumerate(reader.frames()):
            if number >= end:
                break
            if number not in wanted and waiting is None:
                continue
            small = shrink(frame, view.short_side)
            if finder is None:
                yield number, small
                continue
            last_grey, grey = grey, cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            if waiting is not None:
                flow = finder.calc(last_grey, grey, None)  # type: ignore[call-overload]
                yield number - 1, add_flow(waiting, flow)
            waiting = small if number in wanted else None
    if waiting is not None:
        yield max(wanted), add_flow(waiting, np.zeros((*waiting.shape[:2], 2), np.float32))


def shrink(frame: np.ndarray, short_side: int) -> np.ndarray:
    """A BGR picture (H, W, 3) in RGB, its shorter side of this length."""
    height, width = frame.shape[:2]
    scale = short_side / min(height, width)
    size = (max(round(width * scale), short_side), max(round(height * scale), short_side))
    return cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def add_flow(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) with optical flow (H, W, 2) beside it: 128 is no motion, 0 and 255 are `FLOW_LIMIT`; (H, W, 6)."""
    scaled = np.clip(128 + flow * (127 / FLOW_LIMIT), 0, 255).round().astype(np.uint8)
    return np.concatenate([picture, scaled, np.full_like(scaled[..., :1], 128)], axis=-1)


def cut_square(pictures: np.ndarray, view: View, rng: np.random.Generator | None) -> np.ndarray:
    """The square that is seen, (W, T, S, S, C): in training a random one, half of them mirrored, else the one in the middle."""
    room = np.array(pictures.shape[2:4]) - view.size
    top, left = room // 2 if rng is None else rng.integers(0, room + 1)
    cut = pictures[:, :, top : top + view.size, left : left + view.size]
    if rng is None or rng.random() >= FLIPPED_SHARE:
        return cut
    cut = cut[:, :, :, ::-1].copy()
    if view.flow:
        cut[..., 3] = np.minimum(256 - cut[..., 3].astype(int), 255)
    return cut


class PictureClips(torch.utils.data.Dataset):
    """Clips of one part of a split, read from their videos when they are asked for.

    Args:
        clips: Clip table of the part.
        folder: Folder that its paths are relative to.
        classes: Classes, whose order is that of the logits.
        view: What is seen.
        seed: Of windows, squares and mirroring; None for test clips.
    """

    def __init__(
        self, clips: pd.DataFrame, folder: Path, classes: Sequence[str], view: View, *, seed: int | None = None
    ) -> None:
        self.view, self.seed = view, seed
        self.clip_ids = clips["clip_id"].tolist()
        self.labels = np.array([list(classes).index(label) for label in clips["label"]])
        starts = clips["start_frame"] if "start_frame" in clips else [0] * len(clips)
        self._places = [
            (folder / path, int(start), int(length))
            for path, start, length in zip(clips["path"], starts, clips["n_frames"], strict=True)
        ]

    def __len__(self) -> int:
        return len(self.clip_ids)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, torch.Tensor | str]:
        """Number of a clip and its windows, (W, C, T, S, S) uint8, or why its video cannot be read.

        Args:
            key: Epoch, and number of the clip.
        """
        epoch, number = key
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch, number])
        path, start, length = self._places[number]
        try:
            pictures = read_windows(path, start + choose_frames(length, self.view, rng), self.view)
        except VideoError as error:
            return number, str(error)
        cut = cut_square(pictures, self.view, rng)
        return number, torch.from_numpy(np.ascontiguousarray(cut.transpose(0, 4, 1, 2, 3)))


def load_batches(
    clips: PictureClips, batches: Sequence[Sequence[tuple[int, int]]], workers: int
) -> Iterator[list[tuple[int, torch.Tensor | str]]]:
    """Batches of clips in order; videos are decoded in processes of their own if there are several workers.

    Args:
        clips: The clips.
        batches: Keys of each batch.
        workers: Processes.
    """
    several = workers if workers > 1 else 0
    options: dict = {"multiprocessing_context": "spawn", "worker_init_fn": _use_one_thread} if several else {}
    loader = torch.utils.data.DataLoader(
        clips,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=several,
        collate_fn=list,
        generator=torch.Generator(),  # so that the loader takes nothing of the training's own chance
        **options,
    )
    yield from loader


def _use_one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
