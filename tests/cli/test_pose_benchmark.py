"""`pan pose benchmark` from the command line: what it writes, what it names as missing, and that it goes on."""

import json
import shutil

import mlflow
import pytest
from typer.testing import CliRunner

from pan_core.cli.main import app


@pytest.fixture
def workspace(tmp_path, monkeypatch, pose_model):
    """A folder with the paper's network, in which nothing else has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAN_MIRROR", raising=False)
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    (tmp_path / "models" / "pose").mkdir(parents=True)
    shutil.copy2(pose_model, tmp_path / "models" / "pose" / "pose.onnx")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["pose", "benchmark", *(str(word) for word in words)])


def test_one_part_of_one_point_beside_the_reference(workspace, real_data):
    words = (
        "--part",
        "people",
        "--network",
        "movenet",
        "--quality",
        "fast",
        "--data",
        real_data,
        "--out",
        "found.json",
    )
    result = run(*words)
    assert result.exit_code == 0, result.output
    found = json.loads((workspace / "found.json").read_text())
    (point,) = found["points"]
    assert (point["network"], point["quality"], point["people"]) == ("movenet", "fast", 12)
    assert found["reference"]["quality"] == "reference"
    assert 0.5 < point["people_pck_0_1"] <= 1
    needed = {"network", "quality", "ms_per_frame", "pck_0_1", "pck_0_05", "oks_ap", "falls_covered", "falling_pck",
              "falling_last_pck", "jhmdb_without_people", "jhmdb_on_actor", "switches"}  # fmt: skip
    assert needed <= point.keys() & found["reference"].keys()
    assert {"falls", "jhmdb", "crossing", "actors", "cost"} <= found["missing"].keys()
    assert "people" not in found["missing"]
    assert "actors: data/clips.parquet is missing" in result.output
    assert "movenet" in (workspace / "found.md").read_text()
    rows = mlflow.MlflowClient(f"sqlite:///{workspace}/mlruns/mlflow.db").search_experiments()
    assert "pose-benchmark" in {row.name for row in rows}
    stored = {path: path.stat().st_mtime_ns for path in (workspace / ".cache" / "benchmark" / "pose").glob("people-*")}
    assert run(*words).exit_code == 0
    assert len(stored) == 2
    assert all(path.stat().st_mtime_ns == time for path, time in stored.items())
    assert json.loads((workspace / "found.json").read_text())["points"] == found["points"]


def test_a_model_that_cannot_be_used_ends_it_before_the_work(workspace):
    (workspace / "cut.onnx").write_bytes(b"\x08\x07")
    for name in ("cut.onnx", "none.yaml", "none.onnx"):
        result = run("--part", "small", "--model", name, "--out", "found.json")
        assert result.exit_code in (1, 66)
        assert result.output.startswith("error:")
        assert name in result.output
    assert not (workspace / "found.json").exists()
    assert not (workspace / ".cache" / "benchmark").exists()


def test_a_page_that_is_not_the_table_s_is_not_replaced(workspace):
    (workspace / "notes.md").write_text("# Notes\n")
    result = run("--part", "small", "--out", "notes.json")
    assert result.output.startswith("error:")
    assert "notes.md" in result.output
    assert (workspace / "notes.md").read_text() == "# Notes\n"
