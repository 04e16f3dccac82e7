import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from refusals import refused

from flows.reproduce import project_root, reproduce, select, stage_order, thinned
from pan_core.workspace.failures import LockedError, RefusedError, StageError

# Written backwards on purpose: c needs b, b needs a; d needs nothing.
BACKWARDS = """
stages:
  c:
    cmd: cat b.txt > c.txt
    deps: [b.txt]
    outs: [c.txt]
  d:
    cmd: echo d > d.txt
    outs: [d.txt]
  b:
    cmd: cat a.txt > b.txt
    deps: [a.txt]
    outs: [b.txt]
  a:
    cmd: echo a > a.txt
    outs: [a.txt]
"""


def one_stage(command: str) -> str:
    return f"stages:\n  only:\n    cmd: {command}\n    outs: [out.txt]\n"


def test_stages_follow_the_graph_and_then_the_file(project):
    # d is free and stands before a in the file; b and c wait for what they need.
    assert stage_order(project(BACKWARDS)) == ["d", "a", "b", "c"]


def test_a_broken_pipeline_is_an_error_for_people(project):
    with refused("pipeline.unreadable") as error:
        stage_order(project("stages:\n  a:\n    command: echo\n"))
    assert "dvc.yaml" in str(error.value)


def test_without_a_pipeline_the_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused("pipeline.missing") as error:
        project_root()
    assert str(tmp_path) in str(error.value)


def test_targets_keep_the_order_of_the_graph():
    assert select(["fetch", "split", "pose"], ["pose", "fetch"]) == ["fetch", "pose"]
    assert select(["fetch", "split", "pose"], None) == ["fetch", "split", "pose"]


def test_unknown_targets_are_all_named_with_the_nearest():
    with refused("pipeline.unknown-target") as error:
        select(["fetch", "split", "pose"], ["pos", "xyz", "split"])
    assert "'pose'?" in str(error.value)
    assert "'xyz'" in str(error.value)


def test_output_arrives_while_the_stage_runs(project):
    root = project(one_stage("python -c \"import time; print('one'); time.sleep(1.5); print('two')\" && touch out.txt"))
    seen: dict[str, float] = {}
    reproduce("only", root, lambda line: seen.setdefault(line, time.monotonic()))
    assert 1.0 < seen["two"] - seen["one"] < 4.0
    assert (root / "out.txt").exists()


def test_a_second_run_does_nothing(project):
    root = project(one_stage("date +%s%N > out.txt"))
    reproduce("only", root, lambda line: None)
    first, lines = (root / "out.txt").read_text(), []
    reproduce("only", root, lines.append)
    assert (root / "out.txt").read_text() == first
    assert any("skipping" in line for line in lines)


def test_a_stage_imports_the_code_that_lies_beside_it(project):
    root = project(one_stage('python -c "import pan_core; print(pan_core.WHERE)" > out.txt'))
    (root / "pan_core").mkdir()
    (root / "pan_core/__init__.py").write_text("WHERE = 'here'\n")
    reproduce("only", root, lambda line: None)
    assert (root / "out.txt").read_text() == "here\n"


def test_a_failing_stage_reports_its_last_lines(project):
    root = project(one_stage("echo the disk is full && exit 3"))
    with refused("stage.failed", StageError) as error:
        reproduce("only", root, lambda line: None)
    assert "the disk is full" in str(error.value)


REFUSES = """
from pan_core.errors import DataError
from pan_core.workspace.failures import recorded_failure

with recorded_failure("only"):
    raise DataError("the camera film is torn", code="video.torn")
"""


def test_a_stage_that_refuses_its_input_is_told_by_its_failure_file(project):
    root = project(one_stage("python refuses.py"))
    (root / "refuses.py").write_text(REFUSES)
    (root / "pan_core").symlink_to(Path(__file__).parents[2] / "pan_core")
    with refused("video.torn", RefusedError) as error:
        reproduce("only", root, lambda line: None)
    assert (error.value.stage, error.value.reason, error.value.measured) == ("only", "the camera film is torn", False)
    (root / "refuses.py").write_text("raise SystemExit(66)")
    with refused("stage.failed", StageError):
        reproduce("only", root, lambda line: None)  # the file of before says nothing of this time


def test_a_project_that_is_busy_is_said_to_be(project):
    root = project(one_stage("touch started && sleep 30 && touch out.txt"))
    other = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-q"], cwd=root, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        wait_for((root / "started").exists)
        with refused("stage.locked", LockedError):
            reproduce("only", root, lambda line: None)
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()


def test_an_interrupt_ends_the_stage_with_all_its_processes(project):
    root = project(one_stage("sh -c 'echo $$ > pid && sleep 60' && touch out.txt"))
    code = "from pathlib import Path; from flows.reproduce import reproduce; reproduce('only', Path.cwd(), print)"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    # A shell that starts the tests in the background has them ignore the interrupt, which children inherit.
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        env=env,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: (root / "pid").exists() and (root / "pid").read_text().strip())
    stage = int((root / "pid").read_text())
    runner.send_signal(signal.SIGINT)
    assert runner.wait(30) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(stage, 0)


def test_bars_that_redraw_themselves_are_thinned():
    # A bar drawn each second from second 1 to 25, between two plain lines: seconds 10 and 20 are shown.
    lines = ["start\n", *[f"{second} %\r" for second in range(1, 26)], "\n", "end\r\n"]
    clock = Clock()
    assert list(thinned(clock.ticking(lines), clock=clock)) == ["start", "10 %", "20 %", "end"]


class Clock:
    """Tells the number of progress lines that it has passed on, as seconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> float:
        return self.now

    def ticking(self, lines):
        for line in lines:
            self.now += line.endswith("\r")
            yield line


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
