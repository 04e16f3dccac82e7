"""Networks that find people, each as an ONNX file of its own: what every target's networks are made from.

The project's own network is cut after the stage for people (`pose`) and, if it is another one, the stage for whole frames
(`pose_search`). A declared model becomes `pose` and `detector` or `finder`, with the declaration as JSON beside them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import onnx

from pan_core.errors import GateError
from pan_core.export.onnx_rewriting import take_floats
from pan_core.files import write_json
from pan_core.pose.declared import DEVICE_ENDING, ENDINGS, ModelDeclaration, model_files, read_declaration
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.maps import stage_output
from pan_core.pose.onnx_cut import cut_after
from pan_core.pose.person_detector import INPUTS as DETECTOR_INPUTS
from pan_core.runtimes.session import SUFFIXES

POSE = "pose"
SEARCHING = ("detector", "finder", "pose_search")
"""Names of networks that search whole frames; without one of them, the network that looks at people does."""
DECLARATION = f"declaration{DEVICE_ENDING}"
ONNX = SUFFIXES["onnxruntime"]


def pose_model(folder: Path, suffix: str = ONNX) -> Path:
    """The file of a folder of networks that `pan_core.pose.declared.open_estimator` takes."""
    declared = folder / DECLARATION
    return declared if declared.is_file() else folder / f"{POSE}{suffix}"


def collect_networks(model: Path, settings: ExtractionSettings, folder: Path) -> None:
    """Write the networks that a model runs.

    Args:
        model: Exported pose network, or declaration of another one.
        settings: How people are searched and looked at.
        folder: Folder to write.

    Raises:
        ConfigError: If the declaration has faults.
        DataError: If a file is missing.
        GateError: If a network has more than one input.
    """
    model_files(model)
    folder.mkdir(parents=True)
    if model.suffix not in ENDINGS:
        _cut(model, settings.stages, folder / f"{POSE}{ONNX}")
        if settings.search_stages != settings.stages:
            _cut(model, settings.search_stages, folder / f"{POSE}_search{ONNX}")
        return
    declared = read_declaration(model)
    width, height = declared.size
    sides = (3, height, width) if declared.order == "nchw" else (height, width, 3)
    outputs, floats = _write_fixed(declared.path, folder / f"{POSE}{ONNX}", declared.outputs, (1, *sides))
    if declared.detector_path:
        _write_fixed(declared.detector_path, folder / f"detector{ONNX}", (), DETECTOR_INPUTS["images"])
    elif declared.kind == "top_down":
        _cut(declared.finder_path, settings.search_stages, folder / f"finder{ONNX}")
    dtype = "float32" if floats else declared.dtype
    write_declaration(replace(declared, outputs=outputs, dtype=dtype), folder, ONNX)


def write_declaration(declared: ModelDeclaration, folder: Path, suffix: str) -> None:
    """Write a declaration for the networks of a folder, which have this suffix; a bundle's manifest has their hashes."""
    content = asdict(declared) | {
        "model": f"{POSE}{suffix}", "finder": f"finder{suffix}", "sha256": None, "detector_sha256": None,
        "detector": f"detector{suffix}" if declared.detector else None,
    }  # fmt: skip
    del content["folder"]
    write_json(folder / DECLARATION, json.loads(json.dumps(content)))


def copy_declaration(source: Path, folder: Path, suffix: str) -> None:
    """Write a folder's declaration, if it has one, for networks with another suffix."""
    if (source / DECLARATION).is_file():
        write_declaration(read_declaration(source / DECLARATION), folder, suffix)


def input_name(model: Path) -> str:
    """Name of the input of a network of such a folder."""
    return onnx.load(model, load_external_data=False).graph.input[0].name


def input_shape(model: Path) -> tuple[int, ...]:
    """Shape of its input, batch first; 0 stands for a length that varies."""
    picture = onnx.load(model, load_external_data=False).graph.input[0]
    return tuple(side.dim_value for side in picture.type.tensor_type.shape.dim)


def _cut(model: Path, stage: int, path: Path) -> None:
    path.write_bytes(cut_after(model, [stage_output(stage)]))


def _write_fixed(model: Path, path: Path, outputs: Sequence[str], shape: Sequence[int]) -> tuple[tuple[str, ...], bool]:
    """Write a network with some of its outputs, by default all, and one shape of its input; returns the outputs and if it takes floats."""
    wanted = tuple(outputs) or tuple(value.name for value in onnx.load(model, load_external_data=False).graph.output)
    network = onnx.load_model_from_string(cut_after(model, wanted))
    weights = {tensor.name for tensor in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise GateError(
            f"{model}: has the inputs {', '.join(value.name for value in inputs)}, expected the picture only; export it again "
            "without the others",
            code="pose-model.inputs",
        )
    for side, length in zip(inputs[0].type.tensor_type.shape.dim, shape, strict=False):
        side.dim_value = length
    floats = take_floats(network)
    onnx.save(network, path)
    return wanted, floats
