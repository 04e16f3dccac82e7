"""The faults: each is done to a workspace for real, and what became of it is compared with an undisturbed run."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from chaos.servers import mlflow_server, prefect_server, running
from chaos.workspace import REDUCED, Workspace, differences
from ruamel.yaml import YAML

from pan_core.stages import STAGES

RUN = ("pan", "run")
POSES = ("dvc", "repro", "pose")
FLOW = (sys.executable, "-m", "flows.pan")
WARM_S = 2.0
"""CPU seconds after which a process that extracts poses is past its imports."""
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@dataclass(frozen=True)
class FaultOutcome:
    """A row of the table.

    Attributes:
        fault: What was done.
        times: How often.
        compared: With what, and how much of it.
        lost: What was not there in the end; empty for nothing.
        notes: What else was seen.
    """

    fault: str
    times: int
    compared: str
    lost: list[str]
    notes: str = ""


@dataclass(frozen=True)
class Undisturbed:
    """What a run without faults gave, and how long it took in s."""

    results: dict[str, object]
    seconds: float

    def lost(self, workspace: Workspace) -> list[str]:
        """What a workspace does not have in common with it."""
        return differences(workspace.results(), self.results)

    def compared(self) -> str:
        """What `lost` looks at."""
        kinds = Counter(name.partition(" ")[0] for name in self.results)
        curves, weights, left = kinds["curve"], kinds["weights"], kinds["left"]
        figures = sum(kinds.values()) - curves - weights - left
        return (
            f"{figures} figures of the reports, weights of {weights} networks bit by bit, {curves} curves in MLflow; that no row is "
            "open or doubled, one model is registered, nothing is half-written or undelivered"
        )


def undisturbed(workspace: Workspace) -> Undisturbed:
    """A run without faults; the cache has the poses already, so that it takes as long as those that follow."""
    begun = time.monotonic()
    workspace.must(*RUN)
    return Undisturbed(workspace.results(), time.monotonic() - begun)


def killed(
    workspace: Workspace, expected: Undisturbed, moments: Iterator[list[float]], wanted: int
) -> Iterator[FaultOutcome]:
    """SIGKILL at moments given as shares of an undisturbed run, one list for each run.

    A run that was killed is started again, until all its moments have passed and it ends; that is one more time to be
    killed in the start. In turn all processes die, as when the power fails, and the first alone, as when somebody kills
    what they started; two times of four it is `pan run`, two times Prefect's flow. One run in three has its poses to extract,
    too. A run that is over before its moment counts for nothing. Yields what is known after each run, until as many kills
    as wanted are done.
    """
    lost: list[str] = []
    stages, slowest, kills = Counter[str](), 0.0, 0
    for number, run in enumerate(moments):
        workspace.forget(poses=number % 3 == 1)
        passed = 0.0
        for moment in sorted(run):
            process = workspace.start(*(FLOW if kills % 4 >= 2 else RUN))
            try:
                # What is up to date is passed over quickly, so it costs no time that counts.
                workspace.passed_over(process, passed)
                process.wait(max((moment - passed) * expected.seconds, 0.1))
            except subprocess.TimeoutExpired:
                stages[workspace.stage_at_work()] += 1
                slowest = max(slowest, workspace.kill(process, whole=kills % 2 == 0))
                kills += 1
            passed = moment
        workspace.must(*RUN)
        lost += [f"run {number + 1}: {name}" for name in expected.lost(workspace)]
        where = ", ".join(f"{name} {count}" for name, count in stages.most_common())
        yield FaultOutcome(
            "SIGKILL of `pan run` or the Prefect flow at random moments, then `pan run`",
            kills,
            f"{expected.compared()}, after each of {number + 1} runs",
            lost,
            f"killed in: {where}; no process was left {slowest:.0f} s after a kill",
        )
        if kills >= wanted:
            return


def mlflow_away(workspace: Workspace, seconds_away: float, epochs: int) -> FaultOutcome:
    """MLflow's server is killed in the middle of a training and comes back.

    Only training and what follows run: the workspace has finished with fewer epochs, and goes back to them in the end.
    """
    before = (workspace.folder / "dvc.lock").read_text()
    workspace.set({"train.epochs": epochs})
    folder = workspace.folder / "server"
    folder.mkdir()
    with running(mlflow_server(folder)) as server:
        address = {"MLFLOW_TRACKING_URI": server.address}
        process = workspace.start(*RUN, environment=address)
        while _epoch(workspace, epochs) < 2:
            assert process.poll() is None, workspace.printed()
            time.sleep(0.1)
        server.kill()
        begun = time.monotonic()
        time.sleep(seconds_away)
        trained = _epoch(workspace, epochs)
        server.start()
        away = time.monotonic() - begun
        status = process.wait()
        assert status == 0, workspace.printed()[-6000:]
        assert "is kept in" in workspace.printed(), "the run must tell that the server is away"
        lost = _not_in_mlflow(workspace, server.address)
    workspace.set({"train.epochs": REDUCED["train.epochs"]})
    (workspace.folder / "dvc.lock").write_text(before)
    workspace.must("dvc", "checkout", "--force")
    left = list((workspace.folder / "mlruns" / "outbox").rglob("message.json"))
    return FaultOutcome(
        f"MLflow server killed in the middle of training, back {away:.0f} s later",
        1,
        "every figure of every epoch, the stages' figures and artifacts on the server, against the files of the run",
        lost + [f"never delivered: {path}" for path in left],
        f"training went on meanwhile (to epoch {trained} of {epochs})",
    )


def _epoch(workspace: Workspace, epochs: int) -> int:
    """How far the training's bar says that it is."""
    return max((int(found) for found in re.findall(rf"\| (\d+)/{epochs} ", workspace.printed())), default=0)


def _not_in_mlflow(workspace: Workspace, address: str) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(address)
    report = json.loads((workspace.folder / "reports" / "train.json").read_text())
    run = client.get_run(report["mlflow_run_id"])
    histories = json.loads((workspace.folder / "models" / "pan" / "histories.json").read_text())
    lost = [] if run.info.status == "FINISHED" else [f"the run's state is {run.info.status}"]
    for name, rows in histories.items():
        for key in rows[0]:
            sent = {m.step: m.value for m in client.get_metric_history(run.info.run_id, f"{name}/{key}")}
            lost += [f"{name}/{key} of epoch {e}" for e, row in enumerate(rows) if not _among(row[key], sent, e)]
    for key, value in report.items():
        if isinstance(value, int | float) and key != "seconds" and run.data.metrics.get(key) != value:
            lost.append(key)
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    return lost + sorted({"models", "training_curves.svg", "train.json"} - artifacts)


def _among(value: float, sent: dict[int, float], epoch: int) -> bool:
    return any(np.isclose(value, sent.get(step, np.nan), rtol=1e-12, equal_nan=True) for step in (epoch, epoch + 1))


def prefect_away(workspace: Workspace, expected: Undisturbed) -> FaultOutcome:
    """Prefect's server is killed while a flow trains, for good."""
    workspace.forget()
    folder = workspace.folder / "prefect-server"
    folder.mkdir()
    with running(prefect_server(folder)) as server:
        process = workspace.start(*FLOW, environment={"PREFECT_API_URL": server.address.removesuffix("/health")})
        workspace.wait_for("Running stage 'train'", process)
        server.kill()
        status = process.wait()
    printed = workspace.printed()
    assert status == 0, printed[-6000:]
    lost = expected.lost(workspace)
    if "went away; the run goes on without it" not in printed:
        lost.append("the run did not say that the server is gone")
    return FaultOutcome(
        "Prefect server killed for good while its flow trains", 1, expected.compared(), lost, "the run says so"
    )


def disk_full(workspace: Workspace, videos: int) -> FaultOutcome:
    """The disk of PAN_CACHE fills up while poses are extracted; then there is space again.

    Args:
        workspace: One that has finished; its cache is copied to a small disk without the poses of some videos.
        videos: How many have to be extracted.
    """
    place, before = workspace.folder / "small", _poses(workspace)
    with small_disk(place, megabytes=200) as ballast:
        subprocess.run(["cp", "-a", f"{workspace.cache}/.", str(place)], check=True)
        entries = sorted((place / "poses").rglob("*.npz"))
        for entry in entries[:videos]:
            entry.unlink()
        kept = {path: path.stat().st_mtime_ns for path in entries[videos:]}
        size = max(path.stat().st_size for path in kept)
        small = {"PAN_CACHE": str(place)}
        _forget_from("pose", workspace)
        with ballast(free=int(1.5 * size) + 16_000):
            status, printed = workspace.run(*POSES, environment=small)
        assert status != 0
        lost = [] if "disk is full" in printed or "no space left" in printed else [f"no message: {printed[-500:]}"]
        lost += ["a traceback"] if "Traceback" in printed else []
        workspace.must(*POSES, environment=small)
        lost += [f"extracted again: {path.name}" for path, time in kept.items() if path.stat().st_mtime_ns != time]
    return FaultOutcome(
        "Disk full during extraction; space made, then again",
        1,
        f"the pose set, byte by byte; times of {len(kept)} finished entries of the pose cache",
        lost + differences(_poses(workspace), before),
        f"{videos} of {len(entries)} videos were left to extract; the message says what is full and what to do",
    )


def project_disk_full(workspace: Workspace, expected: Undisturbed) -> FaultOutcome:
    """The disk that has the whole project, DVC's and MLflow's stores included, fills up when training begins, then is freed."""
    place = workspace.folder.parent / "small"
    with small_disk(place, megabytes=400) as ballast:
        small = Workspace(place / "workspace", workspace.cache)
        small.forget()
        process = small.start(*RUN)
        small.wait_for("Running stage 'train'", process)
        with ballast(free=30_000):
            status = process.wait()
        printed = small.printed()
        lost = [] if status else ["the run ended well on a full disk"]
        if not re.search("disk is full|no space left", printed, re.IGNORECASE):
            lost.append(f"no message: {printed[-500:]}")
        lost += ["a traceback"] if "Traceback" in printed else []
        stopped = small.stage_at_work()
        small.must(*RUN)
        lost += expected.lost(small)
    return FaultOutcome(
        "Disk of the project full from the beginning of training on; space made, then again",
        1,
        expected.compared(),
        lost,
        f"stopped in {stopped}; the message says that the disk is full",
    )


def _poses(workspace: Workspace) -> dict[str, object]:
    """The pose set's files."""
    folder = workspace.folder / "data" / "poses"
    return {f"data/poses/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Callable]:
    """A disk of its own at a folder; yields what fills it up to so many free bytes while a block lasts. Needs root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "pan-chaos", str(place)], check=True)

    @contextmanager
    def ballast(free: int) -> Iterator[None]:
        block = os.statvfs(place)
        with (place / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, block.f_bavail * block.f_frsize - free)
        yield
        (place / "ballast").unlink()

    try:
        yield ballast
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _forget_from(stage: str, workspace: Workspace) -> None:
    """This stage and all that DVC's lock has after it must run again; dvc.lock has them in the order of the run."""
    lock, yaml = workspace.folder / "dvc.lock", YAML()
    content = yaml.load(lock.read_text())
    order = [name for name in STAGES if name in content["stages"]]
    for name in order[order.index(stage) :]:
        del content["stages"][name]
    yaml.dump(content, lock)
    shutil.rmtree(workspace.folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def two_at_once(workspace: Workspace) -> FaultOutcome:
    """Two runs start at the same moment, a Prefect flow joins them; when the others are told, the one at work is ended.

    The workspace is left in the middle of a run.
    """
    _forget_from("split", workspace)
    first = workspace.start(*RUN)
    second = subprocess.Popen(
        RUN,
        cwd=workspace.folder,
        env=workspace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 300
    while first.poll() is None and second.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    told = second.communicate()[0] if second.poll() is not None else workspace.printed()
    lost = [] if "error: another run is going on in " in told else [f"who came second was told: {told[-300:]}"]
    flow = subprocess.run(
        (*FLOW, "split"), cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True, check=False
    )
    if flow.returncode == 0 or "another run is going on in" not in flow.stdout + flow.stderr:
        lost.append("the flow was not told")
    if first.poll() is not None and second.poll() is not None:
        lost.append("neither went on")
    for process in (first, second):
        if process.poll() is None:
            workspace.kill(process, whole=True)
    return FaultOutcome(
        "Two `pan run` at once, and a Prefect flow beside them",
        1,
        "exit statuses and messages",
        lost,
        "one runs, the two others are told",
    )


def clock_jumps(workspace: Workspace, expected: Undisturbed) -> FaultOutcome:
    """The system's clock jumps by a day forth, by a month back, and is put right, while a run is at work."""
    workspace.forget()
    now = workspace.folder / "clock"
    now.write_text("+0")
    process = workspace.start(
        *RUN,
        environment={
            "LD_PRELOAD": str(FAKETIME[-1]), "FAKETIME_TIMESTAMP_FILE": str(now), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        },
    )  # fmt: skip
    jumps, seen = ("+1d", "-30d", "+0"), []
    for jump in jumps:
        with suppress(subprocess.TimeoutExpired):
            process.wait(expected.seconds / 4)
            break  # over before it could be disturbed again
        now.write_text(jump)
        seen.append(workspace.stage_at_work())
    status = process.wait()
    assert status == 0, workspace.printed()[-6000:]
    return FaultOutcome(
        "Clock jumps a day forth, a month back, and is put right, during a run (libfaketime)",
        len(seen),
        expected.compared(),
        expected.lost(workspace),
        f"jumps in: {', '.join(seen)}",
    )


def damaged_files(workspace: Workspace) -> FaultOutcome:
    """A byte flips in an entry of the pose cache, another is cut off, and the output of a stage is overwritten."""
    before = _poses(workspace)
    entries = sorted((workspace.cache / "poses").rglob("*.npz"))[:2]
    flipped = bytearray(entries[0].read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    entries[0].write_bytes(flipped)
    entries[1].write_bytes(entries[1].read_bytes()[:1000])
    _forget_from("pose", workspace)
    table = workspace.folder / "data" / "clips.parquet"
    whole = table.read_bytes()
    table.unlink()  # what DVC's cache has of it stays
    table.write_bytes(b"not a table")
    printed = workspace.must(*POSES)
    lost = differences(_poses(workspace), before) + ([] if table.read_bytes() == whole else [table.name])
    if printed.count("damaged pose cache entry") != 2:
        lost.append(f"{printed.count('damaged pose cache entry')} of 2 damaged entries were told")
    return FaultOutcome(
        "Damaged files: a flipped byte and a cut in the pose cache, an output of a stage overwritten",
        3,
        "the pose set and the table, byte by byte",
        lost,
        "each is detected and made again",
    )


def worker_killed(workspace: Workspace, videos: int) -> FaultOutcome:
    """SIGKILL of the processes that extract poses, one after another."""
    before = _poses(workspace)
    for entry in sorted((workspace.cache / "poses").rglob("*.npz"))[:videos]:
        entry.unlink()
    _forget_from("pose", workspace)
    process = workspace.start(*POSES)
    workspace.wait_for("Running stage 'pose'", process)
    dead = 0
    while process.poll() is None and dead < 2:
        busy = [p for p in workspace.processes() if _cpu_seconds(p) > WARM_S and "spawn_main" in " ".join(_command(p))]
        if busy:
            random.Random(dead).choice(busy).kill()
            dead += 1
        time.sleep(0.5)
    assert process.wait() == 0, workspace.printed()[-6000:]
    return FaultOutcome(
        "SIGKILL of a worker process during extraction",
        dead,
        "the pose set, byte by byte",
        differences(_poses(workspace), before) if dead else ["no worker was found to kill"],
        "its video is tried again",
    )


def _cpu_seconds(process) -> float:
    try:
        return process.cpu_times().user
    except Exception:
        return 0.0


def _command(process) -> list[str]:
    try:
        return process.cmdline()
    except Exception:
        return []


def without_network(workspace: Workspace, expected: Undisturbed) -> FaultOutcome:
    """The whole run in a network namespace that has loopback only, by Prefect, then by `pan run`. Needs root."""
    workspace.forget()
    for command in (FLOW, RUN):
        inside = "ip link set lo up && ! getent hosts pypi.org && exec " + " ".join(command)
        workspace.must("unshare", "--net", "sh", "-c", inside)
    lost = expected.lost(workspace)
    return FaultOutcome(
        "No network after set-up (a network namespace with loopback only)",
        2,
        expected.compared(),
        lost,
        "DVC and Prefect",
    )
