"""Stage pose_model: the trained pose network, imported from its pinned archive and exported to ONNX."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pan_core.errors import GateError
from pan_core.files import sha256_of
from pan_core.params.load import Params
from pan_core.pose.archive import ARCHIVE_SHA256, fetch_archive
from pan_core.pose.inference import PoseSession
from pan_core.pose.maps import MAX_STAGES
from pan_core.pose.network import PoseNetwork
from pan_core.pose.onnx_export import export_network
from pan_core.pose.weights import load_network
from pan_core.progress import progress_bar
from pan_core.runtimes.max_error import largest_difference
from pan_core.tracking.tracker import Run
from pan_core.workspace import paths

TOLERANCE = 1e-4


def run(params: Params, tracked: Run) -> dict:
    """Import the weights, export, and check every stage of the exported network against torch."""
    archive = fetch_archive(paths.downloaded_weights(), mirror=paths.mirror())
    network = load_network(archive).eval()
    path = paths.own_pose_network()
    export_network(network, path)
    with progress_bar("compare the exported pose network", "stage") as update:
        difference = _difference(network, path, update)
    if difference > TOLERANCE:
        raise GateError(
            f"{path}: differs from torch by {difference:.1e}, expected at most {TOLERANCE:.0e}",
            code="pose-model.parity",
        )
    return {
        "archive_sha256": ARCHIVE_SHA256,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "params": sum(p.numel() for p in network.parameters()),
        "onnx_difference": difference,
    }


def _difference(network: PoseNetwork, path: Path, progress: Callable[[int, int], None]) -> float:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    worst = 0.0
    for number in range(1, MAX_STAGES + 1):
        confidence, affinity = expected[number - 1]
        got = PoseSession(path, stages=number)(pictures)
        worst = max(worst, largest_difference(got, torch.cat([confidence, affinity], dim=1).numpy()))
        progress(number, MAX_STAGES)
    return worst
