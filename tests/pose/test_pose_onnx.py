"""The exported network against torch, at sizes other than the one that it was exported with."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose.inference import PoseSession
from pan_core.pose.onnx_cut import cut_after
from pan_core.pose.onnx_export import export_network
from pan_core.pose.weights import load_network
from pan_core.runtimes.cuda import open_batching
from pan_core.runtimes.session import Session, open_model


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


def test_a_network_is_opened_once_and_without_what_lies_behind_the_stage(
    pose_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[str]] = []

    class Noted(onnxruntime.InferenceSession):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            opened.append([output.name for output in self.get_outputs()])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Noted)
    PoseSession(pose_model, stages=2)
    PoseSession(pose_model, stages=6, opener=open_batching)
    assert opened == [["stage2"], ["stage6"]]


def test_a_file_that_ends_at_the_stage_is_opened_as_it_is(pose_model: Path, tmp_path: Path) -> None:
    """Whoever opens it may go by its name."""
    (tmp_path / "cut.onnx").write_bytes(cut_after(pose_model, ["stage2"]))
    opened: list[Path | bytes] = []

    def note(model: Path | bytes, /, *, threads: int = 1) -> Session:
        opened.append(model)
        return open_model(model, threads=threads)

    PoseSession(tmp_path / "cut.onnx", stages=2, opener=note)
    assert opened == [tmp_path / "cut.onnx"]


def test_a_truncated_network_is_named_with_what_to_do(pose_model: Path, tmp_path: Path) -> None:
    for share in (0.0, 0.3, 0.999):
        content = pose_model.read_bytes()
        (tmp_path / "cut.onnx").write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError) as caught:
            PoseSession(tmp_path / "cut.onnx", stages=4)
        assert caught.value.code == ("network.damaged" if share else "pose-model.no-output")
        assert "cut.onnx" in str(caught.value)
