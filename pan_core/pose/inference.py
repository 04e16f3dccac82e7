"""Run the exported pose network on pictures with ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx

from pan_core.errors import DataError
from pan_core.onnx_session import open_session
from pan_core.pose.maps import INPUT_NAME, require_size, require_stages, stage_output


class PoseSession:
    """The exported network up to one of its stages, on one processor core.

    Args:
        model: File written by `pan_core.pose.onnx_export.export_network`.
        stages: Stage whose maps are wanted; what lies behind it is cut off and costs nothing.
        threads: Cores to use. One a process is best when several clips are worked on at once.

    Raises:
        DataError: Where the file is missing, is no ONNX model, or has fewer stages.
    """

    def __init__(self, model: Path, *, stages: int, threads: int = 1) -> None:
        require_stages(stages)
        self._session = open_session(_cut_after(model, stage_output(stages)), threads=threads)
        self._output = stage_output(stages)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Confidence maps and part affinity fields of some pictures of one size.

        Args:
            images: (B, H, W, 3) uint8, BGR, sides multiples of 8.

        Returns:
            (B, 57, H / 8, W / 8) float32, S 19 before L 38.

        Raises:
            DataError: Where the shape does not fit.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise DataError(f"Expected pictures to have shape (B, H, W, 3), but got {images.shape}")
        require_size(*images.shape[1:3])
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        return self._session.run([self._output], {INPUT_NAME: planes})[0]


def _cut_after(path: Path, output: str) -> bytes:
    """The model with one output and only the nodes that it needs; ONNX Runtime would run all others too."""
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected the exported pose network; run `dvc repro` to make it")
    try:
        model = onnx.load(path)
    except Exception as error:
        raise DataError(f"{path}: not an ONNX model ({error}); delete it and run `dvc repro`") from error
    graph = model.graph
    if output not in [value.name for value in graph.output]:
        raise DataError(f"{path}: Expected an output {output!r}, but got {[value.name for value in graph.output]}")
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    wanted = next(value for value in graph.output if value.name == output)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    cut = onnx.helper.make_graph(kept[::-1], graph.name, list(graph.input), [wanted], weights)
    return onnx.helper.make_model(
        cut, opset_imports=model.opset_import, ir_version=model.ir_version
    ).SerializeToString()
