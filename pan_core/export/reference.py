"""Reference: real inputs and torch's outputs for them, as files that an exported network is compared with, here and on a device."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pan_core.datasets.actors import Performer, render_scene
from pan_core.errors import VideoError
from pan_core.export.check import recognise_clips
from pan_core.model.features import PoseFeatures
from pan_core.pose.crops import cut_square, square_around
from pan_core.pose.network import PoseNetwork
from pan_core.pose.pose_set import PoseSet
from pan_core.pose.records import is_removed
from pan_core.recognition.step_network import StepNetwork
from pan_core.skeletons import OPENPOSE18
from pan_core.training.samples import Samples
from pan_core.video import read_frames

CROPS_OF_A_CLIP = 4
HEADINGS = (-90.0, -45.0, -135.0)
"""Directions of drawn people: towards the camera, and half to each side."""
SHORTEST = 4
"""Length of the shortest stream; the others have the lengths of the dataset's clips, and one is long."""


def write_steps(path: Path, network: StepNetwork, samples: Samples, *, inputs: int) -> None:
    """Write streams of features with the network's outputs at every frame and its memory after it.

    Args:
        path: The `.npz` to write.
        network: The trained recognizer.
        samples: Clips in online mode.
        inputs: Least number of frames.
    """
    streams = _choose_streams(samples, inputs)
    rows: dict[str, list[np.ndarray]] = {}
    for stream in streams:
        memory = network.start()
        for frame in stream:
            output = network.step(frame[None], memory)
            memory = output.memory
            for name, value in output.by_name().items():
                rows.setdefault(name, []).append(value)
    arrays = {name: np.stack(values) for name, values in rows.items()}
    arrays |= {"features": np.concatenate(streams), "lengths": np.array([len(stream) for stream in streams])}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _choose_streams(samples: Samples, inputs: int) -> list[np.ndarray]:
    """Features of streams, (T, V, D) each.

    Whole clips make up half of the inputs. A very short stream follows, and a long one of several clips without a pause, in which
    the memory gets old.
    """
    describe = PoseFeatures(samples.layout, mode="online")
    clips: list[np.ndarray] = []
    for index in range(len(samples)):
        if sum(map(len, clips)) >= inputs / 2:
            break
        clips.append(describe(samples.batch(np.array([index])).joints)[0])
    missing = max(1, inputs - sum(map(len, clips)) - SHORTEST)
    long = np.resize(np.concatenate(clips), (missing, *clips[0].shape[1:]))
    return [*clips, clips[0][:SHORTEST], long]


def write_clips(path: Path, network: StepNetwork, samples: Samples) -> None:
    """Write skeletons of test clips in online mode with their classes, and for each if the trained recognizer gets it right."""
    right = recognise_clips(network, samples.joints, samples.lengths, samples.labels)
    np.savez_compressed(path, joints=samples.joints, lengths=samples.lengths, labels=samples.labels, right=right)


def write_crops(path: Path, network: PoseNetwork, crops: np.ndarray, *, stages: tuple[int, int]) -> None:
    """Write pictures of people, (N, H, W, 3) uint8, with the trained network's maps.

    Args:
        path: The `.npz` to write.
        network: The trained pose network.
        crops: The pictures.
        stages: Stage for crops of people, whose maps are written as `maps`, and stage for whole frames, whose maps are
            written as `search_maps` if it is another one.
    """
    used = PoseNetwork(stages=max(stages)).eval()  # later stages would cost a third of the time
    used.load_state_dict({name: network.state_dict()[name] for name in used.state_dict()})
    wanted = {"maps": stages[0]} | ({"search_maps": stages[1]} if stages[1] != stages[0] else {})
    maps: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    with torch.inference_mode():
        for crop in crops:
            outputs = used(torch.from_numpy(crop).permute(2, 0, 1)[None].float())
            for name, stage in wanted.items():
                maps[name].append(torch.cat(outputs[stage - 1], dim=1)[0].numpy())
    arrays = {name: np.stack(values) for name, values in maps.items()}
    np.savez_compressed(path, images=crops, **arrays)  # type: ignore[arg-type]


def keep_crops(path: Path, count: int) -> None:
    """Keep only the first pictures of a file, as many as a bundle carries."""
    with np.load(path) as content:
        kept = {name: content[name][:count] for name in content.files}
    np.savez_compressed(path, **kept)  # type: ignore[arg-type]


def real_crops(clips: pd.DataFrame, poses: PoseSet, videos: Path, *, count: int, size: int) -> np.ndarray:
    """Pictures of the people in a dataset's videos, (count, size, size, 3); of drawn people if it has too few videos.

    Args:
        clips: Clip table.
        poses: Skeletons of the clips, which give the places of people.
        videos: Folder of the videos.
        count: Number of pictures.
        size: Side in pixels.
    """
    found: list[np.ndarray] = []
    if poses.layout == OPENPOSE18:
        for clip in clips[clips["path"] != ""].itertuples(index=False):
            if len(found) >= count:
                break
            if not is_removed(videos / clip.path):
                found += _cut_crops(clip, poses, videos, size)
    found += list(_draw_crops(count - len(found), size))
    return np.stack(found[:count])


def _cut_crops(clip: object, poses: PoseSet, videos: Path, size: int) -> list[np.ndarray]:
    seen = poses.clip(clip.clip_id)  # type: ignore[attr-defined]
    if not len(seen.joints):
        return []
    person = seen.joints[0]
    chosen = set(np.linspace(0, len(person) - 1, CROPS_OF_A_CLIP).round().astype(int).tolist())
    start, fps = clip.start_frame, clip.fps  # type: ignore[attr-defined]
    numbers = {start + round(index * fps / seen.fps): index for index in chosen if (person[index, :, 2] > 0).any()}
    crops, last = [], max(numbers, default=-1)
    try:
        for number, frame in enumerate(read_frames(videos / clip.path)):  # type: ignore[attr-defined]
            if number in numbers:
                crops.append(cut_square(frame, square_around(person[numbers[number]]), size=size).image)
            if number >= last:
                break
    except VideoError:
        return crops
    return crops


def drawn_scenes(scenes: int, *, frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Films of drawn people, (T, H, W, 3), with their true joints (T, 18, 3)."""
    actions = ("Waving", "Walking", "Squatting", "Jumping", "Running", "Punching")
    for number in range(scenes):
        performer = Performer(actions[number % len(actions)], heading=HEADINGS[number % len(HEADINGS)])
        film, joints = render_scene([performer], seed=number, frames=frames)
        yield film, joints[0]


def _draw_crops(count: int, size: int) -> Iterator[np.ndarray]:
    while count > 0:
        for film, joints in drawn_scenes(count, frames=CROPS_OF_A_CLIP):
            for frame, person in zip(film, joints, strict=True):
                if count > 0:
                    count -= 1
                    yield cut_square(frame, square_around(person), size=size).image
