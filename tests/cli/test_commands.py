"""The command line itself: the groups, their help, and what is refused before any work."""

import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pan_core.cli.main import app

GROUPS = {
    "benchmark": {"compare", "run"},
    "data": {"check", "label", "list", "manifest", "remove-videos"},
    "edge": {"bundle", "import", "predict", "run", "targets"},
    "pose": {"benchmark", "train", "weights"},
    "recognizer": {"train-everyday"},
    "registry": {"list", "promote", "rollback"},
}
COMMANDS = {"doctor", "explain", "predict", "run", "serve", "stage", "summary", "tune", "ui", "watch"}
PARAMS = "dataset: actors\n"


@pytest.fixture
def workspace(request, tmp_path, monkeypatch):
    """A folder with params.yaml and the targets, in which nothing has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "targets.yaml").symlink_to(request.config.rootpath / "edge" / "targets.yaml")
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


@pytest.mark.parametrize("module", ["pan_core.cli.main", "pan_core.pose.extraction_job"])
def test_a_process_starts_without_libraries_that_it_does_not_use(module):
    """Every worker process imports the command that started it, and its job."""
    heavy = {"distributed", "matplotlib", "mlflow", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
    work = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True).stdout == "\n"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_groups_and_commands():
    commands = get_command(app).commands
    assert set(commands) == COMMANDS | set(GROUPS)
    for group, names in GROUPS.items():
        assert names <= set(commands[group].commands)


@pytest.mark.parametrize(
    "words",
    [
        (),
        *((name,) for name in sorted(COMMANDS | set(GROUPS))),
        *((group, name) for group, names in GROUPS.items() for name in sorted(names)),
    ],
    ids=" ".join,
)
def test_help_names_the_command_and_needs_no_workspace(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert " ".join(words) in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [("explian",), ("run", "--datset", "actors"), ("pose", "benchmark", "--clips", "0"), ("predict",)]
)
def test_unknown_names_and_values_are_usage_errors(workspace, words):
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("run", "--dataset", "actor"), "'actors'"),
        (("stage", "trian"), "trian"),
        (("tune",), "tune.trials"),
        (("tune", "--worker", "--show"), "--show"),
        (("summary",), "summary.json"),
        (("explain", "clip"), "clips.parquet"),
        (("predict", "absent.mp4"), "absent.mp4"),
        (("watch", "0", "--events", "events.txt"), "events.txt"),
        (("data", "check", "actor"), "'actors'"),
        (("data", "remove-videos"), "pose.keep_video"),
        (("data", "label", "."), "no videos"),
        (("edge", "bundle"), "models/exported"),
        (("edge", "bundle", "--target", "abacus"), "abacus"),
        (("edge", "import", "absent.json"), "absent.json"),
        (("benchmark", "compare", "a.json", "b.json"), "a.json"),
        (("pose", "train", "--size", "65"), "--size"),
        (("pose", "benchmark"), "models/pose/pose.onnx"),
        (("pose", "benchmark", "--network", "movnet"), "movnet"),
        (("pose", "benchmark", "--quality", "quick"), "quick"),
        (("pose", "benchmark", "--part", "fall"), "'fall'"),
        (("pose", "benchmark", "--data", "nowhere"), "nowhere"),
        (("pose", "benchmark", "--out", "table.md"), "table.md"),
        (("registry", "list", "--dataset", "actor"), "'actors'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_bad_input_is_one_message_without_a_traceback(workspace, words, named):
    result = run(*words)
    assert result.exit_code in (1, 66)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.output.startswith("error:")
    assert named in result.output


def test_commands_outside_of_a_workspace_name_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (("run",), ("tune",), ("explain", "clip"), ("data", "list"), ("pose", "benchmark")):
        result = run(*words)
        assert result.exit_code == 1
        assert "params.yaml" in result.output


def test_the_doctor_says_what_networks_run_on_and_that_two_packages_clash(workspace, monkeypatch):
    """Both packages bring the module onnxruntime, and pip knows nothing of it."""
    line = next(line for line in run("doctor").output.splitlines() if "ONNX Runtime runs on" in line)
    assert "CPUExecutionProvider" in line and line.startswith("ok")
    other = workspace / "packages" / "onnxruntime_gpu-1.31.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(other.parent))
    lines = run("doctor").output.splitlines()
    number = next(number for number, line in enumerate(lines) if "ONNX Runtime runs on" in line)
    assert lines[number].startswith("note") and "overwrites" in lines[number + 1]
