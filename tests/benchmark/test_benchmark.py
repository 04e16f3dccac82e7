"""A benchmark of a small dataset, from its files to its figures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from refusals import refused

from pan_core.benchmark import completion, coordinator, methods, runs
from pan_core.benchmark.coordinator import Request, benchmark
from pan_core.benchmark.prepared_data import prepare
from pan_core.benchmark.protocol import Variant
from pan_core.benchmark.results import compare_results
from pan_core.benchmark.results_page import METHODS, NOTES, write_results_page
from pan_core.datasets.base import Context
from pan_core.errors import ConfigError, DataError
from pan_core.evaluation.table1 import MODE_TITLES
from pan_core.tracking.tracker import store_uri

BOTH = ("clip", "online")
LEAKAGE = Variant("control", "leakage")


class Killed(Exception):
    """Stands for whatever ends a benchmark from outside."""


@pytest.fixture
def start(stage, recipe, tmp_path, monkeypatch):
    """Runs a benchmark below a folder of its own; returns the result and its file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(request, *, folder="cache", out="results", epochs=2):
        changed = replace(recipe, training=replace(recipe.training, epochs=epochs))
        result = benchmark(
            "stage", request, changed, folder=Path(folder), context=Context(cache=Path("downloads")), out=Path(out)
        )
        return result, Path(out) / "stage.json"

    return run


def test_result_has_every_run_and_their_means(start):
    result, path = start(Request(seeds=2, modes=BOTH))
    assert json.loads(path.read_text())["runs"] == result["runs"]
    runs = result["runs"]
    assert sorted((r["mode"], r["seed"], r["split"]) for r in runs) == [
        (mode, seed, split) for mode in BOTH for seed in (0, 1) for split in (1, 2)
    ]
    for prefix, mode in (("", "clip"), ("online_", "online")):
        by_seed = [np.mean([r["accuracy"] for r in runs if (r["mode"], r["seed"]) == (mode, s)]) for s in (0, 1)]
        assert result[f"{prefix}mean_accuracy"] == pytest.approx(np.mean(by_seed))
        assert result[f"{prefix}std_accuracy"] == pytest.approx(np.std(by_seed, ddof=1))
        low, high = result[f"{prefix}interval95"]
        assert low <= result[f"{prefix}mean_accuracy"] <= high
    assert {"train_seconds", "git_commit", "data_hash", "mean_class_accuracy"} <= set(runs[0])
    assert result["online_accuracy_by_observed_share"]["100%"] == pytest.approx(result["online_mean_accuracy"])
    assert not list(Path("cache/runs").glob("*.pt"))


def test_a_split_whose_test_part_shows_one_class_is_refused_before_any_training(start, stage, monkeypatch):
    catalogue = type(stage).catalogue

    def of_one_class(self, folder, context):
        found = catalogue(self, folder, context)
        parts = found.clips["label"].map({"kick": "test", "wave": "train"})
        return replace(found, clips=found.clips.assign(split2=parts))

    monkeypatch.setattr(type(stage), "catalogue", of_one_class)
    with refused("classes.one-in-part", DataError):
        start(Request(seeds=1, modes=("clip",)))
    assert not list(Path("cache").rglob("runs/*"))


def test_a_test_clip_without_anybody_counts_as_a_mistake(start):
    """12 of the 36 clips are test in each split; one of split 1 shows nobody, so at most 11 can be right."""
    result, _ = start(Request(seeds=1, modes=("clip",)), epochs=12)
    first, second = sorted(result["runs"], key=lambda r: r["split"])
    assert (first["test_clips"], first["nobody_found"]) == (12, 1)
    assert (second["test_clips"], second["nobody_found"]) == (12, 0)
    assert first["accuracy"] <= 11 / 12
    assert first["accuracy"] == first["hits"].count("1") / 12
    assert len(result["test_clips"]["1"]) == 12
    assert result["online_mean_accuracy"] is None


def test_workers_change_nothing(start):
    request = Request(seeds=1, modes=BOTH, splits=(2,))
    one, _ = start(request, folder="a")
    two, _ = start(replace(request, workers=2), folder="b")
    plain = [[{k: v for k, v in r.items() if k != "train_seconds"} for r in result["runs"]] for result in (one, two)]
    assert plain[0] == plain[1]
    assert one["data_hash"] == two["data_hash"]


def test_a_killed_benchmark_goes_on(start, monkeypatch):
    request = Request(seeds=2, modes=("clip",), splits=(1,))
    done = []
    original = completion.execute

    def stopped(setting, jobs, **options):
        for item in original(setting, jobs, **options):
            done.append(item[0])
            yield item
            raise Killed

    monkeypatch.setattr(completion, "execute", stopped)
    with pytest.raises(Killed):
        start(request)
    monkeypatch.setattr(completion, "execute", original)
    result, _ = start(request)
    whole, _ = start(request, folder="other", out="elsewhere")
    assert len(done) == 1
    assert result["mean_accuracy"] == whole["mean_accuracy"]
    client = MlflowClient(store_uri())
    experiment = client.get_experiment_by_name("stage-benchmark")
    rows = client.search_runs([experiment.experiment_id], "tags.`pan.kind` = 'pipeline'")
    nested = client.search_runs([experiment.experiment_id], "tags.`pan.kind` = 'stage'")
    assert sorted(row.info.status for row in rows) == ["FINISHED", "FINISHED"]
    assert sum(run.data.tags["mlflow.parentRunId"] == rows[-1].info.run_id for run in nested) == 2
    assert all("train_loss" in run.data.metrics for run in nested)


def test_a_benchmark_goes_on_from_a_result_file_that_came_with_the_project(start, monkeypatch):
    parts = (Variant("ablation", "pose_attention"),)
    request = Request(seeds=1, modes=BOTH, splits=(1,), others=parts, other_modes=("clip",))
    first, _ = start(request, epochs=1)
    shutil.rmtree("cache/runs")
    run_again = []
    original = completion.execute

    def noted(setting, jobs, **options):
        run_again.extend(jobs)
        return original(setting, jobs, **options)

    monkeypatch.setattr(completion, "execute", noted)
    second, _ = start(replace(request, seeds=2), epochs=1)
    assert {(job.variant.name, job.mode, job.seed) for job in run_again} == {
        ("pan", "clip", 1), ("pan", "online", 1), ("pose_attention", "clip", 1)
    }  # fmt: skip
    assert [run for run in second["runs"] if run["seed"] == 0] == first["runs"]
    assert second["behaviour"] == first["behaviour"]
    run_again.clear()
    start(replace(request, seeds=2), epochs=2)
    assert len(run_again) == 6


def test_a_control_that_is_read_back_has_its_own_test_clips(start):
    request = Request(seeds=2, modes=("clip",), splits=(1,), others=(LEAKAGE,))
    first, path = start(request, epochs=1)
    text = path.read_text()
    shutil.rmtree("cache/runs")
    second, _ = start(request, epochs=1)
    assert second["controls"] == first["controls"]
    assert path.read_text() == text


def test_other_epochs_are_another_run(start):
    request = Request(seeds=1, modes=("clip",), splits=(1,))
    one, _ = start(request)
    two, _ = start(request, epochs=3)
    assert one["identity"] != two["identity"]
    assert len(list(Path("cache/runs").glob("*.json"))) == 2


def test_comparators_and_control_stand_apart(start):
    request = Request(
        seeds=1, modes=BOTH, splits=(1,), others=(Variant("comparator", "gru"), Variant("comparator", "stgcn"), LEAKAGE)
    )
    result, _ = start(request, epochs=1)
    assert len(result["runs"]) == 2
    gru, stgcn = result["comparators"]
    assert (gru["method"], stgcn["method"]) == ("gru", "stgcn")
    assert {r["mode"] for r in gru["runs"]} == set(BOTH)
    assert {r["mode"] for r in stgcn["runs"]} == {"clip"}
    assert result["controls"][0]["method"] == "leakage"
    kept, _ = start(Request(seeds=1, modes=BOTH, splits=(1,)), epochs=1)
    assert kept["comparators"] == result["comparators"]
    assert kept["controls"] == result["controls"]
    table = write_results_page(Path("results")).read_text()
    assert f"| {METHODS['gru']}, {MODE_TITLES['online']} |" in table
    assert NOTES["controls"] in table


def test_what_runs_beside_it_may_have_fewer_seeds_and_modes(start):
    parts = tuple(Variant("ablation", part) for part in ("pooling", "pose_attention"))
    request = Request(seeds=2, modes=BOTH, splits=(1,), others=parts, other_seeds=1, other_modes=("clip",))
    result, _ = start(request, epochs=1)
    assert len(result["runs"]) == 4
    assert [[(r["mode"], r["seed"]) for r in own["runs"]] for own in result["ablations"]] == [[("clip", 0)]] * 2
    more, _ = start(replace(request, seeds=1, modes=("clip",), others=parts[:1], other_seeds=2), epochs=1)
    assert [r["seed"] for r in more["ablations"][0]["runs"]] == [0, 1]
    table = write_results_page(Path("results")).read_text()
    assert "| PAN with pooling, clip mode |" in table
    assert "| PAN without pose attention, clip mode |" in table
    again, _ = start(Request(seeds=1, modes=("clip",), splits=(1,)), epochs=1)
    assert [own["runs"] for own in again["ablations"]] == [own["runs"] for own in result["ablations"]]


def test_a_random_split_ignores_groups_and_keeps_sizes(start):
    data = prepare("stage", Path("cache"), Context(cache=Path("downloads")))
    official, shuffled = data.parts(2), data.parts(2, shuffled=7)
    for label in ("kick", "wave"):
        own = data.clips["label"] == label
        assert official[own].value_counts().to_dict() == shuffled[own].value_counts().to_dict()
    assert (shuffled[official == "unused"] == "unused").all()
    test_groups = set(data.clips.loc[shuffled == "test", "group"])
    assert test_groups & set(data.clips.loc[shuffled == "train", "group"])
    assert (shuffled != data.parts(2, shuffled=8)).any()


def test_two_results_are_compared_clip_by_clip(start):
    _, first = start(Request(seeds=1, modes=("clip",)), epochs=12, out="a")
    _, second = start(Request(seeds=1, modes=("clip",)), epochs=1, out="b")
    found = compare_results(first, second)
    one, other = (json.loads(path.read_text()) for path in (first, second))
    assert found.clips == 24
    assert found.difference == pytest.approx(one["mean_accuracy"] - other["mean_accuracy"])
    with refused("result.no-common-run", DataError):
        compare_results(first, second, mode="online")
    shutil.rmtree("cache")
    assert compare_results(first, second) == found


def test_other_code_is_another_run(start, monkeypatch):
    request = Request(seeds=1, modes=("clip",), splits=(1,))
    one, _ = start(request, epochs=1)
    monkeypatch.setattr(coordinator, "code_of", lambda variant: "other code")
    monkeypatch.setattr(runs, "code_of", lambda variant: "other code")
    two, _ = start(request, epochs=1)
    assert one["identity"] != two["identity"]
    assert len(list(Path("cache/runs").glob("*.json"))) == 2


def test_code_that_changes_during_a_benchmark_ends_it(start, monkeypatch):
    monkeypatch.setattr(runs, "code_of", lambda variant: "edited")
    with refused("benchmark.code-changed"):
        start(Request(seeds=1, modes=("clip",), splits=(1,)), epochs=1)


@pytest.mark.parametrize("name", ["skeletons.py", "training/fit.py", "benchmark/runs.py", "evaluation/metrics.py"])
def test_figures_rest_on_the_code_that_makes_them(tmp_path, monkeypatch, name):
    package = tmp_path / "pan_core"
    shutil.copytree(Path(methods.pan_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(methods.pan_core, "__file__", str(package / "__init__.py"))
    before = methods.code_of(Variant())
    (package / name).write_text((package / name).read_text() + "\nCHANGED = 1\n")
    assert methods.code_of(Variant()) != before


def test_what_cannot_be_run_is_refused(start):
    with pytest.raises(ConfigError) as caught:
        start(Request(seeds=1, modes=BOTH, splits=(4,)))
    assert caught.value.names == ("--splits",)
    assert str([1, 2]) in str(caught.value)


def with_groups(stage, monkeypatch, groups):
    """The dataset with other groups of its clips."""
    listed = type(stage).catalogue

    def changed(self, folder, context):
        found = listed(self, folder, context)
        return replace(found, clips=found.clips.assign(group=groups(found.clips)))

    monkeypatch.setattr(type(stage), "catalogue", changed)


def test_a_leak_cannot_be_shown_where_every_clip_is_a_group(start, stage, monkeypatch):
    with_groups(stage, monkeypatch, lambda clips: clips["clip_id"])
    with pytest.raises(ConfigError) as caught:
        start(Request(seeds=1, modes=BOTH, others=(LEAKAGE,)))
    assert caught.value.names == ("--control leakage",)


def test_a_leak_may_show_groups_that_nobody_named(start, stage, monkeypatch):
    with_groups(stage, monkeypatch, lambda clips: "")
    result, _ = start(Request(seeds=1, modes=("clip",), splits=(1,), others=(LEAKAGE,)), epochs=1)
    assert result["controls"][0]["mean_accuracy"] is not None


def test_videos_without_official_splits_are_refused_with_what_to_use_instead(start, stage, monkeypatch):
    monkeypatch.setattr(type(stage), "has_video", True)
    with refused("benchmark.no-split", DataError) as caught:
        start(Request(seeds=1, modes=BOTH))
    assert str(caught.value).split()[-2:] == ["--dataset", "stage"]


def test_networks_begin_with_what_they_learnt_on_another_dataset(start, recipe, tmp_path):
    """The pretraining of a seed is made once for both splits, and a second benchmark finds it."""
    request = Request(seeds=1, modes=("clip",))
    plain, _ = start(request, folder="plain/stage", out="a")
    changed = replace(recipe, pretrained_on="larger")
    arguments = {"folder": Path("cache/stage"), "context": Context(cache=Path("downloads")), "out": Path("b")}
    result = benchmark("stage", request, changed, **arguments)
    made = list(Path("cache/stage/runs").glob("pretrained-*.pt"))
    assert len(made) == 1
    assert result["identity"] != plain["identity"]
    stored = torch.load(made[0], weights_only=True)
    assert not [name for name in stored["weights"] if "head" in name.split(".")[0]]
    # A run that is made again says how long the one that it found had taken, which this machine may do in no time.
    torch.save(stored | {"seconds": 7.5}, made[0])
    for path in Path("cache/stage/runs").glob("*.json"):
        path.unlink()
    before = made[0].stat().st_mtime_ns
    again = benchmark("stage", replace(request, seeds=2), changed, **arguments | {"out": Path("c")})
    assert made[0].stat().st_mtime_ns == before
    assert {run["pretrain_seconds"] for run in again["runs"] if run["seed"] == 0} == {7.5}
    assert {run["pretrain_seconds"] for run in result["runs"]} != {7.5}
    write_results_page(Path("c"))


def test_a_dataset_is_not_pretrained_on_itself(recipe, stage, tmp_path):
    with refused("benchmark.pretrained-on-itself", ConfigError):
        benchmark(
            "stage", Request(seeds=1, modes=("clip",)), replace(recipe, pretrained_on="stage"),
            folder=tmp_path / "stage", context=Context(cache=tmp_path), out=tmp_path,
        )  # fmt: skip
