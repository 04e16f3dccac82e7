"""Networks that see pictures beside the recognizer, on the same clips and splits, with what a clip costs each of them."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pan_core.benchmark.completion import FinishedRuns, complete
from pan_core.benchmark.methods import build_of, code_of, comparator, recipe_of
from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.picture_networks import (
    choose_device,
    count_macs,
    describe_weights,
    import_models,
    name_device,
    time_run,
)
from pan_core.benchmark.picture_runs import TIMED_CLIPS, PictureSetting, execute_pictures
from pan_core.benchmark.prepared_data import BenchmarkData, dataset_of_benchmark
from pan_core.benchmark.protocol import MODEL, PICTURES, Variant, plan
from pan_core.benchmark.request import Request
from pan_core.benchmark.results import stored_runs, summarise
from pan_core.benchmark.runs import BenchmarkSetting, Record
from pan_core.errors import ConfigError, DataError, VideoError
from pan_core.files import read_json
from pan_core.model.features import PoseFeatures
from pan_core.pose.extraction import PoseExtractor


def require_pictures(name: str, request: Request) -> None:
    """Refuse what cannot be run, before anything is fetched.

    Raises:
        ConfigError: If a dataset gives no videos, or the device is missing.
        DataError: If a file of weights is missing.
        PanError: If torchvision is missing.
    """
    if not request.pictures:
        return
    if not dataset_of_benchmark(name).has_video:
        raise ConfigError(
            "pan benchmark", [f"--pictures: {name} gives skeletons and no pictures"], code="pictures.no-videos"
        )
    import_models()
    choose_device(request.device)
    for _, source in request.picture_weights:
        describe_weights(source)


def make_picture_setting(base: BenchmarkSetting, data: BenchmarkData, request: Request, videos: Path) -> PictureSetting:
    """What the runs of all networks of pictures share.

    Args:
        base: What the recognizer's runs share.
        data: Prepared data.
        request: What was asked for.
        videos: Folder that the paths of the clips are relative to.
    """
    recipes = {name: comparator(name).RECIPE for name in PICTURES}
    if request.epochs is not None:
        recipes = {name: replace(recipe, epochs=request.epochs) for name, recipe in recipes.items()}
    return PictureSetting(
        base.dataset, base.folder, hash_clips(data, videos), base.recipe, base.commit,
        {name: code_of(Variant("comparator", name)) for name in PICTURES}, videos=videos, recipes=recipes,
        weights=dict(request.picture_weights), device=request.device, decoders=request.workers,
    )  # fmt: skip


def hash_clips(data: BenchmarkData, videos: Path) -> str:
    """Hash of clips, splits and sizes of the videos' files; of no skeleton, so that another pose network changes nothing."""
    files = [videos / name for name in data.clips["path"]]
    sizes = [path.stat().st_size if path.is_file() else 0 for path in files]
    table = data.clips.drop(columns="path").assign(size=sizes)
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]


def compare_pictures(setting: PictureSetting, request: Request, splits: Sequence[int], path: Path) -> list[Record]:
    """Run what was asked for and is not finished; the records of these and of other networks that the result file has.

    Args:
        setting: What the runs share.
        request: What was asked for.
        splits: Official splits.
        path: Result file, which may hold finished runs.
    """
    done, beside, records = FinishedRuns(setting, path), request.of_others(), []
    published = list_published(setting, splits, path)
    for name in PICTURES:
        if name not in request.pictures:
            records += [record for record in published if record["method"] == name]
            continue
        variant = Variant("comparator", name)
        jobs = plan((variant,), modes=variant.modes, splits=splits, seeds=beside.seeds)
        finished, tracker = complete(done, jobs, request.workers, title=name, run_jobs=execute_pictures)
        if tracker:
            tracker.close({"dataset": setting.dataset, **summarise([finished[job] for job in jobs])})
        records += [finished[job] for job in jobs]
    return records


def list_published(setting: PictureSetting, splits: Sequence[int], path: Path) -> list[Record]:
    """Runs in a result file on these data, with whatever weights they began; of each seed that has every split."""
    found: list[Record] = []
    with suppress(DataError):
        found = [
            run
            for run in stored_runs(path)
            if run["method"] in PICTURES
            and run["split"] in splits
            and run["identity"] == setting.identity_from(run["method"], run.get("weights", ""))
        ]
    parts = Counter((run["method"], run["seed"]) for run in found)
    return [run for run in found if parts[run["method"], run["seed"]] == len(splits)]


def add_costs(result: dict, data: BenchmarkData, setting: PictureSetting, poses: PoseRecipe, path: Path) -> None:
    """Measure what a test clip costs the networks that read skeletons, as it was measured for those that see pictures.

    Args:
        result: The result; "cost" is added to the recognizer and to each comparator without it.
        data: Prepared data.
        setting: What runs of networks of pictures share.
        poses: How skeletons are extracted.
        path: Result file, whose costs are kept.
    """
    if not any(entry["method"] in PICTURES and entry.get("cost") for entry in result["comparators"]):
        return
    parts, recipe = data.parts(result["splits"][0]), setting.recipe
    videos = [setting.videos / name for name in data.clips[parts == "test"]["path"][:TIMED_CLIPS]]
    samples = data.samples(parts, "test", mode="clip", frames=recipe.frames, rate=recipe.rate)
    if not len(samples):
        return
    device, known = choose_device(setting.device), read_costs(path, result["identity"])
    features = torch.from_numpy(PoseFeatures(samples.layout, mode="clip")(samples.batch(np.array([0])).joints))
    entries: list[tuple[Variant, dict]] = [(MODEL, result)]
    entries += [(Variant("comparator", own["method"]), own) for own in result["comparators"] if "cost" not in own]
    if not all(variant.name in known for variant, _ in entries):
        reading = {"read_ms": _time_extraction(videos, poses), "device": name_device(device)}
        known = {}
        for variant, _ in entries:
            network = build_of(variant)(samples, recipe_of(variant, recipe).network).eval()
            known[variant.name] = _measure(network, features, device) | reading
    for variant, entry in entries:
        entry["cost"] = known[variant.name]


def read_costs(path: Path, identity: str) -> dict[str, dict]:
    """Costs of networks that read skeletons in a result file, by name, so that a benchmark that is finished stays as it is."""
    with suppress(DataError):
        result = read_json(path) if path.is_file() else {}
        if result.get("identity") == identity and result.get("cost"):
            own = {entry["method"]: entry["cost"] for entry in result["comparators"] if entry.get("cost")}
            return {MODEL.name: result["cost"], **own}
    return {}


def _measure(network: torch.nn.Module, features: torch.Tensor, device: torch.device) -> dict[str, object]:
    def run() -> None:
        network(features, state=network.start(1))  # type: ignore[operator]

    macs = count_macs(run)
    network, features = network.to(device), features.to(device)
    return {"macs": macs, "network_ms": time_run(run, device)}


def _time_extraction(videos: Sequence[Path], poses: PoseRecipe) -> float | None:
    """Milliseconds that the skeletons of a video take, mean of a few; None if none of these can be read."""
    extractor, spent = PoseExtractor(poses.network, settings=poses.settings), []
    for video in videos:
        begun = time.perf_counter()
        with suppress(VideoError):
            extractor.extract(video)
            spent.append(1000 * (time.perf_counter() - begun))
    return float(np.mean(spent)) if spent else None
