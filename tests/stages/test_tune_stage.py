"""The stage tune and `pan tune` on a workspace: real training, real MLflow, real processes."""

import json
import signal
import sqlite3
import time

import pandas as pd
import pytest

pytestmark = pytest.mark.timeout(900)  # a whole pipeline, also on a machine that has other work

QUICK = {
    "tune.study": "first", "tune.epochs": 2, "tune.trials": 3, "tune.leaders": 1, "tune.repeats": 2, "tune.pruner": "none",
    "tune.space": {"model": {"hidden": [16, 32]}, "train": {"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}}},
    "workers": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, new_workspace):
    """A workspace after a study of three trials; other tests of this file add to it."""
    workspace = new_workspace(tmp_path_factory.mktemp("tuning"))
    workspace.set(QUICK | {"dataset": "penn_action"})
    status, output = workspace.run("pan", "tune")
    assert status == 0, output[-3000:]
    return workspace, output


def report(workspace):
    return json.loads((workspace.folder / "reports" / "tune.json").read_text())


def test_the_winner_takes_the_place_of_params_yaml_in_training(tuned):
    workspace, output = tuned
    found = report(workspace)
    winner = found["leaders"][0]
    assert found["trials"] == 3
    assert found["source"].endswith(f"trial {winner['trial']}")
    assert found["values"]["model.hidden"]["from"] == found["source"]
    assert found["values"]["train.batch"]["from"] == "default"
    assert found["values"]["train.epochs"] == {"value": 4, "from": "params.yaml"}
    row = next(row for row in found["history"] if row["trial"] == winner["trial"])
    assert found["values"]["model.hidden"]["value"] == row["model.hidden"]
    assert len(winner["val_accuracies"]) == 2
    assert "leaders," in output
    status, output = workspace.run("pan", "stage", "train")
    assert status == 0, output
    model = json.loads((workspace.folder / "models" / "pan" / "online-split1" / "model.json").read_text())
    assert model["settings"]["hidden"] == row["model.hidden"]


def test_mlflow_has_one_row_of_the_study_with_its_trials_below(tuned):
    workspace, _ = tuned
    found = report(workspace)
    with sqlite3.connect(workspace.folder / "mlruns" / "mlflow.db") as store:
        parents = dict(store.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
        below = [run for run, parent in parents.items() if parent == found["mlflow_run_id"]]
        names = {store.execute("select name from runs where run_uuid = ?", (run,)).fetchone()[0] for run in below}
        states = {store.execute("select status from runs where run_uuid = ?", (run,)).fetchone()[0] for run in below}
        curve = store.execute(
            "select count(*) from metrics where key = 'val_accuracy' and run_uuid = ?", (below[0],)
        ).fetchone()[0]
        keys = {key for (key,) in store.execute("select key from params where run_uuid = ?", (below[0],))}
    leaders = {f"leader {leader['trial']}, seed {seed}" for leader in found["leaders"] for seed in (1, 2)}
    assert names == {"trial 0", "trial 1", "trial 2"} | leaders
    assert states == {"FINISHED"}
    assert curve == 2
    assert {"model.hidden", "train.learning_rate"} <= keys
    pictures = workspace.folder.glob(f"mlruns/artifacts/*/{found['mlflow_run_id']}/artifacts/*.svg")
    assert {path.stem for path in pictures} >= {"pareto_front", "history", "curves", "slices"}


def test_show_prints_the_front_without_a_run(tuned):
    workspace, _ = tuned
    status, output = workspace.run("pan", "tune", "--show")
    assert status == 0
    assert "3 complete; 3 complete trials wanted" in output
    _, _, front = output.partition("\nfront:")
    listed = {line.split()[0] for line in front.partition("\n\n")[0].splitlines()[2:]}
    assert listed == {str(number) for number in report(workspace)["front"]}


def test_labels_of_test_clips_are_never_read(tuned):
    """With each test label replaced by a word of its own the study is the same one, and nothing is left to do in it."""
    workspace, _ = tuned
    path = workspace.folder / "data" / "valid" / "clips.parquet"
    segments = workspace.folder / "data" / "valid" / "segments.parquet"
    kept = path.read_bytes(), segments.read_bytes()
    before = report(workspace)
    table, spans = pd.read_parquet(path), pd.read_parquet(segments)
    test = table["split1"] == "test"
    assert test.sum() == 12
    table.loc[test, "label"] = [f"unreadable {number}" for number in range(test.sum())]
    hidden = spans["clip_id"].isin(table.loc[test, "clip_id"])
    spans.loc[hidden, ["label", "parent_label"]] = "unreadable"
    table.to_parquet(path)
    spans.to_parquet(segments)
    try:
        status, output = workspace.run("pan", "stage", "tune")
    finally:
        path.write_bytes(kept[0])
        segments.write_bytes(kept[1])
    assert status == 0, output
    after = report(workspace)
    assert after["source"] == before["source"]
    assert after["history"] == before["history"]


@pytest.mark.long
def test_a_killed_study_goes_on_with_a_second_process_beside_it(tuned):
    """Killed with its workers in the middle of a trial; then two processes bring it to its end."""
    workspace, _ = tuned
    workspace.set({"tune.study": "again", "tune.trials": 5, "tune.epochs": 4, "workers": 2})
    process = workspace.start("pan", "stage", "tune")
    journal = workspace.folder / ".cache" / "tune" / "journal.log"
    end = time.monotonic() + 120
    while journal.read_text().count('"curve"') < 10 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    leader, helper = workspace.start("pan", "stage", "tune"), workspace.start("pan", "tune", "--worker")
    outputs = [each.communicate(timeout=240)[0] for each in (leader, helper)]
    assert [each.returncode for each in (leader, helper)] == [0, 0], outputs
    assert "study again: 5 trials are complete" in outputs[1]
    found = report(workspace)
    assert found["trials"] == 5
    assert found["failed"] >= 1
    with sqlite3.connect(workspace.folder / "mlruns" / "mlflow.db") as store:
        assert store.execute(
            "select count(*) from runs where status = 'RUNNING' and name like 'trial%'"
        ).fetchone() == (0,)


@pytest.mark.parametrize(
    ("changes", "command", "said"),
    [
        ({"tune.trials": 0}, ("pan", "tune"), "tune.trials is 0"),
        ({"tune.space": {"model": {"hiden": [16, 32]}}}, ("pan", "tune"), "did you mean 'hidden'?"),
        ({"seed": 5}, ("pan", "stage", "tune"), "give the new study another name"),
        ({}, ("pan", "tune", "--worker", "--show"), "choose one of them"),
        ({"tune.study": "unheard-of"}, ("pan", "tune", "--show"), "study unheard-of: has not begun"),
    ],
)
def test_a_slip_is_answered_in_one_message_before_the_first_trial(tuned, changes, command, said):
    workspace, _ = tuned
    path = workspace.folder / "params.yaml"
    before = path.read_text()
    workspace.set(changes)
    try:
        status, output = workspace.run(*command)
    finally:
        path.write_text(before)
    assert status == 1
    assert said in output
    assert "Traceback" not in output
