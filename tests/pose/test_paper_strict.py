"""The paper's own network that comes with the package: its form, its people, and how it is stored."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.params.schema import PoseParams
from pan_core.pose.accuracy import found_in_crops, pck
from pan_core.pose.association import match, pose_distances
from pan_core.pose.crops import square_around
from pan_core.pose.declared import open_estimator
from pan_core.pose.half_weights import halve_weights
from pan_core.pose.inference import PoseSession
from pan_core.pose.named_networks import network_file
from pan_core.pose.network import PoseNetwork
from pan_core.pose.pretrained import PAPER_STRICT, README
from pan_core.pose.pretrained.store_strict import store

SIZES = {"search_size": (432, 368), "crop_size": 224, "min_joint_score": 0.05}


def test_every_branch_reads_the_last_384_channels_and_no_others() -> None:
    """Six stages of two branches hang on one tensor; a head that joins layers pools one of them and concatenates."""
    graph = onnx.load(PAPER_STRICT).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    stored = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    readers = Counter(node.input[0] for node in convolutions)
    assert readers.most_common(1)[0][1] == 12
    (shared,) = (name for name, count in readers.items() if count == 12)
    entries = [node for node in convolutions if node.input[0] == shared]
    assert {shapes[stored.get(node.input[1], node.input[1])] for node in entries} == {(384, 1, 3, 3)}
    assert "MaxPool" not in {node.op_type for node in graph.node}
    assert not any({480, 864, 921} & set(shape) for shape in shapes.values())
    assert [output.name for output in graph.output] == [f"stage{number}" for number in range(1, 7)]


def test_its_weights_are_stored_in_16_bits() -> None:
    model = onnx.load(PAPER_STRICT)
    onnx.checker.check_model(model, full_check=True)
    assert PAPER_STRICT.stat().st_size < 3.3e6
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= 256]
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}
    assert "paper_strict.onnx" in README.read_text()


@pytest.mark.parametrize("quality", ["best", "balanced", "fast"])
def test_params_take_its_name_with_the_qualities_of_the_paper(quality: str) -> None:
    params = PoseParams(network="paper-strict", quality=quality)
    assert network_file(params.network, quality=quality) == PAPER_STRICT
    paper = PoseParams(network="paper", quality=quality)
    assert params.extraction() == paper.extraction()


def test_it_finds_both_people_of_a_drawn_scene() -> None:
    performers = [Performer("Waving", 1, (-0.8, 0.0), -90.0), Performer("Clapping", 2, (0.8, 0.0), -90.0)]
    frames, truth = render_scene(performers, seed=2, frames=3, width=480, height=360)
    estimator = open_estimator(PAPER_STRICT, stages=4, search_stages=4, **SIZES)
    found = estimator.search(frames[1])
    pairs = match(pose_distances(truth[:, 1], found), np.full(2, 0.3))
    assert len(pairs) == 2
    poses = np.stack([found[column] for _, column in sorted(pairs)])
    assert pck(poses, np.where(truth[:, 1] >= 1, truth[:, 1], 0.0)).overall > 0.9


def test_it_is_within_three_points_of_its_teacher_on_people_it_never_saw(pose_model: Path) -> None:
    """Four classes by actors of another seed; the imported network finds 97 % of their joints."""
    people = []
    for seed, action in enumerate(("Kicking", "Running", "Squatting", "Throwing"), start=40):
        frames, truth = render_scene([Performer(action, seed, (0, 0), -60.0)], seed=seed, frames=24)
        people += [(frames[t], square_around(truth[0, t]), truth[0, t]) for t in range(0, 24, 4)]
    shares = {}
    for model in (pose_model, PAPER_STRICT):
        pair = found_in_crops(open_estimator(model, stages=4, search_stages=4, **SIZES), people)
        shares[model] = pck(*pair).overall
    assert shares[pose_model] > 0.9
    assert shares[PAPER_STRICT] > shares[pose_model] - 0.03


def training(folder: Path, *, strict: bool = True) -> PoseNetwork:
    """A checkpoint of one stage as `pan pose train` leaves it; returns its network."""
    torch.manual_seed(0)
    network = PoseNetwork(stages=1, strict=strict).eval()
    torch.save({"training": {"strict": strict, "stages": 1}, "student": network.state_dict()}, folder / "checkpoint.pt")
    return network


def test_a_training_is_stored_with_rounded_weights_and_the_same_answers(tmp_path: Path) -> None:
    network = training(tmp_path)
    store(tmp_path, tmp_path / "stored.onnx")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 72, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = torch.cat(network(torch.from_numpy(images).permute(0, 3, 1, 2).float())[-1], dim=1).numpy()
    maps = PoseSession(tmp_path / "stored.onnx", stages=1)(images)
    np.testing.assert_allclose(maps, expected, atol=2e-3 * np.abs(expected).max())
    assert not np.array_equal(maps, expected)


def test_folders_without_a_training_of_the_strict_head_are_refused(tmp_path: Path) -> None:
    with refused("pretrained.no-training"):
        store(tmp_path, tmp_path / "stored.onnx")
    training(tmp_path, strict=False)
    with refused("pretrained.other-head"):
        store(tmp_path, tmp_path / "stored.onnx")
    (tmp_path / "checkpoint.pt").write_bytes((tmp_path / "checkpoint.pt").read_bytes()[:500])
    with refused("pretrained.no-training"):
        store(tmp_path, tmp_path / "stored.onnx")
    assert not (tmp_path / "stored.onnx").exists()


@pytest.mark.parametrize(("value", "exact"), [(1e6, False), (0.1, True)])
def test_weights_that_16_bits_do_not_hold_are_refused(value: float, exact: bool) -> None:
    array = np.full((16, 16), value, np.float32)
    graph = helper.make_graph([], "one", [], [], [numpy_helper.from_array(array, "weights")])
    with refused("pretrained.weights"):
        halve_weights(graph, exact=exact)
