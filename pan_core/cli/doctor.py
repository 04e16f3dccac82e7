"""`pan doctor`: what this machine and this folder have, and what is missing. Imports are late: start-up."""

import ctypes.util
import os
import platform
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import typer

from pan_core import __version__
from pan_core.errors import PanError, explain_fault
from pan_core.files import cache_folder
from pan_core.secrets import masked

PACKAGES = (
    "torch", "onnxruntime", "opencv-python", "numpy", "pandas", "dvc", "mlflow", "prefect", "optuna", "great-expectations",
    "fastapi", "uvicorn", "websockets",
)  # fmt: skip
LEAST_FREE_BYTES = 2_000_000_000
ANSWER_S = 4.0


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        name: What.
        found: What is there.
        advice: What to do where it is missing; empty where all is well.
        needed: Whether nothing works without it.
    """

    name: str
    found: str
    advice: str = ""
    needed: bool = False

    def __str__(self) -> str:
        mark = "ok" if not self.advice else "MISSING" if self.needed else "note"
        return f"{mark:<8} {self.name:<22} {masked(' '.join(self.found.split()))}" + (
            f"\n{'':<32}{self.advice}" if self.advice else ""
        )


def doctor() -> None:
    """Print versions, devices, stores, and what is missing; ends with status 1 where something needed is."""
    findings = examine()
    for finding in findings:
        typer.echo(str(finding))
    missing = [finding.name for finding in findings if finding.advice and finding.needed]
    typer.echo(f"\nmissing: {', '.join(missing)}" if missing else "\nnothing that is needed is missing")
    if missing:
        raise typer.Exit(1)


def examine() -> list[Diagnosis]:
    """Versions, devices, stores and what is missing; nothing is changed and nothing is fetched.

    Each look stands alone: one that fails is a finding itself.
    """
    findings: list[Diagnosis] = []
    for look in (_machine, _packages, _devices, _video, _workspace, _stores):
        try:
            findings += look()
        except Exception as error:
            name, known = look.__name__.strip("_"), explain_fault(error)
            found, _, advice = str(known).rpartition("; ") if known else (f"{type(error).__name__}: {error}", "", "")
            broken = isinstance(error, ImportError)
            findings.append(Diagnosis(name, found, advice or "could not be looked at", needed=broken))
    return findings


def _machine() -> Iterator[Diagnosis]:
    import psutil

    yield Diagnosis("pan", f"{__version__}, {Path(__file__).parent}")
    version = platform.python_version()
    right = sys.version_info[:2] == (3, 11)
    yield Diagnosis("Python", version, "" if right else "Python 3.11 is needed; run `make setup` with it", needed=True)
    memory = psutil.virtual_memory()
    yield Diagnosis(
        "machine",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory.total / 1e9:.1f} GB of memory, "
        f"{memory.available / 1e9:.1f} GB free",
    )
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= LEAST_FREE_BYTES else "a run needs some GB; make space"
    yield Diagnosis("disk", f"{free / 1e9:.1f} GB free in this folder", advice)


def _packages() -> Iterator[Diagnosis]:
    for name in PACKAGES:
        # The package for GPUs has the same module, and takes the place of the other.
        found = next((each for each in (name, f"{name}-gpu") if _is_installed(each)), "")
        if found:
            yield Diagnosis(found, metadata.version(found))
        else:
            yield Diagnosis(name, "not installed", "run `make setup`", needed=True)
    archive = ctypes.util.find_library("archive")
    yield Diagnosis(
        "libarchive", archive or "not found", "" if archive else "for rar archives: apt-get install libarchive-tools"
    )
    from pan_core.workspace.without_git import in_repository

    git = shutil.which("git")
    yield Diagnosis("git", git or "not found", "" if git else "DVC needs it: apt-get install git", needed=True)
    if not in_repository(Path()):
        advice = "`pan run` tells DVC to go without; before that, `dvc config --local core.no_scm true`"
        yield Diagnosis("repository", "none holds this project", advice)


def _devices() -> Iterator[Diagnosis]:
    import torch

    cuda = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    yield Diagnosis("GPU for training", ", ".join(cuda) or "none, the processor is used")
    yield _onnx_providers()
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Diagnosis("cameras", ", ".join(cameras) or "none on this machine; rtsp and http addresses work without")


def _onnx_providers() -> Diagnosis:
    """What ONNX Runtime runs pose networks on, and what the two packages that have it do to each other."""
    import onnxruntime

    from pan_core.runtimes.cuda import ADVICE, has_gpu, missing_provider

    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    found = f"{', '.join(onnxruntime.get_available_providers())} ({' and '.join(installed)})"
    if len(installed) > 1:
        return Diagnosis("ONNX Runtime runs on", found, f"each overwrites the other's files, keep one: {ADVICE}")
    advice = f"there is a GPU, but {missing_provider()}: {ADVICE}" if has_gpu() and missing_provider() else ""
    return Diagnosis("ONNX Runtime runs on", found, advice)


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _video() -> Iterator[Diagnosis]:
    import cv2

    ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getBackends()
    advice = (
        "" if ffmpeg else "install the opencv-python wheel that requirements.lock names: without it no video is read"
    )
    yield Diagnosis("video by FFmpeg", "yes" if ffmpeg else "no", advice, needed=True)


def _workspace() -> Iterator[Diagnosis]:
    from pan_core.params.load import PARAMS_FILE, load_params
    from pan_core.params.schema import PoseParams
    from pan_core.workspace import paths

    pose = PoseParams()
    try:
        params = load_params()
        pose = params.pose
        yield Diagnosis(str(PARAMS_FILE), f"dataset {params.dataset}")
        model = paths.model_folder("online", params.split.splits[0])
        trained = (model / "model.json").is_file()
        advice = "" if trained else "`make run` trains one; until then `everyday` is used, which comes with PAN"
        yield Diagnosis("recognizer", str(model) if trained else "none of your own", advice)
    except PanError as error:
        yield Diagnosis(str(PARAMS_FILE), str(error), "correct it, or go to the project's folder", needed=True)
    yield _stock()
    yield from _pose_network(pose.network, pose.quality)
    yield Diagnosis("cache", str(cache_folder().absolute()))


def _stock() -> Diagnosis:
    """Whether the recognizer that comes with the package is whole."""
    from pan_core.recognition.pretrained import STOCK
    from pan_core.recognition.pretrained.stock_files import require_pinned_files

    (name, folder), *_ = STOCK.items()
    try:
        require_pinned_files(folder)
    except PanError as error:
        found, _, advice = str(error).rpartition("; ")
        return Diagnosis("stock recognizer", found, advice, needed=True)
    return Diagnosis("stock recognizer", f"{name}, {folder}")


def _pose_network(network: str, quality: str) -> Iterator[Diagnosis]:
    """Whether all files of the network are there, and are the ones that its declaration names by hash."""
    from pan_core.pose.named_networks import network_file

    file = network_file(network, quality=quality)
    try:
        from pan_core.pose.declared import model_files

        model_files(file)
    except ImportError:  # a library that OpenCV lacks, which the part on video reports
        return
    except PanError as error:
        found, _, advice = " ".join(str(error).split()).rpartition("; ")
        yield Diagnosis("pose network", found, advice, needed=True)
        return
    yield Diagnosis("pose network", f"{network}, {file}", needed=True)


def _stores() -> Iterator[Diagnosis]:
    from pan_core.tracking.local_store import has_store, store_uri

    uri = store_uri()
    if not has_store():
        yield Diagnosis("MLflow", f"{uri}, empty", "the first run makes it")
    else:
        try:
            _require_answer(uri)
            champion = _champion()
            yield Diagnosis("MLflow", uri)
            yield champion
        except Exception as error:
            yield Diagnosis("MLflow", f"{uri}: {error}", "start the server, or correct MLFLOW_TRACKING_URI")
    yield Diagnosis("Prefect", os.environ.get("PREFECT_API_URL") or "embedded server, started when needed")
    set_here = [name for name in sorted(os.environ) if name.startswith("PAN_")]
    yield Diagnosis("PAN_ variables", ", ".join(f"{name}={_mask_value(name)}" for name in set_here) or "none set")


def _champion() -> Diagnosis:
    """The version in use, and whether it can be loaded."""
    from pan_core.params.load import load_params
    from pan_core.registry.models import registry_of

    registry = registry_of(load_params().dataset)
    champion = registry.champion()
    if champion is None:
        return Diagnosis("champion", "none", "`make run` registers and promotes one")
    name = f"{registry.name} version {champion.number}"
    if registry.has_files(champion):
        return Diagnosis("champion", name)
    advice = "bring its files back, or choose another version with `pan registry promote`"
    return Diagnosis("champion", f"{name}, whose files are not in {champion.source}", advice, needed=True)


def _require_answer(uri: str) -> None:
    """Ask a server whether it is there; MLflow itself goes on asking for minutes.

    Raises:
        PanError: Where it does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        return
    parts, answers = urlsplit(uri), list[str]()

    def ask() -> None:
        try:
            address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
            with urllib.request.urlopen(address, timeout=ANSWER_S):
                answers.append("")
        except urllib.error.HTTPError as error:  # it does not like the question, but it is there
            error.close()
            answers.append("")
        except Exception as error:
            answers.append(str(error))

    # In a thread: looking up a name keeps no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    if not answers or answers[0]:
        raise PanError(f"does not answer ({answers[0] if answers else f'within {ANSWER_S:g} s'})", code="server.away")


def _mask_value(name: str) -> str:
    return masked(f"{name}={os.environ[name]}").partition("=")[2]
