from flows.run_artifacts import figures, links
from pan_core.workspace import paths


def test_figures_flatten_by_dots():
    rows = figures({"accuracy": 0.5, "latency": {"step_ms": 2, "device": "cpu"}, "classes": ["a", "b"]})
    assert rows == [
        {"figure": "accuracy", "value": 0.5},
        {"figure": "latency.step_ms", "value": 2},
        {"figure": "latency.device", "value": "cpu"},
        {"figure": "classes", "value": "['a', 'b']"},
    ]


def test_links_lead_to_what_is_there(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = tmp_path / paths.REPORT
    report.parent.mkdir()
    report.touch()
    lines = links(tmp_path, "abc").splitlines()
    assert str(tmp_path) in lines[0]
    assert lines[2:] == ["- MLflow run: `abc` (`make ui`)", f"- [Report]({report.as_uri()}): `{report}`"]


def test_a_server_that_is_away_takes_no_link_from_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "`abc`" in links(tmp_path, "abc")
