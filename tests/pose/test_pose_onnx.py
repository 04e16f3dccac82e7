"""The exported network against torch, at sizes other than the one that it was exported with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.inference import PoseSession
from pan_core.pose.onnx_export import export_network
from pan_core.pose.weights import load_network


@pytest.mark.parametrize("shape", [(1, 96, 64, 3), (3, 40, 72, 3)])
def test_all_stages_agree_with_torch(pose_archive: Path, pose_model: Path, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    expected = load_network(pose_archive)(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    for stage in range(1, 7):
        maps = PoseSession(pose_model, stages=stage)(images)
        assert maps.shape == (shape[0], 57, shape[1] // 8, shape[2] // 8)
        np.testing.assert_allclose(maps, torch.cat(expected[stage - 1], dim=1).numpy(), atol=1e-4)


def test_exported_file_is_a_valid_model_that_old_engines_read(pose_model: Path) -> None:
    model = onnx.load(pose_model)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [13]
    operations = {node.op_type for node in model.graph.node}
    assert not operations & {"LayerNormalization", "OneHot", "NonZero", "Mod", "Loop", "If"}


def test_wrong_pictures_are_refused(pose_model: Path) -> None:
    session = PoseSession(pose_model, stages=1)
    with refused("pictures.size", DataError) as caught:
        session(np.zeros((1, 64, 60, 3), np.uint8))
    assert "60x64" in str(caught.value)
    with refused("pictures.shape", DataError):
        session(np.zeros((64, 64, 3), np.uint8))


def test_files_that_are_no_model_are_refused(tmp_path: Path, pose_archive: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for name in ("absent.onnx", "text.onnx"):
        with pytest.raises(DataError) as caught:
            PoseSession(tmp_path / name, stages=1)
        assert name in str(caught.value)


def test_stage_behind_the_last_exported_one(tmp_path: Path, pose_archive: Path) -> None:
    export_network(load_network(pose_archive, stages=2), tmp_path / "two.onnx")
    with refused("pose-model.no-output", DataError) as caught:
        PoseSession(tmp_path / "two.onnx", stages=3)
    assert "'stage3'" in str(caught.value)
