"""A tiny recognizer of everyday actions, trained here on true joints of drawn people, some of which stand for films."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from memory_poses import MemoryPoses
from refusals import refused

from pan_core.benchmark.people import PoseRecipe
from pan_core.benchmark.protocol import Recipe
from pan_core.datasets.actors.choreography import CLASSES as ACTORS
from pan_core.datasets.actors.scenes import clip_scene
from pan_core.datasets.jhmdb import CLASSES as JHMDB
from pan_core.errors import DataError
from pan_core.evaluation.temperature import divide_heads
from pan_core.model.features import PoseFeatures
from pan_core.model.pan import PanSettings
from pan_core.model.store import load_model
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.named_networks import network_file
from pan_core.pose.pose_set import ClipPoses
from pan_core.recognition.exported_network import ExportedNetwork
from pan_core.recognition.pretrained import STOCK
from pan_core.recognition.pretrained.everyday_classes import CLASSES, DRAWN_ONLY, OF_ACTORS, OF_JHMDB
from pan_core.recognition.pretrained.everyday_clips import EverydayClips
from pan_core.recognition.pretrained.everyday_training import EverydayNetwork, held_out_films, train_everyday
from pan_core.recognition.pretrained.stock_files import PINNED, read_stock, require_pinned_files
from pan_core.recognition.torch_network import TorchNetwork
from pan_core.segments.table import whole_clips
from pan_core.skeletons import OPENPOSE18
from pan_core.training.samples import join_samples
from pan_core.training.settings import TrainSettings
from pan_core.workspace.stock_training import write_everyday

FILMED = ("Walking", "Waving", "Clapping")
FILMS, NOBODY = 7, "nobody"
NETWORK = PanSettings(graph_channels=(8,), frame_channels=16, hidden=16, joint_units=8, pose_units=8)
RECIPE = Recipe(NETWORK, TrainSettings(epochs=1, least_steps=30), frames=32, rate=15.0)


def drawn(label: str, group: int, seed: int) -> tuple[ClipPoses, list[dict]]:
    """One person and the true segments."""
    scene, segments = clip_scene(
        seed=seed, label=label, group=group, clip=1, frames=(12, 16), fps=15.0, width=320, height=240
    )
    poses = ClipPoses(f"{label}-{group}-{seed}", scene.joints(), 15.0, 320, 240, "annotated")
    rows = [{"clip_id": poses.clip_id, "start_frame": each.start_frame, "end_frame": each.end_frame, "label": each.label,
             "parent_label": label} for each in segments]  # fmt: skip
    return poses, rows


def row(clip_id: str, label: str, group: str, frames: int, **splits: str) -> dict:
    return {"clip_id": clip_id, "label": label, "group": group, "n_frames": frames, "fps": 15.0, **splits}


@pytest.fixture(scope="module")
def films() -> EverydayClips:
    """Seven films of each class, the last one test; and one test clip that shows nobody."""
    rows, poses = [row(NOBODY, "Waving", "film-x", 12, split1="test")], []
    for label in FILMED:
        for film in range(FILMS):
            clip, _ = drawn(label, film + 1, seed=7)
            poses.append(clip)
            part = "test" if film == FILMS - 1 else "train"
            rows.append(row(clip.clip_id, label, f"film{film}", clip.joints.shape[1], split1=part))
    table = pd.DataFrame(rows)
    return EverydayClips(table, MemoryPoses(OPENPOSE18, poses), whole_clips(table), frozenset([NOBODY]))


@pytest.fixture(scope="module")
def actors() -> EverydayClips:
    """Three people, a third of them test in each split; one class is composed."""
    rows, poses, segments = [], [], []
    for label in (*FILMED, *DRAWN_ONLY, "WalkAndSit"):
        for group in (1, 2, 3):
            clip, parts = drawn(label, group, seed=0)
            poses.append(clip)
            segments += parts
            splits = {f"split{split}": "test" if split == group else "train" for split in (1, 2, 3)}
            rows.append(row(clip.clip_id, OF_ACTORS[label], f"g{group}", clip.joints.shape[1], **splits))
    return EverydayClips(pd.DataFrame(rows), MemoryPoses(OPENPOSE18, poses), pd.DataFrame(segments), frozenset())


@pytest.fixture(scope="module")
def trained(
    films: EverydayClips, actors: EverydayClips, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EverydayNetwork, Path]:
    """Trained in two halves: the first run is ended after the network that measures."""
    folder, ended = tmp_path_factory.mktemp("everyday"), []

    def end_after_one(epochs, name):
        if name == "everything":
            ended.append(name)
            raise KeyboardInterrupt
        return epochs

    with pytest.raises(KeyboardInterrupt):
        train_everyday(films, actors, RECIPE, seeds=1, folder=folder, progress=end_after_one)
    assert ended and [path.name for path in folder.glob("*.pt")] == ["held-out-0.pt"]
    left: dict[str, int] = {}

    def count(epochs, name):
        left[name] = len(list(epochs))
        return epochs

    network = train_everyday(films, actors, RECIPE, seeds=1, folder=folder, progress=count)
    assert left["held-out-0"] == 0 < left["everything"]
    return network, folder


@pytest.fixture(scope="module")
def shipped(
    trained: tuple[EverydayNetwork, Path], films: EverydayClips, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("shipped") / "everyday"
    poses = PoseRecipe(network_file("movenet", quality="balanced"), ExtractionSettings())
    facts = {"command": "pan recognizer train-everyday", "seeds": "One network", "actors": 3, "steps": 30}
    write_everyday(folder, trained[0], films, RECIPE, poses, facts)
    return folder


def test_every_class_of_the_actors_has_a_name_and_no_name_stands_for_two_actions():
    assert set(OF_ACTORS) == set(ACTORS) and set(OF_JHMDB) < set(JHMDB)
    assert len(set(OF_JHMDB.values())) == len(OF_JHMDB)
    assert {"Falling", "Squatting"} <= set(CLASSES) and set(OF_ACTORS.values()) <= set(CLASSES)
    assert {
        "LongJump": "Jumping",
        "WalkAndSit": "SittingDown",
        "WalkingAndWaving": "Waving",
    }.items() <= OF_ACTORS.items()


def test_no_film_is_held_out_twice_and_none_of_the_test_part_ever(films):
    learn = films.part("train", 1)
    parts = list(held_out_films(films, learn))
    groups = [set(films.table["group"][part]) for part in parts]
    assert sum(len(each) for each in groups) == len(set.union(*groups)) == FILMS - 1
    assert (np.sum(parts, axis=0) == learn).all()


def test_figures_count_every_clip_and_a_clip_without_people_is_wrong(trained, films):
    test = trained[0].test
    assert test.clips == {"Clapping": 1, "Walking": 1, "Waving": 2}
    assert test.nobody == 1 and test.share <= 0.75
    assert sum(trained[0].held_out.clips.values()) == len(FILMED) * 2  # six films in five parts: the first has two
    assert set(trained[0].drawn.clips) == set(DRAWN_ONLY)


def test_a_composed_clip_has_both_actions_and_the_name_of_the_last(actors):
    samples = actors.samples((actors.table["label"] == "SittingDown").to_numpy(), rate=15.0)
    assert {CLASSES[label] for label in samples.labels} == {"SittingDown"}
    assert {CLASSES[number] for number in np.flatnonzero(samples.holds.any(axis=0))} == {"Walking", "SittingDown"}


def test_joined_samples_are_those_of_the_parts(films, actors):
    parts = [films.samples(films.part("train", 1), rate=15.0), actors.samples(actors.part("test", 2), rate=15.0)]
    joined = join_samples(parts)
    for number in (0, len(parts[0]) - 1, len(parts[0]), len(joined) - 1):
        part, index = (parts[0], number) if number < len(parts[0]) else (parts[1], number - len(parts[0]))
        own, other = joined.batch(np.array([number])), part.batch(np.array([index]))
        assert joined.clip_ids[number] == part.clip_ids[index]
        for name in ("joints", "lengths", "labels", "frame_targets"):
            np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
    with refused("samples.mismatch", DataError):
        join_samples([parts[0], actors.samples(actors.part("test", 1), rate=15.0).__class__(
            **{**parts[1].__dict__, "mode": "clip"})])  # fmt: skip


def test_calibration_divides_both_logits_and_changes_no_answer(trained):
    network = trained[0].model
    features = torch.randn(2, 5, network.joints, network.features, generator=torch.manual_seed(0))
    with torch.inference_mode():
        before = network(features)
        divide_heads(network, 2.0, 4.0)
        after = network(features)
        divide_heads(network, 0.5, 0.25)
        again = network(features)
    torch.testing.assert_close(after.logits, before.logits / 2)
    torch.testing.assert_close(after.action_logits, before.action_logits / 4)
    torch.testing.assert_close(again.logits, before.logits)


def test_the_written_folder_is_the_network_for_torch_and_for_onnx(shipped, trained, films, monkeypatch):
    monkeypatch.setitem(STOCK, "everyday", shipped)
    stock, loaded = read_stock("everyday"), load_model(shipped)
    assert stock.labels == loaded.labels == loaded.actions == CLASSES
    assert (loaded.layout, loaded.rate, loaded.mode) == (OPENPOSE18, 15.0, "online")
    exported, network = ExportedNetwork(stock.step), TorchNetwork(loaded)
    samples = films.samples(films.part("test", 1), rate=15.0)
    memories = [exported.start(), network.start()]
    for frame in PoseFeatures(OPENPOSE18, mode="online")(samples.batch(np.array([0])).joints)[0]:
        results = [
            one.step(frame[None].astype(np.float32), memory)
            for one, memory in zip((exported, network), memories, strict=True)
        ]
        np.testing.assert_allclose(results[0].logits, results[1].logits, atol=1e-4)
        np.testing.assert_allclose(results[0].action_logits, results[1].action_logits, atol=1e-4)
        memories = [result.memory for result in results]
    for name, value in trained[0].model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], value)


def test_the_card_has_the_figures_and_names_whose_films_they_were(shipped, trained):
    card = " ".join((shipped / "README.md").read_text().split())
    network = trained[0]
    assert f"| 4 of 3 classes | **{network.test.share:.1%}** | 1 |" in card
    assert "| Waving | 2 |" in card
    assert f"temperatures {network.temperature:.2f} for clips and {network.action_temperature:.2f} for frames" in card
    assert all(
        words in card
        for words in (
            "CC BY 4.0",
            "Jhuang",
            "Kuehne",
            "Apache License",
            require_pinned_files(shipped)["model.safetensors"],
        )
    )
    assert "{" not in card


@pytest.mark.parametrize("name", PINNED)
def test_a_file_that_is_another_or_missing_is_refused(name, shipped, tmp_path, monkeypatch):
    folder = tmp_path / "everyday"
    shutil.copytree(shipped, folder)
    monkeypatch.setitem(STOCK, "everyday", folder)
    # What a checkout without Git LFS leaves, or a copy that was cut short.
    (folder / name).write_bytes((shipped / name).read_bytes()[:-1])
    with refused("stock.other-file", DataError) as caught:
        read_stock("everyday")
    assert name in str(caught.value)
    (folder / name).unlink()
    with refused("stock.incomplete", DataError):
        read_stock("everyday")


def test_films_of_a_single_class_or_none_are_refused(films, actors, tmp_path):
    nothing = EverydayClips(films.table.iloc[:1], films.poses, films.segments, films.nobody)
    with refused("samples.empty", DataError):
        nothing.samples(np.array([True]), rate=15.0)
