"""Write a bundle, the folder for a device: networks, the modules that run them without torch, scripts, and a manifest."""

import platform
import shutil
from collections.abc import Mapping
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import onnxruntime

import pan_core
from pan_core.datasets.actors import Performer, render_scene
from pan_core.edge.bench import CLIP
from pan_core.edge.bundle_manifest import FORMAT, MANIFEST
from pan_core.edge.gates import GATES, read_gates
from pan_core.edge.packages import packages_of
from pan_core.edge.result import content_hash
from pan_core.errors import GateError
from pan_core.export.pose_networks import copy_declaration, input_shape
from pan_core.export.targets import Target
from pan_core.files import atomic_path, read_json, sha256_of, write_json
from pan_core.import_graph import import_closure
from pan_core.runtimes.session import SUFFIXES
from pan_core.viewer.annotate import write_video

ENTRIES = ("pan_core.edge.app", "pan_core.runtimes.tensorrt_worker")
"""Modules that run as programs; the second one under another interpreter."""
HOST_ONLY = (
    "pan_core.model.store", "pan_core.params", "pan_core.pose.declaration_file", "pan_core.pose.onnx_cut", "pan_core.recognition.torch_network",
    "pan_core.recognition.pretrained", "pan_core.registry",
)  # fmt: skip
"""Modules that are imported late, and on a workstation only; devices do not get them."""

MOST_BYTES = 60_000_000
"""The largest network that comes with the package takes 46 MB where a runtime needs its weights in single precision."""
CLIP_FRAMES, CLIP_FPS = 150, 15.0


def write_bundle(
    folder: Path,
    target: Target,
    *,
    exported: Path,
    reference: Path,
    settings: Mapping[str, object],
    step_tolerance: float,
    recognizer: str,
    mlflow_run_id: str,
) -> dict:
    """Write a bundle; the folder appears whole or not at all.

    Args:
        folder: Folder to write.
        target: The device.
        exported: Folder of its networks with their gates, as the stage export leaves them.
        reference: Folder of real inputs with the outputs expected of the networks.
        settings: Settings of pose extraction with which the recognizer was trained.
        step_tolerance: Largest difference of the recognizer from torch.
        recognizer: Name of the recognizer.
        mlflow_run_id: MLflow run that exported it.

    Returns:
        The manifest.

    Raises:
        DataError: If the target was not exported, or its files are not those that passed the gates.
        GateError: If the bundle is too large.
    """
    gates = read_gates(exported, target)
    with atomic_path(folder) as partial:
        partial.mkdir()
        _copy_networks(partial, target, exported, reference)
        for name, file in import_closure(ENTRIES, without=HOST_ONLY).items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, partial / name)
        _write_scripts(partial, target, settings)
        manifest = _describe_files(partial, target) | {
            "recogniser": recognizer, "preprocessing": dict(settings), "tolerances": {"step": step_tolerance, "pose": target.pose_tolerance},
            "gates": gates, "mlflow_run_id": mlflow_run_id,
        }  # fmt: skip
        manifest |= {"sha256": content_hash(manifest)}
        write_json(partial / MANIFEST, manifest)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        if size > MOST_BYTES:
            raise GateError(
                f"{folder}: would take {size / 1e6:.1f} MB, expected at most {MOST_BYTES / 1e6:g} MB",
                code="bundle.too-large",
            )
    return manifest


def _copy_networks(folder: Path, target: Target, exported: Path, reference: Path) -> None:
    shutil.copytree(exported, folder / "models", ignore=shutil.ignore_patterns(GATES))
    # A Jetson's engines are built there.
    copy_declaration(exported, folder / "models", SUFFIXES[target.runtime])
    shutil.copytree(reference, folder / "reference")
    frames, _ = render_scene([Performer("Waving", heading=-90.0)], frames=CLIP_FRAMES, fps=CLIP_FPS)
    write_video(folder / CLIP, frames, fps=CLIP_FPS)


def _write_scripts(folder: Path, target: Target, settings: Mapping[str, object]) -> None:
    names = ["pan-edge", "install.sh", "pan-edge.service"]
    fill = {}
    if target.runtime == "tensorrt":
        names.append("build_engines.sh")
        shapes = read_json(folder / "models" / "step.json")["shapes"]
        sizes = ",".join(f"{name}:1x{'x'.join(map(str, shape))}" for name, shape in shapes.items())
        precision = "--fp16" if target.precision == "fp16" else ""
        fill = {
            "@CROP@": str(settings["crop_size"]),
            "@POSE_ENGINES@": "\n".join(_build_command(path, precision) for path in _pose_files(folder / "models")),
            "@STEP_SHAPES@": f"--minShapes={sizes} --optShapes={sizes} --maxShapes={sizes}",
        }
    for name in names:
        text = files("pan_core.edge").joinpath("templates", name).read_text()
        for mark, value in fill.items():
            text = text.replace(mark, value)
        (folder / name).write_text(text)
        (folder / name).chmod(0o644 if name.endswith(".service") else 0o755)
    (folder / "requirements.txt").write_text("".join(f"{package}\n" for package in packages_of(target.runtime)))


def _pose_files(models: Path) -> list[Path]:
    """Networks that find people, as they were exported."""
    written = {SUFFIXES[runtime] for runtime in ("onnxruntime", "ncnn")}
    return sorted(path for path in models.iterdir() if path.suffix in written and path.stem != "step")


def _build_command(network: Path, precision: str) -> str:
    """Line of build_engines.sh for a network; trtexec takes shapes only where the file leaves them open."""
    line = f"build {network.stem} {precision} --workspace=512"
    return line if all(input_shape(network)) else f"{line} $any_size"


def _describe_files(folder: Path, target: Target) -> dict:
    """Part of the manifest that follows from the files themselves."""
    step = next(path for path in (folder / "models").glob("step.*") if path.suffix in SUFFIXES.values())
    description = read_json(step.with_suffix(".json"))
    names = ["step", *(path.stem for path in _pose_files(folder / "models"))]
    return {
        "format": FORMAT,
        "target": target.model_dump(mode="json", exclude={"peaks", "emulate"}),
        **{name: description[name] for name in ("labels", "actions", "layout", "rate")},
        "models": {name: f"models/{name}{SUFFIXES[target.runtime]}" for name in names},
        "versions": {
            "pan": pan_core.__version__,
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,  # of onnxruntime, or of onnxruntime-gpu
            **{name: metadata.version(name) for name in ("torch", "onnx", "ncnn", "pnnx", "numpy")},
        },
        "files": {
            str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
        },
    }
