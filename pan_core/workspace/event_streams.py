"""Streams of the benchmark of events: who is trained on what, and which recordings of unseen people test it.

Everything is chosen on training and validation clips: networks learn from them, rules are fitted to them. What was made is kept in the
benchmark's folder, so that a benchmark that was ended goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pan_core.benchmark.people import PoseRecipe, extract_people
from pan_core.benchmark.prepared_data import prepare
from pan_core.benchmark.protocol import Recipe
from pan_core.datasets.gmdcsa24 import Gmdcsa24
from pan_core.datasets.splits import with_validation
from pan_core.errors import DataError
from pan_core.evaluation.temperature import calibrate
from pan_core.files import cache_folder
from pan_core.live.clip_streams import ClipStream, PersonClip, Recording, clips_of, record, string_clips
from pan_core.live.rule_fitting import FittedRules, fit_rules, fit_to_clips
from pan_core.model.store import LoadedModel, load_model, save_model
from pan_core.params.load import PARAMS_FILE, Params, load_params
from pan_core.params.schema import EventsParams, ModelParams
from pan_core.pose.batch_extraction import Failure
from pan_core.pose.pose_set import PoseSet, write_pose_set
from pan_core.recognition.event_rules import Rule, load_rules
from pan_core.skeletons import OPENPOSE18
from pan_core.tables import read_table
from pan_core.training.background import as_background, roughen
from pan_core.training.fit import fit
from pan_core.training.samples import Samples, build_samples, join_samples
from pan_core.workspace import paths
from pan_core.workspace.context import dataset_context
from pan_core.workspace.event_clips import stream_clips
from pan_core.workspace.recipe import project_poses, project_recipe
from pan_core.workspace.training_data import background_samples, network_settings

TEST_S = 1800.0
SEED, TEST_SEED, KNOWN, VALIDATION = 0, 1, 14, 0.15
JHMDB, PENN, GMDCSA, ACTORS = "jhmdb_video", "penn_action", "gmdcsa24", "actors"
SHARED = ("golf_swing", "pullup", "baseball_swing", "baseball_pitch")
"""Penn Action's classes that JHMDB has as well, under another name or nearly."""
FALL, FALL_STEPS = "Falling", 300
EVENTS = EventsParams()


@dataclass(frozen=True)
class RecordedPart:
    """Recordings that one recognizer with its rules is tested on.

    Attributes:
        recordings: Recordings.
        rules: Action -> rule.
        without_example: Actions whose rule was not fitted to examples of their own.
    """

    recordings: Sequence[Recording]
    rules: Mapping[str, Rule]
    without_example: tuple[str, ...] = ()


@dataclass(frozen=True)
class StreamSet:
    """One row of the table.

    Attributes:
        name: Key of the row.
        title: What it is.
        actions: Actions of the recognizers, all the same.
        scored: Those that count.
        parts: What was recorded.
    """

    name: str
    title: str
    actions: tuple[str, ...]
    scored: tuple[str, ...]
    parts: Sequence[RecordedPart]


def actor_streams(folder: Path, *, background: float) -> StreamSet:
    """Streams of the actors of the test part, by the recognizer that the workspace has trained.

    Raises:
        DataError: If the workspace has no recognizer of actors.
    """
    model = paths.model_folder("online", 1)
    if not PARAMS_FILE.is_file() or load_params().dataset != ACTORS or not (model / "model.json").is_file():
        raise DataError(
            f"{model}: no recognizer of drawn actors here; run `pan run` with dataset: actors, or leave the actors out by --streams",
            code="benchmark.no-actors",
        )
    loaded = load_model(model)
    clips = read_table("clips", paths.VALID / "clips.parquet")
    segments, poses = read_table("segments", paths.VALID / "segments.parquet"), PoseSet(paths.POSES)

    def act(chosen: pd.Series) -> list[PersonClip]:
        samples = _samples(clips[chosen], poses, segments, loaded.labels, loaded.actions, loaded.rate)
        return stream_clips(samples, seed=TEST_SEED if "test" in set(clips.loc[chosen, "split1"]) else SEED)

    rules, without = load_rules(model, loaded.actions), tuple[str, ...]()
    if not rules:  # trained before rules were
        fitted = _fit(loaded, act(clips["split1"] == "val"))
        rules, without = fitted.rules, fitted.without_example
    rng, test = np.random.default_rng(SEED), clips["split1"] == "test"
    groups = sorted(clips.loc[test, "group"].unique())
    recordings = [
        record(loaded, string_clips(act(test & (clips["group"] == group)), rng, rate=loaded.rate,
                                     seconds=TEST_S / len(groups), background=background))
        for group in groups
    ]  # fmt: skip
    return _one_part(recordings, loaded, rules, without)


def jhmdb_streams(folder: Path) -> StreamSet:
    """Test clips of the known classes of JHMDB, split 1, and between them test clips of classes that nobody learnt."""
    data = prepare(
        JHMDB, cache_folder() / "benchmark" / JHMDB, dataset_context(Params(dataset=JHMDB)), poses=project_poses()
    )
    known = sorted(np.random.default_rng(SEED).permutation(data.classes)[:KNOWN].tolist())
    clips = data.clips[~data.clips["clip_id"].isin(data.lacking.without_people)]
    mine = clips["label"].isin(known)
    parts = with_validation(clips[mine], "split1", share=VALIDATION, seed=SEED).reindex(clips.index, fill_value="")
    segments = data.segments[data.segments["clip_id"].isin(clips.loc[mine, "clip_id"])]
    actions, recipe = tuple(sorted(segments["label"].unique())), project_recipe(JHMDB)

    def act(chosen: pd.Series) -> Samples:
        return _samples(clips[chosen], data.poses, segments, known, actions, recipe.rate)

    train, val = act(parts == "train"), act(parts == "val")
    network = _train(folder / "jhmdb-known", train, recipe, val=val, others=_penn(train, "train"))
    fitted = _fit(network, [*stream_clips(val, seed=SEED), *clips_of(_penn(val, "test"))])
    test = [*clips_of(act(parts == "test")), *clips_of(act(~mine & (clips["split1"] == "test")))]
    stream = string_clips(
        test, np.random.default_rng(SEED), rate=recipe.rate, seconds=TEST_S, background=0.5, scaled=True
    )
    return _one_part([record(network, stream)], network, fitted.rules, fitted.without_example)


def fall_streams(folder: Path) -> StreamSet:
    """The videos of each subject of GMDCSA24, by a recognizer that learnt from the other three.

    Its rules are fitted to videos of subjects that a network did not learn from either: of each of the three by a network of the
    other two.

    Raises:
        DataError: If the videos are not at hand.
    """
    recipe = project_recipe(GMDCSA)
    recipe = replace(recipe, training=replace(recipe.training, epochs=1, least_steps=FALL_STEPS))
    spans, videos = _fall_clips(folder / GMDCSA, project_poses())
    labels = sorted(spans.table["label"].unique())
    subjects, nets, heard = sorted(spans.table["group"].unique()), dict[tuple[str, ...], LoadedModel](), {}

    def recordings(learnt: tuple[str, ...], subject: str) -> list[Recording]:
        if learnt not in nets:
            samples = spans.samples(spans.table["group"].isin(learnt), labels, recipe.rate)
            name = "falls-" + "-".join(each.split()[-1] for each in learnt)
            nets[learnt] = _train(folder / name, samples, recipe)
        if (learnt, subject) not in heard:
            samples = videos.samples(videos.table["group"] == subject, labels, recipe.rate)
            heard[learnt, subject] = [
                record(nets[learnt], ClipStream(clip.joints, clip.holds, recipe.rate)) for clip in clips_of(samples)
            ]
        return heard[learnt, subject]

    parts = []
    for subject in subjects:
        learnt = tuple(each for each in subjects if each != subject)
        fitting = [one for own in learnt for one in recordings(tuple(each for each in learnt if each != own), own)]
        fitted = fit_rules(fitting, labels, miss_cost=EVENTS.miss_cost)
        parts.append(RecordedPart(recordings(learnt, subject), fitted.rules, fitted.without_example))
    return StreamSet("", "", tuple(labels), (FALL,), parts)


def _one_part(
    recordings: list[Recording], network: LoadedModel, rules: Mapping[str, Rule], without: tuple[str, ...]
) -> StreamSet:
    return StreamSet("", "", network.actions, network.actions, [RecordedPart(recordings, rules, without)])


@dataclass(frozen=True)
class _SpanTable:
    """Clips, or whole videos, with their poses and the actions in them."""

    table: pd.DataFrame
    poses: PoseSet
    segments: pd.DataFrame

    def samples(self, chosen: pd.Series, labels: Sequence[str], rate: float) -> Samples:
        found = self.table[chosen & self.table["clip_id"].isin(self.poses.index["clip_id"])]
        return _samples(found, self.poses, self.segments, labels, labels, rate)


def _fall_clips(folder: Path, poses: PoseRecipe) -> tuple[_SpanTable, _SpanTable]:
    """Labelled spans of GMDCSA24's videos, and the videos as a whole."""
    dataset, context = Gmdcsa24(), dataset_context(Params(dataset=GMDCSA))
    if not (folder / "raw").is_dir():
        dataset.fetch(folder / "raw", context)
    clips = dataset.catalogue(folder / "raw", replace(context, progress=None)).clips
    whole = clips.groupby("path", as_index=False).first()
    # Longer than any video: whoever reads it ends with the video.
    whole = whole.assign(clip_id=whole["path"], start_frame=0, n_frames=10**6)[clips.columns]
    segments = clips.assign(
        clip_id=clips["path"], end_frame=clips["start_frame"] + clips["n_frames"], parent_label=clips["label"]
    )
    own = clips.assign(start_frame=0, end_frame=clips["n_frames"], parent_label=clips["label"])
    tables = []
    for name, table, spans in (("spans", clips, own), ("videos", whole, segments)):
        failures = list[Failure]()
        write_pose_set(folder / name, OPENPOSE18, extract_people(table, folder / "raw", poses, context, failures))
        tables.append(_SpanTable(table, PoseSet(folder / name), spans))
    return tables[0], tables[1]


def _samples(
    table: pd.DataFrame, poses: PoseSet, segments: pd.DataFrame, labels: Sequence[str], actions: Sequence[str], rate: float
) -> Samples:  # fmt: skip
    return build_samples(table, poses, segments, classes=labels, actions=actions, mode="online", rate=rate)


def _fit(network: LoadedModel, clips: Sequence[PersonClip]) -> FittedRules:
    return fit_to_clips(network, clips, miss_cost=EVENTS.miss_cost, minutes=EVENTS.minutes, seed=SEED)


def _penn(like: Samples, part: str) -> Samples:
    """Clips of Penn Action's classes that JHMDB does not have, as background with the faults of other clips."""
    data = prepare(PENN, cache_folder() / "benchmark" / PENN, dataset_context(Params(dataset=PENN)))
    found = data.samples(data.parts(data.splits[0]), part, mode="online", frames=1, rate=float(like.fps[0]))
    others = [number for number, name in enumerate(data.classes) if name not in SHARED]
    kept = found.select(np.flatnonzero(np.isin(found.labels, others)))
    return roughen(as_background(kept, like), like, np.random.default_rng(SEED))


def _train(
    folder: Path, samples: Samples, recipe: Recipe, *, val: Samples | None = None, others: Samples | None = None
) -> LoadedModel:
    """The network that learnt from samples and background, calibrated; trained once, and gone on with after a kill.

    Args:
        folder: Where it lies.
        samples: Training clips.
        recipe: How to train.
        val: Validation clips, for its calibration.
        others: Background beside drawn people who do nothing in particular.
    """
    if not (folder / "model.json").is_file():
        torch.set_num_threads(1)
        checkpoint, background = folder.with_suffix(".pt"), background_samples(samples, seed=SEED)
        if background and others:
            background = join_samples([others, background])
        found = fit(
            samples, None, settings=recipe.training, model_settings=network_settings(ModelParams(), mode="online", none=background is not None),
            checkpoint=checkpoint, seed=SEED, background=background,
        )  # fmt: skip
        save_model(
            folder, found.model, labels=samples.classes, actions=samples.actions, layout=samples.layout, mode="online",
            frames=recipe.frames, rate=recipe.rate, preprocessing={"recipe": asdict(recipe)},
            temperatures=calibrate(found.model, val) if val else None,
        )  # fmt: skip
        checkpoint.unlink(missing_ok=True)
    return load_model(folder)


STREAMS: Mapping[str, tuple[str, Callable[[Path], StreamSet]]] = {
    "actors": (
        "actors, test: half an hour of action after action",
        lambda folder: actor_streams(folder, background=0.0),
    ),
    "actors_background": (
        "the same people, 80 % of the time no action",
        lambda folder: actor_streams(folder, background=0.8),
    ),
    "jhmdb": (f"JHMDB, test: clips of {KNOWN} known classes among clips of 7 others", jhmdb_streams),
    "gmdcsa24_falls": ("GMDCSA24: falls of each subject, learnt from the other three", fall_streams),
}


def build(name: str, folder: Path) -> StreamSet:
    """The streams of a row of the table.

    Args:
        name: Key of `STREAMS`.
        folder: Where networks of the benchmark lie.
    """
    title, make = STREAMS[name]
    return replace(make(folder), name=name, title=title)
