"""What `make chaos` does, in small: fewer kills, fewer stages, a shorter absence."""

import logging
import random
import subprocess
from pathlib import Path

import pytest
from chaos.__main__ import record
from chaos.servers import mlflow_server, running
from chaos.workspace import Workspace
from mlflow import MlflowClient
from penn_workspace import make_mirror
from ruamel.yaml import YAML

from pan_core.files import write_json
from pan_core.tracking import outbox
from pan_core.tracking import run as run_of_tracking
from pan_core.tracking.tracker import Tracker

TARGET = "relabel"


def outputs(workspace):
    """DVC's hashes of all that the stages made, but for their reports, which say how long they took."""
    lock = YAML(typ="safe").load((workspace.folder / "dvc.lock").read_text())
    outs = [out for stage in lock["stages"].values() for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if not out["path"].startswith("reports/")}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_run_that_was_killed_twice_ends_as_one_that_was_not(tmp_path):
    mirror = {"PAN_MIRROR": str(make_mirror(tmp_path))}
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    workspace.set({"dataset": "penn_action"})
    run = ("dvc", "repro", TARGET)
    workspace.must(*run, environment=mirror)
    undisturbed = outputs(workspace)
    assert {"data/clips.parquet", "data/poses", "data/segments.parquet"} <= set(undisturbed)
    workspace.forget()
    draw = random.Random(0)
    for stage, whole in (("split", True), ("pose", False)):
        process = workspace.start(*run, environment=mirror)
        workspace.wait_for(f"Running stage '{stage}'", process)
        try:
            process.wait(draw.uniform(0, 3))
        except subprocess.TimeoutExpired:
            workspace.kill(process, whole=whole)
    workspace.must(*run, environment=mirror)
    assert outputs(workspace) == undisturbed
    assert not list(workspace.folder.rglob("*.partial"))


@pytest.mark.timeout(600)
def test_what_mlflow_could_not_take_is_there_when_its_server_is_back(tmp_path, monkeypatch, caplog):
    """The process that writes is another one than that which delivers: a `Tracker` of its own."""
    (tmp_path / "server").mkdir()
    (tmp_path / "model.bin").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outbox, "FIRST_PAUSE_S", 0.2)
    caplog.set_level(logging.WARNING)
    with running(mlflow_server(tmp_path / "server")) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        with Tracker("actors").stage("train", fingerprint="f", params={"seed": 0}) as run:
            run.metrics({"loss": 1.0}, step=0)
            server.kill()
            for epoch in range(1, 20):
                run.metrics({"loss": 1 / epoch}, step=epoch)
            run.tag("pan.champion", 3)
            run.text("<svg/>", "training_curves.svg")
            run.artifact(tmp_path / "model.bin", "models")
            (tmp_path / "model.bin").unlink()
        assert {outbox.__name__, run_of_tracking.__name__} <= {record.name for record in caplog.records}
        server.start()
        Tracker("actors")
        client = MlflowClient(server.address)
        found = client.get_run(run.run_id)
        losses = {metric.step: metric.value for metric in client.get_metric_history(run.run_id, "loss")}
        assert losses == {0: 1.0} | {epoch: 1 / epoch for epoch in range(1, 20)}
        assert (found.info.status, found.data.tags["pan.champion"]) == ("FINISHED", "3")
        path = client.download_artifacts(run.run_id, "models/model.bin", str(tmp_path))
        assert Path(path).read_bytes() == b"weights"
    assert not list((tmp_path / "mlruns" / "outbox").rglob("message.json"))


def test_the_table_tells_what_failed_what_was_lost_and_what_was_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr("chaos.__main__.TABLE", tmp_path / "table.md")
    monkeypatch.setattr("chaos.__main__.ROWS", tmp_path / "table.json")
    row = {"fault": "Killed", "times": 20, "compared": "9 figures", "lost": ["weights"], "notes": "seen", "seconds": 7,
        "commit": "abc1234"}  # fmt: skip
    write_json(tmp_path / "table.json", {"killed": row, "disk_full": {"skipped": "needs root"}})
    record("clock_jumps", {"fault": "clock_jumps", "error": "AssertionError: gone"})
    lines = (tmp_path / "table.md").read_text().splitlines()
    rows = {
        cells[1]: cells[2:-1] for cells in ([cell.strip() for cell in line.split("|")] for line in lines) if cells[1:]
    }
    assert rows["Killed"] == ["20", "9 figures", "weights", "seen; 7 s, commit abc1234"]
    assert rows["disk_full"] == ["0", "", "", "not run: needs root"]
    assert rows["prefect_away"] == ["0", "", "", "not run yet"]
    assert rows["clock_jumps"] == ["1", "", "**failed**", "AssertionError: gone"]
