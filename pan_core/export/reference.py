"""Reference: real inputs and the outputs expected for them, which an exported network is compared with, here and on a device.

Of the recognizer these are torch's outputs; of the networks that find people, those of the files that found the people it learnt from.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pan_core.datasets.actors import Performer, render_scene
from pan_core.errors import VideoError
from pan_core.export.check import Call, recognise_clips
from pan_core.model.features import PoseFeatures
from pan_core.pose.crops import Square, square_around
from pan_core.pose.declared import open_estimator
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pose_set import PoseSet
from pan_core.pose.records import is_removed
from pan_core.recognition.step_network import StepNetwork
from pan_core.runtimes.session import Session, open_model
from pan_core.skeletons import OPENPOSE18
from pan_core.training.samples import Samples
from pan_core.video import read_frames

PEOPLE_OF_A_CLIP = 4
SEARCHED = 4
"""Of so many frames one is searched, too."""
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


class Recorder:
    """Opener of networks that keeps what goes in and comes out: `calls`, by the stem of each network's file."""

    def __init__(self) -> None:
        self.calls: dict[str, list[Call]] = {}

    def __call__(self, model: Path | bytes, /, *, threads: int = 1) -> Session:
        """See `pan_core.runtimes.session.Opener`; expects a file."""
        assert isinstance(model, Path)
        return RecordedSession(open_model(model, threads=threads), self.calls.setdefault(model.stem, []))


class RecordedSession:
    """Session whose calls are kept.

    Args:
        session: The session.
        calls: List that each call is added to.
    """

    def __init__(self, session: Session, calls: list[Call]) -> None:
        self._session, self._calls = session, calls
        self.inputs, self.outputs, self.shapes = session.inputs, session.outputs, session.shapes

    def run(self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
        """See `pan_core.runtimes.session.Session.run`."""
        answers = self._session.run(feeds, wanted)
        self._calls.append({**feeds, **dict(zip(wanted, answers, strict=True))})
        return answers


def record_calls(
    model: Path, settings: ExtractionSettings, people: Iterable[tuple[np.ndarray, Square]], *, count: int
) -> dict[str, list[Call]]:
    """Inputs and outputs of each network as people are looked at and searched for.

    Args:
        model: What `open_estimator` takes.
        settings: How people are looked at and searched for.
        people: Frames with a person each, and the person's place.
        count: Most calls of a network that are kept, and most people. Every fourth frame is also searched.

    Returns:
        Calls by the stem of the network's file.
    """
    recorder = Recorder()
    estimator = open_estimator(model, opener=recorder, **settings.of_estimator())
    for number, (frame, square) in enumerate(itertools.islice(people, count)):
        estimator.look(frame, [square])
        if number % SEARCHED == 0:
            estimator.search(frame, closely=False)
    return {name: made[:count] for name, made in recorder.calls.items()}


def write_calls(folder: Path, calls: Mapping[str, Sequence[Call]], *, count: int) -> None:
    """Write the first few calls of each network as NAME.npz, for `pan_core.export.check.read_calls`."""
    for name, made in calls.items():
        arrays = {f"{number}/{key}": value for number, call in enumerate(made[:count]) for key, value in call.items()}
        np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def real_people(
    clips: pd.DataFrame, poses: PoseSet, videos: Path, *, count: int
) -> Iterator[tuple[np.ndarray, Square]]:
    """Frames of a dataset's videos and a person's place in each; drawn people if it has too few videos.

    Args:
        clips: Clip table.
        poses: Skeletons of the clips, which give the places of people.
        videos: Folder of the videos.
        count: Number of people.
    """
    found = 0
    if poses.layout == OPENPOSE18:
        for clip in clips[clips["path"] != ""].itertuples(index=False):
            if found >= count:
                return
            if not is_removed(videos / clip.path):
                for person in itertools.islice(_people_of(clip, poses, videos), count - found):
                    found += 1
                    yield person
    yield from _draw_people(count - found)


def _people_of(clip: object, poses: PoseSet, videos: Path) -> Iterator[tuple[np.ndarray, Square]]:
    seen = poses.clip(clip.clip_id)  # type: ignore[attr-defined]
    if not len(seen.joints):
        return
    person = seen.joints[0]
    chosen = set(np.linspace(0, len(person) - 1, PEOPLE_OF_A_CLIP).round().astype(int).tolist())
    start, fps = clip.start_frame, clip.fps  # type: ignore[attr-defined]
    numbers = {start + round(index * fps / seen.fps): index for index in chosen if (person[index, :, 2] > 0).any()}
    last = max(numbers, default=-1)
    try:
        for number, frame in enumerate(read_frames(videos / clip.path)):  # type: ignore[attr-defined]
            if number in numbers:
                yield frame, square_around(person[numbers[number]])
            if number >= last:
                return
    except VideoError:
        return


def drawn_scenes(scenes: int, *, frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Films of drawn people, (T, H, W, 3), with their true joints (T, 18, 3)."""
    actions = ("Waving", "Walking", "Squatting", "Jumping", "Running", "Punching")
    for number in range(scenes):
        performer = Performer(actions[number % len(actions)], heading=HEADINGS[number % len(HEADINGS)])
        film, joints = render_scene([performer], seed=number, frames=frames)
        yield film, joints[0]


def _draw_people(count: int) -> Iterator[tuple[np.ndarray, Square]]:
    while count > 0:
        for film, joints in drawn_scenes(count, frames=PEOPLE_OF_A_CLIP):
            for frame, person in zip(film, joints, strict=True):
                if count > 0:
                    count -= 1
                    yield frame, square_around(person)
