"""Train on drawn actors alone, test on real people: nine everyday actions of JHMDB's videos.

Training uses no real clip. A test clip without a detected person counts as a mistake. Composed classes of actors count as the
action of JHMDB that they show: `LongJump` is a jump.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.prepared_data import BenchmarkData, Selection, prepare
from pan_core.benchmark.protocol import Recipe
from pan_core.code_identity import code_hash
from pan_core.datasets.actors import ACTIONS, CLASSES, ActorsSettings
from pan_core.datasets.actors.skeletons_only import SkeletonClip, draw_skeletons
from pan_core.datasets.base import Context
from pan_core.errors import DataError
from pan_core.evaluation.statistics import mean_interval
from pan_core.files import read_json, write_json
from pan_core.pose.pose_set import ClipPoses
from pan_core.skeletons import OPENPOSE18
from pan_core.training.fit import fit
from pan_core.training.predict import predict
from pan_core.training.samples import Samples, build_samples

NAME = "actors_to_real"
REAL = "jhmdb_video"
SPLIT = 1
PARTS = ("test", "train")
"""Parts of the real clips: the first is the result, the second was chosen by."""
MEANS: dict[str, tuple[str, ...]] = {
    "clap": ("Clapping",),
    "jump": ("Jumping", "LongJump"),
    "kick_ball": ("Kicking",),
    "run": ("Running",),
    "sit": ("SittingDown", "WalkAndSit"),
    "stand": ("StandingUp",),
    "throw": ("Throwing", "JavelinThrow"),
    "walk": ("Walking",),
    "wave": ("Waving", "WalkingAndWaving"),
}
"""Classes of JHMDB, and the classes of actors that show the same."""
SHORTEST, LONGEST = 12, 30
"""Frames of a drawn clip at 15 a second: JHMDB's have 11 to 24."""


@dataclass(frozen=True)
class TransferRequest:
    """What to run.

    Attributes:
        seeds: Seeds 0 to seeds - 1, of the drawn clips and of the training.
        modes: Input modes.
        clips: Drawn clips of each class of actors.
        epochs: Passes over them.
    """

    seeds: int
    modes: tuple[str, ...]
    clips: int
    epochs: int

    def command(self) -> str:
        """The command line that gives the figures again."""
        modes = ",".join(self.modes)
        return f"pan benchmark {NAME} --seeds {self.seeds} --modes {modes} --clips {self.clips} --epochs {self.epochs}"


class DrawnPoses:
    """Poses of drawn clips, by their id."""

    layout = OPENPOSE18

    def __init__(self, clips: Sequence[SkeletonClip]) -> None:
        self._poses = {clip.poses.clip_id: clip.poses for clip in clips}

    def clip(self, clip_id: str) -> ClipPoses:
        """Poses of one clip."""
        return self._poses[clip_id]


def transfer(
    request: TransferRequest, recipe: Recipe, *, folder: Path, context: Context, poses: PoseRecipe, out: Path
) -> dict:
    """Train on drawn skeletons, score real clips, and write `<out>/actors_to_real.json`.

    Args:
        request: What to run.
        recipe: How networks are trained.
        folder: Folder of the real dataset's files of the benchmark.
        context: Where it comes from.
        poses: How its skeletons are extracted.
        out: Folder of the result file.

    Raises:
        DataError: If the real dataset cannot be had, or lacks a class or a part.
    """
    data = prepare(REAL, folder, context, poses=poses, selection=Selection(tuple(MEANS)))
    lists = {part: data.clips[data.parts(SPLIT) == part] for part in PARTS}
    if empty := [part for part, listed in lists.items() if listed.empty]:
        raise DataError(f"{REAL}: split {SPLIT} has no clip of the part {empty[0]!r}", code="transfer.no-clips")
    runs = []
    for seed in range(request.seeds):
        settings = ActorsSettings(seed=seed, min_frames=SHORTEST, max_frames=LONGEST)
        drawn = list(draw_skeletons(settings, request.clips))
        runs += [run for mode in request.modes for run in _run(drawn, recipe, data, lists, mode=mode, seed=seed)]
    result = {
        "dataset": NAME,
        "tested_on": REAL,
        "split": SPLIT,
        "command": request.command(),
        "class_names": list(MEANS),
        "means": {name: list(classes) for name, classes in MEANS.items()},
        "drawn_clips": request.clips * len(CLASSES),
        "poses": poses.describe(),
        "recipe": asdict(recipe),
        "code": code_hash("model", "training", "datasets/actors", "benchmark/actors_to_real.py"),
        "parts": {part: _describe_part(part, listed, data, request, runs) for part, listed in lists.items()},
        "runs": runs,
    }
    write_json(out / f"{NAME}.json", result)
    return read_json(out / f"{NAME}.json")


def _describe_part(
    part: str, listed: pd.DataFrame, data: BenchmarkData, request: TransferRequest, runs: Sequence[dict]
) -> dict:
    own = [run for run in runs if run["part"] == part]
    return {
        "clips": len(listed),
        "without_people": len(set(listed["clip_id"]) & data.lacking.without_people.keys()),
        "modes": {mode: _summarise([run for run in own if run["mode"] == mode]) for mode in request.modes},
    }


def drawn_samples(clips: Sequence[SkeletonClip], *, mode: str, frames: int, rate: float) -> Samples:
    """Samples of drawn clips with their true segments."""
    rows = [(clip.poses.clip_id, clip.label, clip.poses.fps, clip.poses.joints.shape[1]) for clip in clips]
    table = pd.DataFrame(rows, columns=["clip_id", "label", "fps", "n_frames"])
    segments = pd.DataFrame([{"clip_id": clip.poses.clip_id, **asdict(own)} for clip in clips for own in clip.segments])
    return build_samples(
        table, DrawnPoses(clips), segments, classes=sorted(CLASSES), actions=sorted(ACTIONS), mode=mode, frames=frames,
        rate=rate,
    )  # fmt: skip


def _run(
    clips: Sequence[SkeletonClip],
    recipe: Recipe,
    data: BenchmarkData,
    lists: Mapping[str, pd.DataFrame],
    *,
    mode: str,
    seed: int,
) -> Iterator[dict]:
    """Figures of one network on each part of the real clips."""
    shape: Any = {"mode": mode, "frames": recipe.frames, "rate": recipe.rate}
    drawn = drawn_samples(clips, **shape)
    with tempfile.TemporaryDirectory() as place:
        checkpoint = Path(place) / "c.pt"
        network = fit(
            drawn, None, settings=recipe.training, model_settings=recipe.network, checkpoint=checkpoint, seed=seed
        ).model
    for part, listed in lists.items():
        real = data.samples(data.parts(SPLIT), part, **shape)
        stated = predict(network, real).probabilities
        said = dict(zip(real.clip_ids, choose(stated, drawn.classes), strict=True))
        plain = dict(zip(real.clip_ids, (drawn.classes[k] for k in stated.argmax(axis=1)), strict=True))
        yield {"part": part, "mode": mode, "seed": seed, **_count(listed, said, plain)}


def _count(listed: pd.DataFrame, said: Mapping[str, str], plain: Mapping[str, str]) -> dict:
    """Shares of the listed clips that are right; a clip without an answer is not."""
    rows = list(zip(listed["clip_id"], listed["label"], strict=True))
    hits = [said.get(clip_id) == label for clip_id, label in rows]
    return {
        "accuracy": float(np.mean(hits)),
        "accuracy_among_all": float(np.mean([plain.get(clip_id, "") in MEANS[label] for clip_id, label in rows])),
        "by_class": {
            name: float(np.mean([hit for hit, (_, label) in zip(hits, rows, strict=True) if label == name]))
            for name in MEANS
        },
        "hits": "".join(str(int(hit)) for hit in hits),
    }


def choose(stated: np.ndarray, classes: Sequence[str]) -> Iterator[str]:
    """The class of JHMDB whose classes of actors are together the most likely.

    Args:
        stated: Probability of each class of actors, (N, K).
        classes: Their names.
    """
    together = np.stack(
        [stated[:, [classes.index(own) for own in shown]].sum(axis=1) for shown in MEANS.values()], axis=1
    )
    return (tuple(MEANS)[number] for number in together.argmax(axis=1))


def _summarise(runs: Sequence[dict]) -> dict:
    """Mean over seeds, its spread, and a bootstrap interval over the clips."""
    accuracies = [run["accuracy"] for run in runs]
    shares = np.mean([[int(hit) for hit in run["hits"]] for run in runs], axis=0)
    return {
        "accuracy": float(np.mean(accuracies)),
        "std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "interval95": list(mean_interval([{str(number): float(share) for number, share in enumerate(shares)}])),
        "accuracy_among_all": float(np.mean([run["accuracy_among_all"] for run in runs])),
        "by_class": {name: float(np.mean([run["by_class"][name] for run in runs])) for name in MEANS},
    }
