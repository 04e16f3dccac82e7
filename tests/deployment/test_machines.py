"""One stage past one machine, with the services of compose.yaml as processes; `python tests/deployment` does all of them."""

import json

import boto3
import pytest
from chaos.servers import postgresql_programs
from deployment.machines import Clone, machines, told
from mlflow import MlflowClient
from penn_workspace import make_mirror

STAGES = ("fetch",)
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # PostgreSQL, MLflow and Prefect make their tables


def files(clone):
    raw = clone.folder / "data" / "raw"
    return {path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The servers, and two clones: the first's worker has run the stages and it has pushed, the second has pulled."""
    if postgresql_programs() is None:
        pytest.skip("PostgreSQL's server is not installed; on Debian: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("machines")
    (folder / "servers").mkdir()
    mirror = make_mirror(folder)
    with machines(folder / "servers") as running:
        first = Clone(folder / "first", running.environment, mirror)
        first.set({"dataset": "penn_action"})
        with first.workers():
            targets = f"targets={json.dumps(STAGES)}"
            first.run("prefect", "deployment", "run", "pan/full-pipeline", "--param", targets, "--watch")
        first.run("dvc", "push", *STAGES)
        first.commit("parameters and dvc.lock")
        second = Clone(folder / "second", running.environment, mirror, source=first.folder)
        second.run("dvc", "remote", "add", "--local", "--default", "shared", "s3://dvc/pan")
        second.run("dvc", "pull", *STAGES)
        yield running, first, second


def test_what_one_clone_pushed_another_pulls_and_has_nothing_to_do(shared):
    _, first, second = shared
    printed = second.run("dvc", "repro", *STAGES)
    assert "Running stage" not in printed
    assert [printed.count(f"Stage '{name}' didn't change, skipping") for name in STAGES] == [1] * len(STAGES)
    assert files(second) == files(first) != {}


def test_runs_and_their_artifacts_are_on_the_server(shared):
    running, first, _ = shared
    client = MlflowClient(running.environment["MLFLOW_TRACKING_URI"])
    for stage in STAGES:
        report = json.loads((first.folder / "reports" / f"{stage}.json").read_text())
        run = client.get_run(report["mlflow_run_id"])
        assert run.info.status == "FINISHED"
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == [f"{stage}.json"]
    assert not (first.folder / "mlruns" / "mlflow.db").exists()
    stored = boto3.session.Session().client("s3", endpoint_url=running.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="pan", aws_secret_access_key="-", region_name="us-east-1")  # fmt: skip
    assert {item["Key"].rpartition("/")[2] for item in stored.list_objects_v2(Bucket="mlflow")["Contents"]} >= {
        "fetch.json"
    }


def test_prefect_has_the_run_in_its_database(shared):
    import requests

    running = shared[0]
    runs = requests.post(f"{running.environment['PREFECT_API_URL']}/flow_runs/filter", json={}, timeout=20).json()
    done = [run["state"]["type"] for run in runs if run["state"]["type"] != "SCHEDULED"]  # the nights to come
    assert done == ["COMPLETED"]
    assert not list((running.folder / "prefect").glob("*.db"))


def test_no_log_and_no_file_has_a_password_in_it(shared):
    running, first, _ = shared
    assert (running.folder / "mlflow.log").stat().st_size
    assert running.database_log.stat().st_size
    assert told([first.folder.parent, running.database_log]) == []
