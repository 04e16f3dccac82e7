"""The pipeline as a user runs it: real DVC, real MLflow, every stage."""

import json
import re
import shutil
import signal
import sqlite3
import time
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock
from refusals import refused
from safetensors.numpy import load_file

from pan_core.datasets.splits import groups_of
from pan_core.model.store import load_model
from pan_core.params.load import load_params
from pan_core.recognition.event_rules import load_rules, write_rules
from pan_core.registry.models import DATA, DECISION, RECIPE, RULES, SHA256, registry_of
from pan_core.stages import STAGES, train
from pan_core.workspace.training_data import read_training_data

pytestmark = pytest.mark.timeout(900)  # a whole pipeline, also on a machine that has other work


def reports(workspace):
    return {name: json.loads((workspace.folder / "reports" / f"{name}.json").read_text()) for name in STAGES}


def stages_run(output):
    """Stages that DVC ran, by what it printed."""
    return re.findall(r"Running stage '(\w+)'", output)


def champion(workspace, monkeypatch):
    """Number of the champion."""
    with monkeypatch.context() as patch:
        patch.chdir(workspace.folder)
        return registry_of("penn_action").champion().number


def test_every_stage_leaves_its_result_with_its_run(finished):
    workspace, _ = finished
    results = reports(workspace)
    with sqlite3.connect(workspace.folder / "mlruns" / "mlflow.db") as store:
        runs = dict(store.execute("select run_uuid, status from runs"))
    assert {name: runs[result["mlflow_run_id"]] for name, result in results.items()} == dict.fromkeys(
        STAGES, "FINISHED"
    )
    recognizer = workspace.folder / "models/pan/online-split1"
    rules = load_rules(recognizer, load_model(recognizer).actions)
    assert set(rules) == set(load_model(recognizer).actions)
    assert load_rules(workspace.folder / "models/exported/targets/host", tuple(rules)) == rules
    assert results["train"]["online-split1_event_hits"] + results["train"]["online-split1_event_misses"] > 0
    assert results["split"]["parts"]["split1"]["test"] == 12
    assert results["split"]["parts"]["split1"]["train"] + results["split"]["parts"]["split1"]["val"] == 30


def test_summary_has_the_figures_of_the_table(finished):
    workspace, output = finished
    summary = json.loads((workspace.folder / "reports" / "summary.json").read_text())
    assert {"test_accuracy", "pose_pck", "latency_p90_ms", "params"} <= set(summary)
    assert f"{100 * summary['test_accuracy_online']:.1f} %" in output
    assert output.endswith(workspace.run("pan", "summary")[1])


def test_report_needs_no_other_file(finished):
    page = (finished[0].folder / "reports" / "report.html").read_text()
    assert len(page) > 50_000
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_a_clip_is_explained_in_one_picture(finished):
    workspace, _ = finished
    status, output = workspace.run("pan", "explain", "0040")
    assert status == 0, output
    picture, written = output.splitlines()
    assert len(picture.split()) > 5  # what it shows, in words
    assert (workspace.folder / written.partition(": ")[2]).name == "explained_0040.svg"
    assert (workspace.folder / "predictions" / "explained_0040.svg").is_file()


def test_nothing_is_done_twice(finished):
    workspace, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (workspace.folder / "reports").rglob("*") if path.is_file()}
    status, output = workspace.run("dvc", "repro")
    assert status == 0
    assert stages_run(output) == []
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.long
def test_a_killed_training_goes_on_and_ends_as_if_undisturbed(finished, tmp_path):
    workspace, _ = finished
    kept = tmp_path / "models"
    shutil.copytree(workspace.folder / "models" / "pan", kept)
    checkpoint = workspace.folder / ".cache" / "checkpoints" / "penn_action" / "clip-split1.pt"
    process = workspace.start("pan", "stage", "train")
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert checkpoint.is_file()
    status, output = workspace.run("pan", "stage", "train")
    assert status == 0, output
    for mode in ("clip", "online"):
        name = f"{mode}-split1/model.safetensors"
        again, undisturbed = load_file(workspace.folder / "models" / "pan" / name), load_file(kept / name)
        assert all(np.array_equal(again[key], undisturbed[key]) for key in undisturbed)


def test_a_second_run_at_the_same_time_is_told(finished):
    workspace, _ = finished
    with FileLock(workspace.folder / ".dvc" / "tmp" / "pan-run.lock"):
        status, output = workspace.run("pan", "run")
    assert status == 1
    assert "another run is going on in" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("pan", "run", "--dataset", "pen_action"), "did you mean 'penn_action'?"),
        (("pan", "stage", "trian"), "the stages are fetch, split"),
        (("pan", "predict", "absent.mp4"), "absent.mp4"),
        (("pan", "explain", "absent"), "no such clip"),
    ],
)
def test_a_slip_is_answered_in_one_message(finished, command, said):
    status, output = finished[0].run(*command)
    assert status == 1
    assert said in output
    assert "Traceback" not in output


def test_three_mistakes_in_params_are_told_at_once_and_nothing_is_lost(finished):
    workspace, _ = finished
    path = workspace.folder / "params.yaml"
    good = path.read_text()
    path.write_text(good.replace("  epochs: 4", "  epoch: 4\n  batch: 0") + "\nmodle: {}\n")
    try:
        status, output = workspace.run("pan", "run")
    finally:
        path.write_text(good)
    assert status == 1
    assert output.count("\n  - ") == 3
    assert {"'epochs'?", "'model'?"} <= set(output.split())
    assert (workspace.folder / "reports" / "summary.json").is_file()


def test_other_training_parameters_train_again_and_nothing_before(finished):
    workspace, _ = finished
    workspace.set({"train.epochs": 3})
    status, output = workspace.run("dvc", "repro", "train")
    assert status == 0, output
    assert stages_run(output) == ["tune", "train"]
    histories = json.loads((workspace.folder / "models" / "pan" / "histories.json").read_text())
    assert {name: len(history) for name, history in histories.items()} == {"clip-split1": 3, "online-split1": 3}


def test_the_first_model_is_the_champion(finished, monkeypatch):
    workspace, _ = finished
    decided = json.loads((workspace.folder / "reports" / "promote.json").read_text())
    status, output = workspace.run("pan", "registry", "list")
    assert status == 0, output
    failed = [check["name"] for check in decided["checks"] if not check["passed"]]
    if decided["promoted"]:
        assert "pan-penn_action version 1 (champion)" in output
        assert failed == []
    else:  # the expectations on so small a dataset need not be met, and are a condition
        assert failed == ["expectations on the data"]
        assert workspace.run("pan", "registry", "promote", "1")[0] == 0
    page = (workspace.folder / "reports" / "promotion.html").read_text()
    assert all(check["name"] in page for check in decided["checks"])
    status, output = workspace.run("pan", "registry", "rollback")
    assert status == 1
    assert output.startswith("error:")
    assert champion(workspace, monkeypatch) == 1


@pytest.mark.long
def test_a_second_model_is_weighed_against_the_champion_and_can_be_taken_back(finished, monkeypatch):
    workspace, _ = finished
    workspace.set({"train.epochs": 3})  # as the test before has it, so its training is not done again
    status, output = workspace.run("dvc", "repro")
    assert status == 0, output[-3000:]
    decided = json.loads((workspace.folder / "reports" / "promote.json").read_text())
    summary = json.loads((workspace.folder / "reports" / "summary.json").read_text())
    assert decided["version"] == summary["registered_version"] == 2
    assert decided["champion"].split()[:2] == ["version", "1"]
    names = [check["name"] for check in decided["checks"]]
    assert {"classes", "accuracy on the holdout", "each class"} <= set(names)
    listed = workspace.run("pan", "registry", "list")[1]
    assert f"version {2 if decided['promoted'] else 1} (champion)" in listed
    assert decided["reason"] in listed
    assert workspace.run("pan", "registry", "promote", "2")[0] == 0
    status, output = workspace.run("pan", "registry", "rollback")
    assert status == 0
    assert champion(workspace, monkeypatch) == 1
    status, output = workspace.run("pan", "registry", "promote", "9")
    assert status == 1
    assert "has no version 9; it has 2, 1" in output


def test_training_starts_from_the_champion_unless_it_may_have_learnt_what_now_tests(finished, monkeypatch, capsys):
    workspace, _ = finished
    monkeypatch.chdir(workspace.folder)
    params, data = load_params(), read_training_data()
    params = params.model_copy(update={"retrain": params.retrain.model_copy(update={"champion": 1})})
    registry = registry_of("penn_action")

    def weights():
        return train.champion_weights(registry, registry.version(1), params, params.model, data)

    registered = load_file(workspace.folder / "models" / "pan" / "online-split1" / "model.safetensors")
    assert train.starting_weights(params, params.model, data).keys() == weights().keys() == registered.keys()
    (lineage,) = (workspace.folder / ".cache" / "registry").rglob("1-*/lineage.json")
    kept = lineage.read_text()
    test = data.clips[data.clips["split1"] == "test"]
    stored = json.loads(kept)
    lineage.write_text(json.dumps(stored | {"groups": [*stored["groups"], groups_of(test).iloc[0]]}))
    with refused("champion.learnt-test-clips") as caught:
        weights()
    assert train.starting_weights(params, params.model, data) is None
    assert str(caught.value) in capsys.readouterr().out
    lineage.unlink()
    with refused("champion.unknown-lineage"):
        weights()
    lineage.write_text(kept)
    file = lineage.with_name("model.safetensors")
    file.rename(file.with_suffix(".gone"))
    with refused("recognizer.incomplete"):
        weights()
    assert train.starting_weights(params, params.model, data) is None
    file.with_suffix(".gone").rename(file)


@pytest.mark.long
def test_a_promotion_that_died_before_its_reasons_were_written_is_finished(finished, monkeypatch):
    workspace, _ = finished
    monkeypatch.chdir(workspace.folder)
    registry = registry_of("penn_action")
    registry.promote(2)
    registry.tag(2, DECISION, "")
    assert registry.trained(registry.version(2).tags[DATA], registry.version(2).tags[RECIPE]) is None
    assert workspace.run("pan", "stage", "promote")[0] == 0
    version = registry.version(2)
    assert version.tags[DECISION].startswith("the champion already; its own conditions: ")
    assert registry.trained(version.tags[DATA], version.tags[RECIPE]) == version


def test_a_model_over_its_budget_is_not_promoted(finished):
    workspace, _ = finished
    workspace.set({"latency.budget_step_ms": 0.0001})
    status, output = workspace.run("pan", "stage", "latency")
    assert status == 0
    assert "0.0001" in output
    status, output = workspace.run("pan", "stage", "promote")
    workspace.set({"latency.budget_step_ms": 500})
    assert status == 0
    decided = json.loads((workspace.folder / "reports" / "promote.json").read_text())
    assert not decided["promoted"]
    assert [check["passed"] for check in decided["checks"] if "step" in check["name"]] == [False]


def test_the_same_weights_with_other_rules_of_events_are_another_version_that_carries_them(finished, monkeypatch):
    workspace, _ = finished
    monkeypatch.chdir(workspace.folder)
    registry, trained = registry_of("penn_action"), workspace.folder / "models/pan/online-split1"
    before, actions = registry.versions()[0], load_model(trained).actions
    rules = {action: replace(rule, threshold=0.77) for action, rule in load_rules(trained, actions).items()}
    write_rules(trained, rules, miss_cost=1.0, without_example=[])
    for _ in range(2):  # the second finds the version of the first
        status, output = workspace.run("pan", "stage", "promote")
        assert status == 0, output
        newest = registry.versions()[0]
        assert newest.number == before.number + 1
        assert newest.tags[SHA256] == before.tags[SHA256]
        assert newest.tags[RULES] != before.tags[RULES]
    assert load_rules(registry.fetch(newest), actions) == rules
    assert load_rules(registry.fetch(before), actions) != rules
