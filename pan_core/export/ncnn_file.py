"""Write a torch module or an ONNX network as an ncnn model, through pnnx; inputs and outputs keep their names."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np
import onnx
import pnnx
import torch
from torch import nn

from pan_core.errors import GateError
from pan_core.files import scratch_folder, write_json

# Layers of ncnn have plain names; a layer that pnnx could not translate keeps its name of torch or pnnx, with a dot.
PLAIN = re.compile(r"[A-Za-z0-9]+")
HEADER_LINES = 2
HALVES = np.uint32(0x01306B47)
"""Mark before weights in half precision; before others it is 0."""

Shapes = Sequence[Sequence[int]]


def write_ncnn(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    description: dict[str, object] | None = None,
) -> list[str]:
    """Convert a module in single precision, and check the written model.

    Args:
        module: Module in evaluation mode.
        example: Inputs for tracing, batch first; ncnn itself has no batch.
        path: The `.param` to write; weights go to the `.bin` and the description to the `.json` beside it.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        description: Further entries of the `.json`.

    Returns:
        Types of its layers, sorted.

    Raises:
        GateError: If pnnx fails or leaves a layer untranslated, or ncnn does not read the model.
    """
    with scratch_folder(path.parent, path.name) as scratch:
        traced = scratch / "net.pt"
        with torch.no_grad():
            torch.jit.trace(module, example).save(traced)
        return _write(
            traced,
            path,
            [[tensor.shape for tensor in example]],
            _rename_map(inputs, outputs),
            "fp32",
            description or {},
        )


def write_ncnn_network(network: onnx.ModelProto, path: Path, *, shapes: Shapes, precision: str) -> list[str]:
    """Convert an ONNX network of one input, and check the written model.

    Args:
        network: The network, its weights in single precision.
        path: As for `write_ncnn`.
        shapes: Shape of the input, batch first, and a second one if sizes may vary.
        precision: "fp16" stores weights in half precision and lets layers calculate in it.

    Returns:
        Types of its layers, sorted.

    Raises:
        GateError: As for `write_ncnn`.
    """
    with scratch_folder(path.parent, path.name) as scratch:
        source = scratch / "net.onnx"
        onnx.save(network, source)
        names = ([value.name for value in values] for values in (network.graph.input, network.graph.output))
        return _write(source, path, [[shape] for shape in shapes], _rename_map(*names), precision, {})


def check_layers(path: Path) -> list[str]:
    """Check a written model; returns the types of its layers, sorted.

    Raises:
        GateError: If a layer is not one of ncnn's, or ncnn does not read the model.
    """
    layers = sorted({line.split()[0] for line in path.read_text().splitlines()[HEADER_LINES:]})
    if unknown := [layer for layer in layers if not PLAIN.fullmatch(layer)]:
        raise GateError(
            f"{path}: layers {unknown} are none of ncnn's; pnnx could not translate them, use others",
            code="ncnn.untranslated-layers",
        )
    net = ncnn.Net()
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise GateError(f"{path}: ncnn does not read the model that pnnx wrote", code="ncnn.unreadable")
    return layers


def _write(
    source: Path, path: Path, shapes: Sequence[Shapes], names: dict[str, str], precision: str, description: dict
) -> list[str]:
    """Convert a file of a scratch folder, and move the checked model from there."""
    text, weights = _convert(source, shapes, half=False)
    if precision == "fp16":
        weights = _store_halves(text, weights, _convert(source, shapes, half=True)[1])
    lines = text.splitlines()
    partial = source.with_name(path.name)
    partial.write_text(
        "\n".join([*lines[:HEADER_LINES], *(_rename(line, names) for line in lines[HEADER_LINES:])]) + "\n"
    )
    partial.with_suffix(".bin").write_bytes(weights)
    write_json(partial.with_suffix(".json"), {"runtime": "ncnn", "precision": precision, **description})
    layers = check_layers(partial)
    for suffix in (".bin", ".json", ".param"):
        partial.with_suffix(suffix).replace(path.with_suffix(suffix))
    return layers


def _convert(source: Path, shapes: Sequence[Shapes], *, half: bool) -> tuple[str, bytes]:
    """Text and weights that pnnx makes of a file."""
    # Absolute: pnnx writes beside the file, and tries to read its own Python output from the working directory.
    command = [pnnx.EXEC_PATH, str(source.absolute()), f"fp16={int(half)}"]
    command += [f"inputshape{number}={_format_shapes(each)}" for number, each in zip(("", "2"), shapes, strict=False)]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    result = source.with_name("net.ncnn.param")
    if done.returncode or not result.is_file():
        raise GateError(
            f"pnnx cannot convert {source.name} (status {done.returncode}): {(done.stderr or done.stdout)[-400:]}",
            code="ncnn.failed-conversion",
        )
    # ncnn's reader knows no infinity, with which a picture is padded before its maxima are taken.
    return result.read_text().replace("=-inf", "=-3.4e38"), result.with_suffix(".bin").read_bytes()


def _store_halves(text: str, single: bytes, half: bytes) -> bytes:
    """Weights in half precision, rounded: pnnx cuts off digits, and makes numbers below 6e-5 zero.

    Args:
        text: The model's layers.
        single: Weights in single precision.
        half: The same with those of some layers in half precision; what is in no block of such weights is equal.

    Returns:
        The weights; `half` if there are layers whose weights are not known here.
    """
    wide, narrow = np.frombuffer(single, np.uint32), np.frombuffer(half, np.uint32)
    counts = iter([count for line in text.splitlines()[HEADER_LINES:] for count in _count_weights(line) if count])
    parts, read, at = [], 0, 0
    marks = np.flatnonzero(narrow == HALVES)
    while (later := marks[marks >= at]).size:
        same, count = int(later[0]) - at, next(counts, 0)
        parts.append(wide[read : read + same].tobytes())
        values = wide[read + same + 1 : read + same + 1 + count].view(np.float32).astype(np.float16).tobytes()
        parts += [HALVES.tobytes(), values, bytes(-len(values) % 4)]
        read, at = read + same + 1 + count, at + same + 1 + (count + 1) // 2
    parts.append(wide[read:].tobytes())
    known = len(wide) - read == len(narrow) - at and next(counts, None) is None
    return b"".join(parts) if known else half


def _count_weights(line: str) -> list[int]:
    """Numbers of weights in each block of a layer that may be in half precision, by ncnn's description of its layers."""
    kind, *parts = line.split()
    found = {int(name): value for name, value in (part.split("=", 1) for part in parts[3:] if "=" in part)}
    settings = defaultdict(int, {name: int(value) for name, value in found.items() if value.lstrip("-").isdigit()})
    if kind in ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise"):
        return [settings[6]]
    if kind == "InnerProduct":
        return [settings[2]]
    if kind == "Gemm":
        rows, columns, depth = settings[7], settings[8], settings[9]
        added = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}.get(settings[10], 0)
        return [rows * depth * settings[4], columns * depth * settings[5], added * settings[6]]
    return []


def _format_shapes(shapes: Shapes) -> str:
    return ",".join(f"{list(shape)}f32".replace(" ", "") for shape in shapes)


def _rename_map(inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Names that pnnx gives inputs and outputs -> their names before."""
    if split := [name for name in (*inputs, *outputs) if len(name.split()) != 1]:
        raise GateError(
            f"inputs or outputs {split} have blanks in their names, which end a word of ncnn's files; export the model with other names",
            code="ncnn.names",
        )
    names = {f"in{number}": name for number, name in enumerate(inputs)}
    return names | {f"out{number}": name for number, name in enumerate(outputs)}


def _rename(line: str, names: dict[str, str]) -> str:
    """Rename inputs and outputs in a line of the file: type, name, counts of inputs and outputs, their names, settings."""
    parts = line.split()
    end = 4 + int(parts[2]) + int(parts[3])
    kind, name, *counts = parts[:4]
    return " ".join(
        [kind, names.get(name, name), *counts, *(names.get(part, part) for part in parts[4:end]), *parts[end:]]
    )
