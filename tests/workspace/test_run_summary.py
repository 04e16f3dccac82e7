"""The closing table names what its test accuracy counts."""

import pytest

from pan_core.files import write_json
from pan_core.workspace import paths
from pan_core.workspace.run_summary import summary_table

FIGURES = {
    "dataset": "jhmdb", "clips": 900, "classes": 21, "pose_pck": None, "test_accuracy_clip": 0.5, "test_accuracy_online": 0.4,
    "test_clips": 243, "test_clips_listed": 268, "latency_step_p90_ms": 0.4, "latency_p90_ms": 20.0, "latency_p50_ms": 10.0,
    "params": 1000, "model_bytes": 4000, "registered_model": "pan-jhmdb", "registered_version": 1, "decision": "promoted",
    "mlflow_run_id": "0" * 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("added", "line"),
    [
        ({"test_accuracy_counts": "all test clips"}, "268, of which 25 without people (9.3%): mistakes"),
        ({}, "268, of which 25 without people (9.3%): left out of the accuracy"),
        ({"test_clips": 268}, "268, of which all have people"),
    ],
)
def test_test_clips_without_people_stand_beside_the_accuracy(tmp_path, monkeypatch, added, line):
    monkeypatch.chdir(tmp_path)
    write_json(paths.SUMMARY, FIGURES | added)
    assert line in summary_table()
