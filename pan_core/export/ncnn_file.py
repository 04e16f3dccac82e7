"""Write a torch module as an ncnn model, through pnnx, with the same names of inputs and outputs as its ONNX file has."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import ncnn
import pnnx
import torch
from torch import nn

from pan_core.errors import GateError
from pan_core.files import scratch_folder, write_json

# Layers of ncnn have plain names; a layer that pnnx could not translate keeps its name of torch or pnnx, with a dot.
PLAIN = re.compile(r"[A-Za-z0-9]+")
HEADER_LINES = 2


def write_ncnn(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    precision: str,
    other: tuple[torch.Tensor, ...] | None = None,
    description: dict[str, object] | None = None,
) -> list[str]:
    """Convert a module, rename its inputs and outputs, and check the written model.

    Args:
        module: Module in evaluation mode.
        example: Inputs for tracing, batch first; ncnn itself has no batch.
        path: The `.param` to write; weights go to the `.bin` and the description to the `.json` beside it.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        precision: "fp16" stores weights in half precision and lets layers calculate in it.
        other: Inputs of another size, if sizes may vary.
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
        text = _convert(traced, example, other, precision).splitlines()
        names = {f"in{number}": name for number, name in enumerate(inputs)}
        names |= {f"out{number}": name for number, name in enumerate(outputs)}
        lines = [*text[:HEADER_LINES], *(_rename(line, names) for line in text[HEADER_LINES:])]
        partial = scratch / path.name
        partial.write_text("\n".join(lines) + "\n")
        (scratch / "net.ncnn.bin").rename(partial.with_suffix(".bin"))
        write_json(partial.with_suffix(".json"), {"runtime": "ncnn", "precision": precision, **(description or {})})
        layers = check_layers(partial)
        for suffix in (".bin", ".json", ".param"):
            partial.with_suffix(suffix).replace(path.with_suffix(suffix))
    return layers


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


def _convert(traced: Path, example: tuple, other: tuple | None, precision: str) -> str:
    # Absolute: pnnx writes beside the file, and tries to read its own Python output from the working directory.
    command = [
        pnnx.EXEC_PATH,
        str(traced.absolute()),
        f"inputshape={_format_shapes(example)}",
        f"fp16={int(precision == 'fp16')}",
    ]
    command += [f"inputshape2={_format_shapes(other)}"] if other else []
    done = subprocess.run(command, cwd=traced.parent, capture_output=True, text=True, check=False)
    result = traced.with_name("net.ncnn.param")
    if done.returncode or not result.is_file():
        raise GateError(
            f"pnnx cannot convert {traced.name} (status {done.returncode}): {(done.stderr or done.stdout)[-400:]}",
            code="ncnn.failed-conversion",
        )
    return result.read_text()


def _format_shapes(tensors: tuple[torch.Tensor, ...]) -> str:
    return ",".join(f"{list(tensor.shape)}f32".replace(" ", "") for tensor in tensors)


def _rename(line: str, names: dict[str, str]) -> str:
    """Rename inputs and outputs in a line of the file: type, name, counts of inputs and outputs, their names, settings."""
    parts = line.split()
    end = 4 + int(parts[2]) + int(parts[3])
    kind, name, *counts = parts[:4]
    return " ".join(
        [kind, names.get(name, name), *counts, *(names.get(part, part) for part in parts[4:end]), *parts[end:]]
    )
