"""MLflow rows, in a real store."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from refusals import refused

from pan_core.tracking.tracker import Tracker, store_uri, tables_of_runs


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Tracker("actors")


def runs(kind):
    client = MlflowClient(store_uri())
    experiment = client.get_experiment_by_name("actors")
    return client.search_runs([experiment.experiment_id], f"tags.`pan.kind` = '{kind}'")


def test_stages_are_nested_in_one_pipeline_row(tracker):
    for name in ("fetch", "train"):
        with tracker.stage(name, fingerprint="f", params={"seed": 0}) as run:
            run.metrics({"loss": 1.5}, step=3)
    tracker.close_pipeline("f", {"test_accuracy": 0.9}, {"report": "r"})
    (row,) = runs("pipeline")
    assert row.info.status == "FINISHED"
    assert row.data.metrics["test_accuracy"] == 0.9
    assert row.data.params == {"seed": "0"}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs("stage")} == {row.info.run_id}
    assert all(run.data.metrics["loss"] == 1.5 for run in runs("stage"))


def test_other_parameters_or_a_finished_row_begin_a_new_one(tracker):
    first = tracker.pipeline("f", {}).run_id
    assert tracker.pipeline("f", {}).run_id == first
    tracker.close_pipeline("f", {}, {})
    assert tracker.pipeline("f", {}).run_id != first


def test_a_row_that_nothing_will_finish_is_closed(tracker):
    left = tracker.pipeline("f", {}).run_id
    begun = tracker.pipeline("g", {}).run_id
    assert {run.info.run_id: run.info.status for run in runs("pipeline")} == {left: "KILLED", begun: "RUNNING"}


def test_a_failed_stage_is_marked_and_its_error_goes_on(tracker):
    with pytest.raises(ZeroDivisionError), tracker.stage("train", fingerprint="f", params={}):
        1 / 0  # noqa: B018
    assert [run.info.status for run in runs("stage")] == ["FAILED"]


def test_artifacts_can_be_read_back(tracker, tmp_path):
    with tracker.stage("evaluate", fingerprint="f", params={}) as run:
        run.text("<svg/>", "pictures/confusion.svg")
    client = MlflowClient(store_uri())
    path = client.download_artifacts(run.run_id, "pictures/confusion.svg", str(tmp_path))
    assert Path(path).read_text() == "<svg/>"


def test_the_ui_is_opened_with_the_table_of_each_dataset(tracker, monkeypatch):
    Tracker("penn_action")
    experiment = MlflowClient(store_uri()).get_experiment_by_name("actors").experiment_id
    tables = tables_of_runs(5000)
    assert set(tables) == {"actors", "penn_action"}
    assert tables["actors"] == f"http://127.0.0.1:5000/#/experiments/{experiment}?workflowType=machine_learning"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://pan:secret@tracking.example:5000/")
    with refused("store.own-ui") as caught:
        tables_of_runs(5000)
    assert "http://tracking.example:5000/#" in str(caught.value)


def test_an_experiment_that_somebody_deleted_is_told(tracker):
    client = MlflowClient(store_uri())
    client.delete_experiment(client.get_experiment_by_name("actors").experiment_id)
    with refused("store.experiment-deleted") as caught:
        Tracker("actors")
    assert "actors" in str(caught.value)


def test_two_machines_may_begin_an_experiment_at_the_same_time(tracker, monkeypatch):
    """The second has asked before the first has made it."""
    ask, asked = MlflowClient.get_experiment_by_name, []

    def too_early(self, name):
        asked.append(name)
        return None if len(asked) == 1 else ask(self, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    with Tracker("actors").stage("train", fingerprint="f", params={}) as run:
        run.metrics({"loss": 1.0})
    assert len(runs("stage")) == 1
