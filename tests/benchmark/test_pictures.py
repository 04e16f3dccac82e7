"""Networks that see pictures: their published sizes, what they see of a video, a training, and what cannot be run."""

import json
import shutil
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from filmed import ABSENT, DAMAGED, FOOT, NOBODY, WHOLE, Filmed, make_mirror, write_video
from refusals import refused

from pan_core.benchmark import picture_runs
from pan_core.benchmark.comparators import c3d, transformation, two_stream
from pan_core.benchmark.coordinator import benchmark
from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.picture_clips import (
    PictureClips,
    View,
    add_flow,
    choose_frames,
    cut_square,
    load_batches,
    read_windows,
)
from pan_core.benchmark.picture_comparison import require_pictures
from pan_core.benchmark.picture_networks import PictureRecipe, choose_device, count_macs, load_weights
from pan_core.benchmark.picture_runs import PictureLoop, PictureSetting
from pan_core.benchmark.protocol import Job, Variant
from pan_core.benchmark.request import Request
from pan_core.benchmark.results_page import write_results_page
from pan_core.datasets import registry
from pan_core.datasets.actors import Performer, render_scene
from pan_core.datasets.base import Context
from pan_core.datasets.ucf101 import CLASSES, Ucf101
from pan_core.errors import ConfigError, DataError, PanError, VideoError
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.pretrained import DECLARATIONS

POSES = PoseRecipe(DECLARATIONS["movenet"], ExtractionSettings(), device="cpu")
REQUEST = Request(seeds=1, modes=("clip",), splits=(1,), pictures=("c3d",), device="cpu")
SMALL = View(frames=4, size=32, short_side=36, spread=False, windows=2)
FILM = replace(SMALL, frames=16)  # C3D halves the frames four times


@pytest.fixture(scope="module")
def torchvision():
    """Networks on its layers; the project's lock has it."""
    try:
        two_stream.import_models()
    except PanError:
        pytest.skip("torchvision is not installed")


def on_meta(build, classes):
    with torch.device("meta"):
        return build(classes).eval()


def parameters(network):
    return sum(weights.numel() for weights in network.parameters())


def test_c3d_has_its_published_size():
    """78.4 million with UCF101's classes. By hand: 3 * 3 * 3 * in * out + out each; fc6 reads 512 x 1 x 4 x 4."""
    widths = [(3, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 512), (512, 512)]
    convolutions = sum(27 * first * second + second for first, second in widths)
    dense = (8192 + 1) * 4096 + (4096 + 1) * 4096
    assert parameters(on_meta(c3d.build, 101)) == convolutions + dense + 4097 * 101 == 78_409_573
    assert parameters(on_meta(c3d.build, 487)) == convolutions + dense + 4097 * 487 == 79_991_015


def test_c3d_costs_what_is_published():
    """38.5 billion multiplications of 16 frames. By hand: weights of each convolution times the places of its output."""
    network = on_meta(c3d.build, 101)
    places = [16 * 112**2, 16 * 56**2, 8 * 28**2, 8 * 28**2, 4 * 14**2, 4 * 14**2, 2 * 7**2, 2 * 7**2]
    pairs = [3 * 64, 64 * 128, 128 * 256, 256**2, 256 * 512, 512**2, 512**2, 512**2]
    expected = sum(27 * pair * place for pair, place in zip(pairs, places, strict=True)) + 4096 * (8192 + 4096 + 101)
    assert count_macs(lambda: network(torch.zeros(1, 3, 16, 112, 112, device="meta"))) == expected
    assert expected == pytest.approx(38.5e9, rel=0.01)


def test_c3d_learns_from_weights_of_another_number_of_classes(tmp_path):
    first, second = (c3d.C3D(classes=k, size=32, channels=(2, 2, 2, 2, 2), units=4) for k in (5, 2))
    torch.save(first.state_dict(), tmp_path / "c3d.pt")
    load_weights(c3d.backbones(second), "c3d", str(tmp_path / "c3d.pt"), c3d.HEADS)
    torch.testing.assert_close(second.conv4a.weight, first.conv4a.weight)
    assert second.fc8.weight.shape == (2, 4)
    other = c3d.C3D(classes=2, size=32, channels=(2, 2, 2, 2, 3), units=4)
    with refused("picture-weights.other-network", DataError) as caught:
        load_weights(c3d.backbones(other), "c3d", str(tmp_path / "c3d.pt"), c3d.HEADS)
    assert "conv5" in str(caught.value) or "fc6" in str(caught.value)
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    with refused("picture-weights.unreadable", DataError):
        load_weights([second], "c3d", str(tmp_path / "bad.pt"), c3d.HEADS)
    torch.save({key: value * torch.nan for key, value in first.state_dict().items()}, tmp_path / "nan.pt")
    with refused("picture-weights.not-finite", DataError):
        load_weights(c3d.backbones(second), "c3d", str(tmp_path / "nan.pt"), c3d.HEADS)
    with refused("picture-weights.no-imagenet", DataError):
        load_weights([second], "c3d", "imagenet", c3d.HEADS)


def test_two_streams_have_their_published_size(torchvision):
    """GoogLeNet without its last layer has 5,599,904 weights in torchvision, with batch norms; an LSTM 4 (in + cells + 2) cells."""
    lstms = 4 * 512 * (1024 + 512 + 2) + 4 * (4 * 512 * (512 + 512 + 2))
    network = on_meta(two_stream.build, 101)
    assert parameters(network) == 2 * (5_599_904 + lstms + 513 * 101)
    frames = torch.zeros(1, 6, 2, 224, 224, device="meta")
    assert [logits.shape for logits in network(frames)] == [(1, 2, 101)] * 2
    # 1.5 billion multiplications a picture (Szegedy et al., 2015), and four gates of each cell.
    gates = 4 * 512 * (1024 + 512) + 4 * (4 * 512 * (512 + 512))
    per_frame = count_macs(lambda: network(frames)) / 4
    assert per_frame - gates - 512 * 101 == pytest.approx(1.5e9, rel=0.03)


def test_the_transformation_model_has_its_published_size(torchvision):
    """VGG-16 has 138,357,544 weights, 4,097,000 of them in fc8; two embeddings of 512, and a matrix for each action."""
    network = on_meta(transformation.build, 101)
    assert parameters(network) == 138_357_544 - 4_097_000 + 2 * 4097 * 512 + 101 * 512 * 512
    # 15.5 billion multiplications a picture (Simonyan and Zisserman, 2015).
    frames = torch.zeros(1, 3, 3, 224, 224, device="meta")
    assert count_macs(lambda: network(frames)) / 3 == pytest.approx(15.5e9, rel=0.02)


def test_precondition_and_effect_by_hand():
    """Of 12 frames the precondition has 4 to 6, and the effect begins at 6 to 8."""
    assert transformation.latent_pairs(12) == [(p, e) for p in (4, 5, 6) for e in (6, 7, 8)]
    assert all(p >= 1 and e <= frames - 1 for frames in (2, 3, 25) for p, e in transformation.latent_pairs(frames))


def test_the_transformation_loss_by_hand():
    """Two actions, features of length 2: the first keeps a vector, the second turns it by a right angle; the clip keeps it."""

    class Corner(torch.nn.Module):
        def forward(self, pictures):
            return pictures[:, :2, 0, 0]

    network = transformation.Transformations(classes=2, vision=Corner(), features=2, embedding=2)
    with torch.no_grad():
        for layer in (network.before, network.after):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
        network.actions.copy_(torch.tensor([[[1.0, 0], [0, 1]], [[0, -1], [1, 0]]]))
        network.mean.zero_()
        network.deviation.fill_(1)
    clip = torch.zeros(1, 3, 6, 1, 1)
    clip[:, 0] = 255
    loss, scores = network.loss(clip, torch.tensor([0]))
    torch.testing.assert_close(scores, torch.tensor([[0.0, -1.0]]))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss, _ = network.loss(clip, torch.tensor([1]))
    assert loss.item() == pytest.approx(1 + transformation.MARGIN)


def test_later_frames_weigh_more():
    gains = two_stream.weigh_frames(torch.zeros(1, 4, 2))
    torch.testing.assert_close(gains, torch.tensor([0.1, 0.2, 0.3, 0.4]))


def test_frames_of_windows():
    neighbours, spread = replace(SMALL, windows=3), replace(SMALL, spread=True)
    assert choose_frames(10, neighbours, None).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert choose_frames(3, neighbours, None).tolist() == [[0, 1, 2, 2]]
    assert choose_frames(1, spread, None).tolist() == [[0, 0, 0, 0]]
    assert choose_frames(8, spread, None).tolist() == [[1, 3, 5, 7]]
    rng = np.random.default_rng(0)
    for _ in range(50):
        (own,) = choose_frames(40, spread, rng)
        assert (own // 10).tolist() == [0, 1, 2, 3]
        (own,) = choose_frames(6, SMALL, rng)
        assert np.diff(own).tolist() == [1, 1, 1]
        assert own[-1] < 6


def numbered_video(path, frames=12):
    """Frame n is a picture of grey 20 n."""
    write_video(path, np.repeat(np.arange(frames, dtype=np.uint8), 48 * 64 * 3).reshape(frames, 48, 64, 3) * 20)


def test_the_frames_that_were_chosen_are_read(tmp_path):
    numbered_video(tmp_path / "a.avi")
    found = read_windows(tmp_path / "a.avi", np.array([[1, 2, 5], [5, 9, 30]]), SMALL)
    assert found.shape == (2, 3, 36, 48, 3)
    # A frame after the end is the last one.
    assert np.round(found.mean(axis=(2, 3, 4)) / 20).tolist() == [[1, 2, 5], [5, 9, 9]]
    with refused("video.changed", VideoError):
        read_windows(tmp_path / "a.avi", np.array([[20, 21]]), SMALL)


def test_flow_is_that_to_the_next_frame(tmp_path):
    """A texture moves 3 pixels to the right in each frame: the flow's x is 128 + 3 * 127 / 40, mirrored as far below 128."""
    view = View(frames=2, size=96, short_side=120, spread=True, flow=True)
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (120, 300, 3), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    write_video(tmp_path / "a.avi", np.stack([texture[:, 60 - 3 * n : 220 - 3 * n] for n in range(6)]))
    found = read_windows(tmp_path / "a.avi", np.array([[1, 4]]), view)
    middle = found[0, :, 30:90, 40:120]
    assert np.median(middle[..., 3]) == pytest.approx(128 + 3 * 127 / 40, abs=2)
    assert np.median(middle[..., 4]) == pytest.approx(128, abs=1)
    assert (found[..., 5] == 128).all()
    rng = next(rng for rng in map(np.random.default_rng, range(99)) if is_mirrored(found, view, rng))
    mirrored = cut_square(found, view, rng)
    assert np.median(mirrored[..., 3]) == pytest.approx(128 - 3 * 127 / 40, abs=2)


def is_mirrored(pictures, view, rng):
    state = rng.bit_generator.state
    cut = cut_square(pictures, view, rng)
    rng.bit_generator.state = state
    return np.median(cut[..., 3]) < 128


def test_flow_that_is_too_large_is_cut_off():
    flow = np.array([[[100, -100], [0, 40]]], np.float32)
    assert add_flow(np.zeros((1, 2, 3), np.uint8), flow)[0, :, 3:].tolist() == [[255, 0, 128], [128, 255, 128]]


def moving_bars(folder, count):
    """Videos of a bar that moves down, or of one that moves to the right, at a place that differs; and their clip table."""
    rows = []
    for number in range(count):
        label, rng = ("down", "right")[number % 2], np.random.default_rng(number)
        frames, start = np.zeros((10, 40, 40, 3), np.uint8), int(rng.integers(0, 8))
        for n, frame in enumerate(frames):
            place = slice(start + 3 * n, start + 3 * n + 5)
            frame[(place,) if label == "down" else (slice(None), place)] = 255
        write_video(folder / f"{number}.avi", frames)
        rows.append({"clip_id": f"c{number}", "path": f"{number}.avi", "label": label, "n_frames": 10})
    return pd.DataFrame(rows)


@pytest.fixture
def small_c3d(monkeypatch):
    """C3D at a size that a test can train."""
    recipe = PictureRecipe(FILM, epochs=60, batch=4, learning_rate=0.01, weight_decay=0.0)

    def build(classes):
        network = c3d.C3D(classes=classes, size=32, channels=(8, 8, 16, 16, 16), units=64)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv3d | torch.nn.Linear):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        with torch.no_grad():
            network.conv1.weight /= 64  # pixels are as far as 128 from their mean
            network.fc8.weight /= 10
        return network

    monkeypatch.setattr(c3d, "build", build)
    monkeypatch.setattr(c3d, "RECIPE", recipe)
    return recipe


def loop_of(folder, clips, recipe, *, name="c3d"):
    setting = PictureSetting(
        "bars", folder, "data", None, "commit", {name: "code"}, videos=folder, recipes={name: recipe}, device="cpu"
    )  # fmt: skip
    train = PictureClips(clips, folder, ("down", "right"), recipe.view, seed=0)
    return PictureLoop(setting, Job(Variant("comparator", name), "clip", 1, 0), train, classes=2)


def test_a_training_learns_and_an_interrupted_one_ends_with_the_same_weights(small_c3d, tmp_path, monkeypatch):
    recipe = replace(small_c3d, epochs=24)
    clips = moving_bars(tmp_path, 24)
    whole = loop_of(tmp_path, clips[:16], recipe)
    whole.run(tmp_path / "whole.pt")
    losses = [row["train_loss"] for row in whole.history]
    assert losses[-1] < 0.5 * losses[0]
    test = PictureClips(clips[16:], tmp_path, ("down", "right"), recipe.view)
    predictions, unread = picture_runs.score(whole.network, test, torch.device("cpu"), 1)
    assert not unread
    assert (predictions == test.labels).mean() >= 7 / 8

    kept = picture_runs.save_checkpoint

    def killed(path, state, identity):
        kept(path, state, identity)
        if len(state["history"]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(picture_runs, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        loop_of(tmp_path, clips[:16], recipe).run(tmp_path / "cut.pt")
    monkeypatch.setattr(picture_runs, "save_checkpoint", kept)
    again = loop_of(tmp_path, clips[:16], recipe)
    again.run(tmp_path / "cut.pt")
    assert [row["train_loss"] for row in again.history] == losses
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, rtol=0, atol=0)


def test_the_other_networks_learn_and_score_too(torchvision, tmp_path, monkeypatch):
    """A step on pictures and flow of a few frames; GoogLeNet is whole, of VGG-16 the dense layers are left out."""
    vgg = two_stream.import_models().vgg
    vision = torch.nn.Sequential(vgg.make_layers(vgg.cfgs["D"]), torch.nn.Flatten())
    built = {
        "two_stream": lambda classes: two_stream.TwoStreamLSTM(classes=classes, cells=8, layers=2),
        "transformation": lambda classes: transformation.Transformations(
            classes=classes, vision=vision, features=512, embedding=8
        ),
    }
    clips = moving_bars(tmp_path, 4)
    for module, name in ((two_stream, "two_stream"), (transformation, "transformation")):
        monkeypatch.setattr(module, "build", built[name])
        view = replace(SMALL, spread=True, flow=module.RECIPE.view.flow)
        recipe = replace(module.RECIPE, view=view, epochs=2, batch=2)
        loop = loop_of(tmp_path, clips, recipe, name=name)
        before = {key: value.clone() for key, value in loop.network.named_parameters()}
        loop.run(tmp_path / f"{name}.pt")
        assert np.isfinite([row["train_loss"] for row in loop.history]).all()
        assert not [key for key, value in loop.network.named_parameters() if torch.equal(value, before[key])]
        test = PictureClips(clips, tmp_path, ("down", "right"), view)
        assert set(picture_runs.score(loop.network, test, torch.device("cpu"), 1)[0]) <= {0, 1}


def test_decoding_processes_change_nothing(tmp_path):
    clips = PictureClips(moving_bars(tmp_path, 3), tmp_path, ("down", "right"), SMALL, seed=1)
    keys = [[(0, 2), (0, 0)], [(1, 1)]]
    one, two = (list(load_batches(clips, keys, workers)) for workers in (1, 2))
    assert [[number for number, _ in batch] for batch in two] == [[2, 0], [1]]
    for (_, first), (_, second) in zip(chain(*one), chain(*two), strict=True):
        torch.testing.assert_close(first, second)


def test_a_video_that_is_gone_is_named_and_counted(small_c3d, tmp_path):
    clips = moving_bars(tmp_path, 6)
    (tmp_path / "1.avi").unlink()
    (tmp_path / "4.avi").write_bytes(b"no video")
    loop = loop_of(tmp_path, clips, replace(small_c3d, epochs=1, batch=2))
    loop.run(tmp_path / "c.pt")
    assert set(loop.unread) == {"c1", "c4"}
    assert "1.avi" in loop.unread["c1"]
    test = PictureClips(clips, tmp_path, ("down", "right"), FILM)
    predictions, unread = picture_runs.score(loop.network, test, torch.device("cpu"), 1)
    assert set(unread) == {"c1", "c4"}
    assert np.flatnonzero(predictions < 0).tolist() == [1, 4]
    for path in tmp_path.glob("*.avi"):
        path.unlink()
    with refused("pictures.nothing-read", DataError):
        loop_of(tmp_path, clips, small_c3d).run(tmp_path / "d.pt")


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Of `benchmark` on drawn videos in the layout of JHMDB."""
    make_mirror(tmp_path / "mirror")
    monkeypatch.setattr(registry, "dataset_by_name", lambda name: {"jhmdb_video": Filmed, "ucf101": Ucf101}[name]())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("pan_core.benchmark.picture_comparison.import_models", lambda: None)  # C3D needs none of it
    context = Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", workers=0, download=False)
    return {"folder": Path("benchmark"), "context": context, "out": Path("out"), "poses": POSES}


def test_pictures_stand_beside_the_recognizer_on_the_same_clips(arguments, recipe, small_c3d, monkeypatch):
    request = replace(REQUEST, classes=("walk", "wave"))
    result = benchmark("jhmdb_video", request, recipe, **arguments)
    (own,) = result["comparators"]
    (run,) = own["runs"]
    assert own["method"] == "c3d"
    assert len(run["hits"]) == run["test_clips"] == len(result["test_clips"]["1"]) == 4
    assert {NOBODY, FOOT} < set(result["test_clips"]["1"])
    assert result["missing"] == [ABSENT]
    assert list(result["unreadable"]) == [DAMAGED]
    hits = dict(zip(result["test_clips"]["1"], map(int, run["hits"]), strict=True))
    assert hits[WHOLE["walk"][4]] + hits[WHOLE["wave"][4]] == 2
    for entry in (result, own):
        assert entry["cost"]["macs"] > 0
        assert entry["cost"]["network_ms"] > 0
        assert entry["cost"]["read_ms"] > 0
    page = write_results_page(Path("out")).read_text()
    assert "| C3D (Tran et al., 2015), clip mode |" in page
    assert "MACs of a clip" in page
    assert result["command"].endswith("--classes walk,wave --pictures c3d")

    def never(*_, **__):
        raise AssertionError("a finished run was made again")

    monkeypatch.setattr(picture_runs, "run_pictures", never)
    again = benchmark("jhmdb_video", replace(request, pictures=()), recipe, **arguments)
    assert again["comparators"] == result["comparators"]
    shutil.rmtree("benchmark")
    assert benchmark("jhmdb_video", request, recipe, **arguments)["comparators"] == result["comparators"]


def test_ucf101_from_video_with_two_classes(arguments, recipe, tmp_path):
    """Two films of one name, a clip of the lists that is not there, a class that does not exist and a class alone."""
    mirror = tmp_path / "mirror" / "ucf101"
    lists = mirror / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    numbers = "".join(f"{number} {label}\n" for number, label in enumerate(CLASSES, start=1))
    (lists / "classInd.txt").write_text(numbers)
    named = {"train": [], "test": []}
    for label, action in (("Lunges", "Walking"), ("JumpingJack", "Waving")):
        frames, _ = render_scene([Performer(action)], frames=8)
        for group in range(1, 5):
            name = f"v_{label}_g{group:02}_c01"
            named["test" if group == 1 else "train"].append(f"{label}/{name}.avi")
            write_video(mirror / "UCF-101" / label / f"{name}.avi", frames)
    named["test"].append("Lunges/v_Lunges_g01_c02.avi")
    for part, names in named.items():
        (lists / f"{part}list01.txt").write_text("\n".join(names) + "\n")
    shutil.copy(
        mirror / "UCF-101" / "Lunges" / "v_Lunges_g02_c01.avi", mirror / "UCF-101" / "Lunges" / "v_LUNGES_g02_c01.avi"
    )
    request = replace(REQUEST, pictures=(), classes=("lunges", "JumpingJack"))
    result = benchmark("ucf101", request, recipe, **arguments)
    assert result["title"] == "2 of 101 classes, clips of UCF101"
    assert result["class_names"] == ["JumpingJack", "Lunges"]
    assert result["missing"] == ["v_Lunges_g01_c02"]
    assert list(result["unreadable"]) == ["v_Lunges_g02_c01"]
    assert "v_LUNGES_g02_c01" in result["unreadable"]["v_Lunges_g02_c01"]
    (path,) = Path("out").glob("*.json")
    assert path.name.startswith("ucf101-2-classes-")
    assert json.loads(path.read_text())["selected"] is True
    page = write_results_page(Path("out")).read_text()
    assert "## UCF101" not in page
    assert "93.5" not in page
    with refused("benchmark.unknown-class", ConfigError) as caught:
        benchmark("ucf101", replace(request, classes=("Lunge", "JumpingJack")), recipe, **arguments)
    assert "did you mean Lunges" in str(caught.value)
    with refused("benchmark.one-class", ConfigError):
        benchmark("ucf101", replace(request, classes=("Lunges",)), recipe, **arguments)


def test_without_torchvision_its_name_is_said(monkeypatch):
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with refused("pictures.no-torchvision"):
        require_pictures("ucf101", REQUEST)


def test_what_cannot_be_run_is_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("pan_core.benchmark.picture_comparison.import_models", lambda: None)
    with refused("pictures.no-videos", ConfigError):
        require_pictures("penn_action", REQUEST)
    with refused("picture-weights.missing", DataError):
        require_pictures("ucf101", replace(REQUEST, picture_weights=(("c3d", str(tmp_path / "none.pt")),)))
    with refused("device.unknown", ConfigError):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused("device.missing", ConfigError):
        require_pictures("ucf101", replace(REQUEST, device="cuda"))
    require_pictures("penn_action", replace(REQUEST, pictures=()))
