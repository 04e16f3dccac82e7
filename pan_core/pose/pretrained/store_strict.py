"""Write the paper's own network, trained by `pan pose train`, as the file that comes with the package.

python -m pan_core.pose.pretrained.store_strict networks/paper-strict

The training need not be finished: what is stored is its last whole epoch. Weights are rounded to 16 bits.
"""

import argparse
import tempfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import onnx
import torch

from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.half_weights import halve_weights
from pan_core.pose.network import PoseNetwork
from pan_core.pose.onnx_export import export_network
from pan_core.pose.pretrained import PAPER_STRICT


def store(folder: Path, path: Path) -> None:
    """Export the network of a training's last whole epoch, its weights rounded to 16 bits.

    Args:
        folder: Result of `pan pose train`, finished or not.
        path: Target; it appears whole or not at all.

    Raises:
        DataError: If the folder holds no training, or one of another head than the paper's.
    """
    state = _read_checkpoint(folder / "checkpoint.pt")
    network = PoseNetwork(stages=state["training"]["stages"], strict=True)
    network.load_state_dict(state["student"])
    with tempfile.TemporaryDirectory() as scratch:
        export_network(network, Path(scratch, "pose.onnx"))
        model = onnx.load(Path(scratch, "pose.onnx"))
    halve_weights(model.graph, exact=False)
    onnx.checker.check_model(model, full_check=True)
    with atomic_path(path) as partial:
        onnx.save(model, partial)


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, weights_only=True)
        strict = state["training"]["strict"]
    except (OSError, RuntimeError, UnpicklingError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected the checkpoint of a training ({error!r}); run `pan pose train --out {path.parent}`",
            code="pretrained.no-training",
        ) from error
    if not strict:
        raise DataError(
            f"{path}: a head on 864 channels, expected the paper's on 384; train without --no-strict",
            code="pretrained.other-head",
        )
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what `pan pose train --out` names")
    parser.add_argument("--out", type=Path, default=PAPER_STRICT, help="where to write; by default the package itself")
    asked = parser.parse_args()
    store(asked.folder, asked.out)
