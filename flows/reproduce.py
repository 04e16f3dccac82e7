"""DVC stages as subprocesses: their order, and one `dvc repro --single-item` with its output as it comes."""

import difflib
import io
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pan_core.errors import PanError
from pan_core.files import CACHE_VARIABLE
from pan_core.secrets import masked
from pan_core.workers.pool import die_with_parent
from pan_core.workspace.failures import LockedError, StageError, clear_failure, read_failure
from pan_core.workspace.paths import MIRROR_VARIABLE
from pan_core.workspace.watched_source import STAGE as WATCH

PIPELINE = "dvc.yaml"
TAIL_LINES = 20
PROGRESS_EVERY_S = 10.0
GRACE_S = 5.0


def project_root() -> Path:
    """The folder that holds the pipeline: the working directory.

    Raises:
        PanError: Where there is no dvc.yaml.
    """
    root = Path.cwd()
    if not (root / PIPELINE).is_file():
        raise PanError(
            f"{root}: no {PIPELINE} here; change to the project's root, then run again", code="pipeline.missing"
        )
    return root


def stage_order(root: Path) -> list[str]:
    """Names of the stages of dvc.yaml: each after those that it depends on, else in the file's order.

    Without `watch`: a flow does its work itself, before any stage.

    Raises:
        PanError: Where DVC cannot read the pipeline.
    """
    import networkx  # late: start-up

    graph = _graph(root)
    rank = {name: number for number, name in enumerate(graph)}
    return list(networkx.lexicographical_topological_sort(graph.reverse(), key=rank.__getitem__))


def with_upstream(root: Path, names: Iterable[str]) -> set[str]:
    """These stages and all that they rest on; a name that is no stage stays."""
    import networkx  # late: start-up

    graph, names = _graph(root), set(names)
    return names.union(*(networkx.descendants(graph, name) for name in names if name in graph))


def _graph(root: Path) -> "networkx.DiGraph[str]":  # type: ignore[name-defined]  # noqa: F821
    """From each stage of dvc.yaml to those that it depends on; stages in the file's order."""
    import networkx  # late: start-up
    from dvc.exceptions import DvcException  # late: start-up
    from dvc.repo import Repo  # late: start-up
    from dvc.stage import PipelineStage  # late: start-up

    try:
        with Repo(str(root)) as repo:
            stages = [
                stage
                for stage in repo.index.stages
                if isinstance(stage, PipelineStage) and stage.path_in_repo == PIPELINE and stage.name != WATCH
            ]
            edges = repo.index.graph.subgraph(stages).edges
            graph = networkx.DiGraph()
            graph.add_nodes_from(stage.name for stage in stages)
            graph.add_edges_from((stage.name, needed.name) for stage, needed in edges)
    except DvcException as error:
        raise PanError(
            f"{root / PIPELINE}: DVC cannot read the pipeline: {error}; see `dvc dag`", code="pipeline.unreadable"
        ) from error
    return graph


def select(order: list[str], targets: Iterable[str] | None) -> list[str]:
    """Those stages of `order` that are asked for, in that order; all where `targets` is None.

    Raises:
        PanError: With every target that is no stage, and the nearest name.
    """
    if targets is None:
        return order
    wanted = set(targets)
    faults = []
    for name in sorted(wanted - set(order)):
        near = difflib.get_close_matches(name, order, n=1)
        faults.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    if faults:
        raise PanError(
            f"targets: no such stage {', '.join(faults)}; {PIPELINE} has {', '.join(order)}",
            code="pipeline.unknown-target",
        )
    return [name for name in order if name in wanted]


def reproduce(name: str, root: Path, log: Callable[[str], None], *, force: bool = False) -> None:
    """Run `dvc repro --single-item NAME`.

    Args:
        name: The stage.
        root: The project's root, or a workspace. Stages import the code that lies there, which is what DVC compares.
        force: Whether it runs although DVC holds it to be up to date.
        log: Called with each line as soon as the stage has written it; bars that redraw themselves are thinned
            to one line in ten seconds.

    Raises:
        LockedError: If another DVC run is at work here.
        RefusedError: If the stage refuses its input, or a measured value is out of bounds.
        StageError: If the stage fails otherwise.
    """
    clear_failure(name, root)  # DVC may fail before the stage starts
    code, tail = _call(
        [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), name], root, log
    )
    if code != 0:
        failure = read_failure(name, root)
        raise (failure and failure.refusal) or _describe_failure(name, code, tail)


def remove_videos(root: Path, log: Callable[[str], None]) -> None:
    """Run `pan data remove-videos`.

    Args:
        root: The project's root, or a workspace.
        log: As for `reproduce`.

    Raises:
        PanError: Where it fails.
    """
    code, tail = _call(["pan", "data", "remove-videos"], root, log)
    if code != 0:
        raise PanError("\n".join(["videos were not removed:", *tail]), code="footage.not-removed")


def _call(command: list[str], root: Path, log: Callable[[str], None]) -> tuple[int, list[str]]:
    """Exit status and last lines of a command."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with _process(command, root) as process:
        assert process.stdout is not None
        for line in thinned(io.TextIOWrapper(process.stdout, newline="", errors="replace")):
            log(masked(line))
            tail.append(masked(line))
        process.wait()
    return process.returncode, list(tail)


def thinned(lines: Iterable[str], clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Lines without their ends and without empty ones.

    A line that ends in a carriage return is a progress bar about to redraw itself: of those, one in
    `PROGRESS_EVERY_S` seconds is passed on.
    """
    last = clock()
    for line in lines:
        text = line.strip("\r\n")
        if not text.strip():
            continue
        if line.endswith("\r"):
            if clock() - last < PROGRESS_EVERY_S:
                continue
            last = clock()
        yield text


def _describe_failure(name: str, code: int, tail: list[str]) -> StageError:
    output = "\n".join(f"  {line}" for line in tail) or "  (no output)"
    # DVC has the same exit status for a lock and for any other fault.
    if any("Unable to acquire lock" in line or "it is being blocked by" in line for line in tail):
        return LockedError(
            f"stage {name!r}: another DVC run is at work in this project; wait until it ends, or end it, "
            f"then start this one again: finished stages are kept\n{output}",
            code="stage.locked",
        )
    return StageError(
        f"stage {name!r}: `dvc repro --single-item {name}` ended with exit status {code}; correct what its last "
        f"lines name, then run again: finished stages are kept\n{output}",
        code="stage.failed",
    )


@contextmanager
def _process(command: list[str], root: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment_of(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    try:
        yield process
    except BaseException:
        _end(process)
        raise


def environment_of(root: Path) -> dict[str, str]:
    """Variables for a command that works in a workspace, with the code that lies there."""
    # A stage's command may say `python`: the environment that runs the flow must be the one it finds.
    first = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(root)}
    joined = {name: os.pathsep.join(filter(None, [place, os.environ.get(name)])) for name, place in first.items()}
    # Said in this folder, meant in this folder.
    places = {name: os.environ[name] for name in (CACHE_VARIABLE, MIRROR_VARIABLE) if os.environ.get(name)}
    return {
        **os.environ,
        **joined,
        **{name: str(Path(place).absolute()) for name, place in places.items()},
        "PYTHONUNBUFFERED": "1",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    # DVC starts a stage through a shell: the whole group is ended, and first asked to end by itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE_S
        alive = _signal_group(process, number)
        while alive and time.monotonic() < deadline:
            time.sleep(0.05)
            alive = _signal_group(process, 0)
        if not alive:
            return


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
