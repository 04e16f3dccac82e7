"""From drawn to real: networks that learn from actors alone recognise everyday actions of real people in JHMDB's clips.

Nothing real is trained on. A clip in which nobody is found counts as a mistake. A class of actors that is composed counts as
the action of JHMDB that it shows: a run with a long jump is a jump.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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
        part: "test", which is published; "train" to choose by.
    """

    seeds: int
    modes: tuple[str, ...]
    clips: int
    part: str = "test"

    def command(self) -> str:
        """The command line that gives the figures again."""
        part = f" --part {self.part}" if self.part != "test" else ""
        return f"pan benchmark {NAME} --seeds {self.seeds} --modes {','.join(self.modes)} --clips {self.clips}{part}"


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
        DataError: If the real dataset cannot be had, or lacks a class or the part.
    """
    data = prepare(REAL, folder, context, poses=poses, selection=Selection(tuple(MEANS)))
    listed = data.clips[data.parts(SPLIT) == request.part]
    if listed.empty:
        raise DataError(f"{REAL}: split {SPLIT} has no clip of the part {request.part!r}", code="transfer.no-clips")
    runs = [
        _run(request, recipe, data, listed, mode=mode, seed=seed)
        for seed in range(request.seeds)
        for mode in request.modes
    ]
    result = {
        "dataset": NAME,
        "tested_on": REAL,
        "split": SPLIT,
        "part": request.part,
        "command": request.command(),
        "clips": len(listed),
        "class_names": list(MEANS),
        "means": {name: list(classes) for name, classes in MEANS.items()},
        "without_people": len(set(listed["clip_id"]) & data.lacking.without_people.keys()),
        "drawn_clips": request.clips * len(CLASSES),
        "poses": poses.describe(),
        "recipe": asdict(recipe),
        "code": code_hash("model", "training", "datasets/actors", "benchmark/actors_to_real.py"),
        "modes": {mode: _summarise([run for run in runs if run["mode"] == mode]) for mode in request.modes},
        "runs": runs,
    }
    write_json(out / f"{NAME}.json", result)
    return read_json(out / f"{NAME}.json")


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
    request: TransferRequest, recipe: Recipe, data: BenchmarkData, listed: pd.DataFrame, *, mode: str, seed: int
) -> dict:
    settings = ActorsSettings(seed=seed, min_frames=SHORTEST, max_frames=LONGEST)
    drawn = drawn_samples(
        list(draw_skeletons(settings, request.clips)), mode=mode, frames=recipe.frames, rate=recipe.rate
    )
    real = data.samples(data.parts(SPLIT), request.part, mode=mode, frames=recipe.frames, rate=recipe.rate)
    with tempfile.TemporaryDirectory() as place:
        network = fit(
            drawn,
            None,
            settings=recipe.training,
            model_settings=recipe.network,
            checkpoint=Path(place) / "c.pt",
            seed=seed,
        ).model
    stated = predict(network, real).probabilities
    said = dict(zip(real.clip_ids, choose(stated, drawn.classes), strict=True))
    plain = dict(zip(real.clip_ids, (drawn.classes[k] for k in stated.argmax(axis=1)), strict=True))
    ids, labels = listed["clip_id"].tolist(), listed["label"].tolist()
    hits = [said.get(clip_id) == label for clip_id, label in zip(ids, labels, strict=True)]
    return {
        "mode": mode,
        "seed": seed,
        "accuracy": float(np.mean(hits)),
        "accuracy_among_all": float(
            np.mean([plain.get(i, "") in MEANS[label] for i, label in zip(ids, labels, strict=True)])
        ),
        "by_class": {
            name: float(np.mean([h for h, label in zip(hits, labels, strict=True) if label == name])) for name in MEANS
        },
        "data_hash": hashlib.sha256(drawn.joints.tobytes()).hexdigest()[:16],
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
