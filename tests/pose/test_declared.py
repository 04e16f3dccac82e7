"""Models of the user's own: tiny ONNX networks whose answers are known, through the whole extractor."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.errors import ConfigError, DataError
from pan_core.pose.crops import Square
from pan_core.pose.declared import DeclaredEstimator, in_openpose18, open_estimator, read_declaration
from pan_core.pose.decoding import decode_heatmaps, decode_keypoints, decode_simcc
from pan_core.pose.extraction import PoseExtractor, extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.provenance import network_hash, require_pinned
from pan_core.skeletons import COCO17, LAYOUTS, OPENPOSE18, convert

# A standing person in shares of a picture of 192 x 256, COCO-17.
STANDING = np.array([
    (50, 12), (53, 10), (47, 10), (56, 12), (44, 12), (62, 25), (38, 25), (66, 38), (34, 38), (68, 50), (32, 50),
    (58, 52), (42, 52), (59, 70), (41, 70), (60, 90), (40, 90),
]) / 100  # fmt: skip


def write_model(path: Path, answers: list[np.ndarray], *, shape: list[int], dtype: int = TensorProto.FLOAT) -> None:
    """A model that gives the same answers, whatever it is shown (times a sum over the picture that is always 1)."""
    graph_input = helper.make_tensor_value_info("picture", dtype, shape)
    nodes = [
        helper.make_node("Cast", ["picture"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
    ]
    weights = [helper.make_tensor("none", TensorProto.FLOAT, [], [0.0])]
    outputs = []
    for number, answer in enumerate(answers):
        weights.append(helper.make_tensor(f"kept{number}", TensorProto.FLOAT, answer.shape, answer.ravel().tolist()))
        nodes.append(helper.make_node("Add", [f"kept{number}", "nothing"], [f"answer{number}"]))
        outputs.append(helper.make_tensor_value_info(f"answer{number}", TensorProto.FLOAT, answer.shape))
    model = helper.make_model(
        helper.make_graph(nodes, "constant", [graph_input], outputs, weights),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip
    onnx.save(model, path)


def simcc(places: np.ndarray, *, score: float = 0.9) -> list[np.ndarray]:
    across, down = np.zeros((1, 17, 384), np.float32), np.zeros((1, 17, 512), np.float32)
    for joint, (x, y) in enumerate(places):
        across[0, joint, round(2 * x)], down[0, joint, round(2 * y)] = 0.95, score
    return [across, down]


def rtmpose(folder: Path) -> Path:
    write_model(folder / "rtmpose.onnx", simcc(STANDING * (192, 256)), shape=[1, 3, 256, 192])
    path = folder / "rtmpose.yaml"
    path.write_text(
        "model: rtmpose.onnx\ndecoding: simcc\nsize: [192, 256]\nchannels: rgb\n"
        "mean: [123.675, 116.28, 103.53]\nstd: [58.395, 57.12, 57.375]\n"
    )
    return path


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_simcc_in_a_crop_comes_back_in_the_frame(tmp_path: Path, turn: int) -> None:
    """A square of 200 x 200 is seen in a region of 3 : 4 around it; turned, the region lies."""
    estimator = DeclaredEstimator(read_declaration(rtmpose(tmp_path)))
    (people,) = estimator.look(np.zeros((480, 640, 3), np.uint8), [Square(np.array([300.0, 220.0]), 200.0, turn)])
    across = np.array([200, 200 * 4 / 3])  # upright in the crop
    offset = (STANDING - 0.5) * across
    for _ in range(turn):
        offset = np.stack([-offset[:, 1], offset[:, 0]], axis=1)  # clockwise on the screen, as the crop was turned back
    expected = np.column_stack([offset + np.array([300, 220]), np.full(17, 0.9)])
    assert people.shape == (1, 18, 3)
    # The region has whole pixels, and a picture of n pixels turns around (n - 1) / 2.
    np.testing.assert_allclose(people[0], convert(expected, COCO17, OPENPOSE18), atol=2.0)


def test_movenet_multipose_is_bottom_up(tmp_path: Path) -> None:
    """Rows of 56: y, x, score of 17 joints, then a box and its score; two people, the second too faint."""
    rows = np.zeros((1, 6, 56), np.float32)
    rows[0, 0, :51] = np.column_stack([STANDING[:, ::-1], np.full(17, 0.8)]).ravel()
    rows[0, 1, :51] = np.column_stack([STANDING[:, ::-1] * 0.5, np.full(17, 0.1)]).ravel()
    write_model(tmp_path / "m.onnx", [rows], shape=[1, 256, 256, 3], dtype=TensorProto.INT32)
    path = tmp_path / "m.yaml"
    path.write_text(
        "model: m.onnx\nkind: bottom_up\ndecoding: keypoints\nsize: [256, 256]\norder: nhwc\ndtype: int32\n"
        "coordinates: yx\nunit: share\n"
    )
    found = open_estimator(path).search(np.zeros((240, 320, 3), np.uint8))
    # The frame of 320 x 240 lies in the middle of a square of 320.
    expected = np.column_stack([STANDING * 320 - (0, 40), np.full(17, 0.8)])
    assert len(found) == 1
    np.testing.assert_allclose(found[0], convert(expected, COCO17, OPENPOSE18), atol=1.0)
    settings = ExtractionSettings(min_person_score=0.12)
    tracker = PoseExtractor(path, settings=settings).tracker()
    seen = [tracker.update(np.zeros((240, 320, 3), np.uint8)) for _ in range(4)]
    assert [len(people) for people in seen] == [1] * 4


def test_a_top_down_model_extracts_a_video_with_the_network_as_finder(
    tmp_path: Path, pose_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, truth = render_scene([Performer("Clapping", group=1, start=(0, 0), heading=0.0)], seed=1, frames=6)
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, frames.shape[2:0:-1])
    for frame in frames:
        video.write(frame)
    video.release()
    path = rtmpose(tmp_path)
    path.write_text(path.read_text() + f"finder: {pose_model}\n")
    got = PoseExtractor(path, settings=ExtractionSettings(max_people=1)).extract(tmp_path / "v.avi")
    assert got.joints.shape == (1, 6, 18, 3)
    # Whatever is there, this model sees it standing upright in its crop, around the person that was found.
    torso = got.joints[0, :, [8, 11], :2].mean(axis=0) - got.joints[0, :, 1, :2]
    assert (torso[:, 1] > 0).all()
    middle = np.nanmean(np.where(truth[0, 0, :, 2:] > 0, truth[0, 0, :, :2], np.nan), axis=0)
    assert np.linalg.norm(np.nanmean(got.joints[0, 0, :, :2], axis=0) - middle) < 40


def test_the_identity_follows_every_file(tmp_path: Path, pose_model: Path) -> None:
    path = rtmpose(tmp_path)
    path.write_text(path.read_text() + f"finder: {pose_model}\n")
    first = extractor_identity(path, settings=ExtractionSettings())
    assert first == extractor_identity(path, settings=ExtractionSettings())
    path.write_text(path.read_text() + "min_score: 0.4\n")
    second = extractor_identity(path, settings=ExtractionSettings())
    write_model(tmp_path / "rtmpose.onnx", simcc(STANDING * (190, 250)), shape=[1, 3, 256, 192])
    assert len({first, second, extractor_identity(path, settings=ExtractionSettings())}) == 3


def test_decoding_by_hand(tmp_path: Path) -> None:
    model = read_declaration(rtmpose(tmp_path))
    joints = decode_simcc(simcc(STANDING * (192, 256), score=0.7), model)
    np.testing.assert_allclose(joints[0, :, :2], STANDING * (192, 256), atol=0.25)
    np.testing.assert_allclose(joints[..., 2], 0.7, rtol=1e-6)
    maps = np.zeros((1, 17, 64, 48), np.float32)
    maps[0, 3, 20, 10], maps[0, 3, 20, 11], maps[0, 3, 19, 10] = 0.8, 0.5, 0.4
    # A quarter cell right and up from the middle of cell (10, 20); cells are 4 pixels.
    np.testing.assert_allclose(decode_heatmaps([maps], model)[0, 3], [10.75 * 4 - 0.5, 20.25 * 4 - 0.5, 0.8], atol=1e-6)
    plain = np.column_stack([STANDING * (192, 256), np.full(17, 0.6)])
    np.testing.assert_allclose(decode_keypoints([plain[None, None]], model)[0], plain)


def test_joints_that_a_layout_lacks_are_missing() -> None:
    layout = LAYOUTS["penn13"]
    people = np.ones((2, layout.size, 3))
    found = in_openpose18(people, layout)
    missing = {OPENPOSE18.joints[joint] for joint in np.flatnonzero(found[0, :, 2] == 0)}
    assert {"left_eye", "right_ear"} <= missing
    assert found[0, OPENPOSE18.index("neck"), 2] == 1


def test_a_layout_without_a_torso_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.yaml"
    layout = (
        "joints: [nose, left_eye, right_eye, left_hip], bones: [[0, 1]], pairs: [[1, 2]], root: [0], torso: [[1], [2]]"
    )
    path.write_text(f"model: m.onnx\nlayout: {{name: faces, {layout}}}\n")
    with refused("pose-declaration.invalid", ConfigError) as caught:
        read_declaration(path)
    assert caught.value.names == ("layout",)
    assert "; left_shoulder, right_shoulder, right_hip is missing" in str(caught.value)


def test_a_bad_declaration_is_reported_whole(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("kind: sideways\nsize: 256\nlayout: coco16\ncolour: red\n")
    with pytest.raises(ConfigError) as caught:
        read_declaration(path)
    assert set(caught.value.names) == {"kind", "size", "layout", "colour", "model"}
    path.write_text("model: m.onnx\nstd: [1, 0, 1]\nmin_score: '0.3'\nsplit: -1\noutputs: 3\nmin_joints: true\n")
    with pytest.raises(ConfigError) as caught:
        read_declaration(path)
    named = {name.split(".")[0] for name in caught.value.names}
    assert named == {"std", "min_score", "split", "outputs", "min_joints"}
    path.write_text("model: m.onnx\nmin_joints: 18\n")
    with refused("pose-declaration.invalid", ConfigError) as caught:
        read_declaration(path)
    assert caught.value.names == ("min_joints",) and "17" in str(caught.value)
    path.write_text("model: nowhere.onnx\n")
    with refused("pose-model.missing", DataError):
        DeclaredEstimator(read_declaration(path))
    wrong = read_declaration(rtmpose(tmp_path))
    with refused("pose-model.outputs", DataError):
        decode_simcc([np.zeros((1, 17, 384))], wrong)


def test_places_that_the_size_does_not_make_are_refused(tmp_path: Path) -> None:
    path = rtmpose(tmp_path)
    path.write_text(path.read_text() + "split: 1.0\n")
    with refused("pose-model.other-size", DataError) as caught:
        DeclaredEstimator(read_declaration(path))
    assert all(number in str(caught.value) for number in ("384", "512", "[192, 256]", "192 and 256"))


def test_a_network_is_known_by_its_weights(pose_model: Path, tmp_path: Path) -> None:
    """Other names of the same values are the same network; one other value is another."""
    model = onnx.load(pose_model)
    model.producer_name, known = "another exporter", network_hash(pose_model)
    onnx.save(model, tmp_path / "same.onnx")
    assert network_hash(tmp_path / "same.onnx") == known
    weights = next(each for each in model.graph.initializer if len(each.dims) > 1)
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[0] += 1
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "other.onnx")
    assert network_hash(tmp_path / "other.onnx") != known


def test_a_run_needs_the_hash_of_the_declared_model(tmp_path: Path) -> None:
    path = rtmpose(tmp_path)
    with refused("pose-declaration.not-pinned", ConfigError) as caught:
        require_pinned(path)
    path.write_text(path.read_text() + str(caught.value).partition("add `")[2].rstrip("`") + "\n")
    require_pinned(path)
    write_model(tmp_path / "rtmpose.onnx", simcc(STANDING * (190, 250)), shape=[1, 3, 256, 192])
    with refused("pose-declaration.other-model", ConfigError):
        require_pinned(path)


def test_a_finder_is_looked_for_from_the_declaration_upwards(tmp_path: Path) -> None:
    path = rtmpose(tmp_path)
    path.write_text(path.read_text() + "finder: rtmpose.onnx\n")
    (tmp_path / "networks").mkdir()
    assert read_declaration(path).finder_path == tmp_path / "rtmpose.onnx"
    path = rtmpose(tmp_path / "networks")
    (tmp_path / "models/pose").mkdir(parents=True)
    (tmp_path / "models/pose/pose.onnx").touch()
    assert read_declaration(path).finder_path == tmp_path / "models/pose/pose.onnx"


HEATMAPS = [np.zeros((1, 17, 64, 48), np.float32)]


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ([1, 3, 192, 256], "nchw"),
        ([1, 3, 192, 192], "nchw"),
        ([1, 256, 192, 3], "nchw"),
        ([1, 3, 256, 192], "nhwc"),
        ([8, 3, 256, 192], "nchw"),
        ([1, 1, 256, 192], "nchw"),
        ([1, 256 * 192], "nchw"),
        (["n", 3, "h", 192 * 2], "nchw"),
    ],
)
def test_a_picture_that_the_size_does_not_make_is_refused_at_once(tmp_path: Path, shape: list, order: str) -> None:
    write_model(tmp_path / "m.onnx", HEATMAPS, shape=shape)
    (tmp_path / "m.yaml").write_text(f"model: m.onnx\nkind: bottom_up\ndecoding: heatmaps\norder: {order}\n")
    with refused("pose-model.other-size", DataError) as caught:
        open_estimator(tmp_path / "m.yaml")
    assert all(words in str(caught.value) for words in ("m.onnx", "[192, 256]", order, str(shape[-1])))


@pytest.mark.parametrize("shape", [[1, 3, 256, 192], ["n", 3, "h", "w"], [None, 3, None, 192], ["n", "c", 256, "w"]])
def test_lengths_that_vary_take_any_size(tmp_path: Path, shape: list) -> None:
    write_model(tmp_path / "m.onnx", HEATMAPS, shape=shape)
    (tmp_path / "m.yaml").write_text("model: m.onnx\nkind: bottom_up\ndecoding: heatmaps\n")
    assert len(open_estimator(tmp_path / "m.yaml").search(np.zeros((90, 120, 3), np.uint8))) == 0


def test_a_model_that_takes_more_than_a_picture_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "m.onnx", HEATMAPS, shape=[1, 3, 256, 192])
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.input.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4]))
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "m.yaml").write_text("model: m.onnx\nkind: bottom_up\ndecoding: heatmaps\n")
    with refused("pose-model.inputs", DataError) as caught:
        open_estimator(tmp_path / "m.yaml")
    assert "picture, boxes" in str(caught.value)
