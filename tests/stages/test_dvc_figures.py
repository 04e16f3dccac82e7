"""What DVC's own commands show of a run, in a real repository."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from parameters import change

pytestmark = pytest.mark.timeout(900)  # the whole pipeline runs first, if no other test has made it run
IDENTITY = {f"GIT_{who}_{what}": "pan@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A finished run under Git, whose outputs are in DVC's cache."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment | IDENTITY

    def run(self, *command: str) -> str:
        """What a command printed; it must end well and warn of nothing."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WARNING" not in done.stderr, done.stderr
        return done.stdout

    def commit(self) -> None:
        """Take what the outputs are now into DVC's cache and dvc.lock, and commit that."""
        self.run("dvc", "commit", "--force", "--quiet")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "run")


@pytest.fixture(scope="module")
def repository(finished, tmp_path_factory):
    workspace, _ = finished
    folder = tmp_path_factory.mktemp("repository") / "project"
    shutil.copytree(workspace.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".dvc", ".cache", "mlruns"))
    made = Repository(folder, {**os.environ, **workspace.environment})
    made.run("git", "init", "--quiet")
    made.run("dvc", "init", "--quiet")
    (folder / ".gitignore").write_text("/data/*\n/models\n/reports\n/mlruns\n/.cache\n")
    made.commit()
    yield made


def result(folder: Path, stage: str) -> dict:
    return json.loads((folder / "reports" / f"{stage}.json").read_text())


def test_metrics_are_a_few_figures_of_the_stages_results(repository):
    shown = json.loads(repository.run("dvc", "metrics", "show", "--json"))[""]["data"]
    figures = {Path(name).stem: one["data"] for name, one in shown.items()}
    assert set(figures) == {"pose", "evaluate", "latency"}
    for stage, values in figures.items():
        assert values.items() <= result(repository.folder, stage).items()
    assert {"test_accuracy_clip", "test_accuracy_online", "test_share_without_people"} <= set(figures["evaluate"])
    assert {"step_p90_ms", "frame_p90_ms"} <= set(figures["latency"])
    assert sum(map(len, figures.values())) < 20  # columns that fit a screen


def test_plots_are_drawn_from_every_table(repository, tmp_path):
    page = repository.run("dvc", "plots", "show", "--out", str(tmp_path)).strip()
    assert page.endswith("index.html")
    drawn = (tmp_path / "index.html").read_text()
    for name in ("Loss", "Test clips", "Accuracy by the share of a clip that was seen", "Calibration"):
        assert name in drawn
    tables = {
        str(path.relative_to(repository.folder / "reports/plots")) for path in repository.folder.rglob("plots/*/*.csv")
    }
    both = {f"{mode}-split1.csv" for mode in ("clip", "online")}
    assert {f"{folder}/{name}" for folder in ("confusion", "calibration", "training") for name in both} <= tables
    assert "observed/online-split1.csv" in tables
    assert "observed/clip-split1.csv" not in tables  # what a clip mode answers before the end means nothing


def test_the_tables_are_what_the_results_say(repository):
    plots = repository.folder / "reports" / "plots"
    with (plots / "confusion" / "clip-split1.csv").open() as file:
        rows = list(csv.DictReader(file))
    evaluated = result(repository.folder, "evaluate")
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert right / evaluated["test_clips_listed"] == pytest.approx(evaluated["test_accuracy_clip"])
    with (plots / "observed" / "online-split1.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["accuracy"]) == pytest.approx(evaluated["test_accuracy_online"])
    with (plots / "training" / "clip-split1.csv").open() as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) > 1


def test_two_commits_are_compared(repository, tmp_path):
    folder = repository.folder
    before = result(folder, "evaluate")["test_accuracy_clip"]
    metrics = folder / "reports" / "metrics" / "evaluate.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"test_accuracy_clip": before / 2}))
    change(folder / "params.yaml", {"train.epochs": 77})
    repository.commit()
    difference = json.loads(repository.run("dvc", "metrics", "diff", "HEAD~1", "--json"))
    changed = difference["reports/metrics/evaluate.json"]
    assert set(changed) == {"test_accuracy_clip"}
    assert changed["test_accuracy_clip"] == {"old": before, "new": before / 2, "diff": -before / 2}
    assert "77" in repository.run("dvc", "params", "diff", "HEAD~1")
    repository.run("dvc", "plots", "diff", "HEAD~1", "--out", str(tmp_path))
    assert "HEAD~1" in (tmp_path / "index.html").read_text()
    table = json.loads(repository.run("dvc", "exp", "show", "--json"))
    data = table[0]["data"]
    assert data["metrics"]["reports/metrics/evaluate.json"]["data"]["test_accuracy_clip"] == before / 2
    assert data["params"]["params.yaml"]["data"]["train"]["epochs"] == 77


def test_the_recognizer_is_an_artifact_that_another_project_can_fetch(repository, tmp_path):
    with Repo(repository.folder) as repo:
        (found,) = (artifact for named in repo.artifacts.read().values() for artifact in named.items())
    assert (found[0], found[1].type, found[1].path) == ("recognizer", "model", "models/pan")
    assert "action-recognition" in found[1].labels
    repository.run("dvc", "get", str(repository.folder), "models/pan", "--out", str(tmp_path / "pan"))
    assert (tmp_path / "pan" / "clip-split1" / "model.safetensors").is_file()
