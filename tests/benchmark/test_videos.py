"""A benchmark of videos with the real pose network: every clip is counted, and what is not there is named."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from filmed import ABSENT, DAMAGED, FOOT, NOBODY, WHOLE, Filmed, boxes_of, make_mirror, write_video
from refusals import refused

from pan_core.benchmark import ladder
from pan_core.benchmark.coordinator import benchmark
from pan_core.benchmark.ladder import climb, require_ladder, require_same_clips
from pan_core.benchmark.people import (
    FOUND,
    IN_BOX,
    NEAREST,
    PoseRecipe,
    extract_people,
    look_into_box,
    look_into_boxes,
    nearest_person,
    spread,
)
from pan_core.benchmark.prepared_data import Selection, prepare
from pan_core.benchmark.request import Request
from pan_core.benchmark.results_page import write_results_page
from pan_core.datasets import registry
from pan_core.datasets.actors import Performer, render_scene
from pan_core.datasets.base import Context, Dataset
from pan_core.datasets.jhmdb import read_splits
from pan_core.datasets.jhmdb14 import Jhmdb14
from pan_core.datasets.jhmdb_video import JhmdbVideo, read_boxes
from pan_core.errors import ConfigError, DataError
from pan_core.pose.extraction import PoseExtractor
from pan_core.pose.extraction_settings import ExtractionSettings
from pan_core.pose.main_person import main_person
from pan_core.pose.pose_set import ClipPoses
from pan_core.pose.pretrained import DECLARATIONS
from pan_core.skeletons import JHMDB15
from pan_core.video import FrameReader

POSES = PoseRecipe(DECLARATIONS["movenet"], ExtractionSettings(), device="cpu")
ONE_CLIP = pd.DataFrame({"clip_id": ["a"], "path": ["a.avi"], "fps": [15.0], "start_frame": [0], "n_frames": [8]})
REQUEST = Request(seeds=1, modes=("clip",), splits=(1,), classes=("wave", "WALK"))


class Annotated(Dataset):
    """The true classes, parts and lengths of the videos, joints that a pencil drew; names are numbers."""

    name, has_video, layout, classes = "jhmdb14", False, JHMDB15, ("walk", "wave")
    facts = Filmed.facts

    def fetch(self, folder, context):
        Filmed().fetch(folder, context)

    def catalogue(self, folder, context):
        catalogue = Filmed().catalogue(folder, context)
        names = [f"{number:04}" for number in range(len(catalogue.clips))]
        return replace(catalogue, clips=catalogue.clips.assign(clip_id=names, path="", start_frame=0), missing=())

    def poses(self, folder, clips):
        rng = np.random.default_rng(0)
        for clip in clips.itertuples():
            joints = np.ones((1, clip.n_frames, 15, 3), np.float32)
            joints[..., :2] = 100 + rng.normal(0, 30, (1, clip.n_frames, 15, 2))
            yield ClipPoses(clip.clip_id, joints, 15.0, 320, 240, "pencil")


@pytest.fixture(scope="session")
def mirror(tmp_path_factory):
    make_mirror(folder := tmp_path_factory.mktemp("mirror"))
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Poses are extracted once for all tests, as the pose cache promises."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def arguments(mirror, cache, recipe, tmp_path, monkeypatch):
    """Of `benchmark` and `climb`, but for name, request and recipe."""
    adapters = {"jhmdb_video": Filmed, "jhmdb14": Annotated}
    monkeypatch.setattr(registry, "dataset_by_name", lambda name: adapters[name]())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    context = Context(cache=cache, mirror=mirror, workers=0, download=False)
    return {"folder": Path("benchmark/jhmdb_video"), "context": context, "out": Path("out"), "poses": POSES}


def test_every_clip_counts_and_what_is_not_there_is_named(arguments, recipe, monkeypatch):
    result = benchmark("jhmdb_video", REQUEST, recipe, **arguments)
    assert result["test_clips"]["1"] == sorted([NOBODY, FOOT, WHOLE["walk"][4], WHOLE["wave"][4]])
    (run,) = result["runs"]
    assert run["test_clips"] == 4
    assert NOBODY in result["clips_without_people"]
    assert set(result["clips_without_people"]) <= {NOBODY, FOOT}
    assert run["nobody_found"] == result["without_people"] == len(result["clips_without_people"])
    assert run["accuracy"] <= 1 - run["nobody_found"] / 4
    assert result["missing"] == [ABSENT]
    assert list(result["unreadable"]) == [DAMAGED]
    assert result["clips"] == 12
    assert result["poses"]["network"] == "movenet"

    def never(*_, **__):
        raise AssertionError("a video was extracted a second time")

    monkeypatch.setattr(PoseExtractor, "extract", never)
    (arguments["folder"] / Selection(("walk", "wave")).name / "data.json").unlink()
    again = benchmark("jhmdb_video", REQUEST, recipe, **arguments)
    assert again["runs"] == result["runs"]


def test_figures_on_chosen_classes_never_bear_the_datasets_name(arguments, recipe):
    result = benchmark("jhmdb_video", REQUEST, recipe, **arguments)
    assert result["class_names"] == ["walk", "wave"]
    assert result["title"] == "2 of 21 classes, clips of JHMDB, from video"
    (path,) = Path("out").glob("*.json")
    assert path.name == f"jhmdb_video-{Selection(('walk', 'wave')).name}.json"
    page = write_results_page(Path("out")).read_text()
    assert "only those of walk, wave: not comparable with figures on all classes" in page
    assert ABSENT in page
    assert DAMAGED in page


def test_a_dataset_that_is_not_as_published_says_so(arguments, recipe):
    result = benchmark("jhmdb_video", replace(REQUEST, classes=()), recipe, **arguments)
    assert "not as published: classes: expected 21 as published, but got 2" in result["title"]
    assert len(result["missing"]) == 20
    assert [path.name for path in Path("out").glob("*.json")] == ["jhmdb_video.json"]


def test_a_class_without_clips_is_refused_by_name(arguments, recipe):
    with refused("benchmark.empty-class", DataError) as caught:
        benchmark("jhmdb_video", replace(REQUEST, classes=("wave", "golf")), recipe, **arguments)
    assert "golf" in str(caught.value)
    with refused("benchmark.unknown-class", ConfigError) as caught:
        benchmark("jhmdb_video", replace(REQUEST, classes=("wave", "jogging")), recipe, **arguments)
    assert "'jogging'" in str(caught.value)
    with refused("benchmark.one-class", ConfigError):
        benchmark("jhmdb_video", replace(REQUEST, classes=("wave",)), recipe, **arguments)


def test_the_ladder_has_the_same_clips_on_every_rung(arguments, recipe):
    result = climb("jhmdb_video", REQUEST, recipe, **arguments)
    assert [rung["title"] for rung in result["rungs"]] == [rung.title for rung in ladder.RUNGS]
    assert {(r["runs"][0]["test_clips"], len(r["runs"])) for r in result["rungs"]} == {(4, 1)}
    assert len({rung["data_hash"] for rung in result["rungs"]}) >= 3
    assert result["rungs"][0]["without_people"] == 0
    assert all(NOBODY in rung["clips_without_people"] for rung in result["rungs"][1:])
    assert "everything estimated" in write_results_page(Path("out")).read_text()


def test_a_ladder_of_other_clips_is_refused(arguments, recipe, monkeypatch):
    of_all = Annotated.catalogue
    monkeypatch.setattr(
        Annotated,
        "catalogue",
        lambda self, folder, context: replace(c := of_all(self, folder, context), clips=c.clips[1:]),
    )
    with refused("ladder.other-clips", DataError):
        climb("jhmdb_video", REQUEST, recipe, **arguments)


def test_a_ladder_needs_annotated_joints(arguments):
    with refused("ladder.unknown", ConfigError):
        require_ladder("ucf101", REQUEST)
    with refused("benchmark.unknown-class", ConfigError) as caught:
        require_ladder("jhmdb_video", replace(REQUEST, classes=("walk", "kick_ball")))
    assert "'kick_ball'" in str(caught.value)


def test_jhmdb14_has_the_clips_of_14_classes_of_the_videos(real_data, tmp_path):
    """By class, parts in the three splits and annotated pictures, counted from the official lists and the boxes."""
    joints, context = Jhmdb14(), Context(cache=tmp_path, mirror=real_data, download=False)
    joints.fetch(tmp_path / "joints", context)
    annotated = joints.catalogue(tmp_path / "joints", context).clips
    zipfile.ZipFile(real_data / "jhmdb" / "splits.zip").extractall(tmp_path / "lists")
    splits = read_splits(tmp_path / "lists" / "splits")
    rows = [
        {"clip_id": clip_id, "label": JhmdbVideo().class_of(clip_id)}
        | {name: parts[clip_id] for name, parts in splits.items()}
        for clip_id in splits["split1"]
    ]
    listed = pd.DataFrame(rows).query("label in @Jhmdb14.classes")
    one, other = (SimpleNamespace(clips=clips, splits=[1, 2, 3]) for clips in (annotated, listed))
    boxes = read_boxes(real_data / "jhmdb" / "boxes.csv.gz")
    require_same_clips(one, other, boxes)
    first = listed["clip_id"].iloc[0]
    shorter = boxes | {first: boxes[first][:-1]}
    with refused("ladder.other-clips"):
        require_same_clips(one, other, shorter)


def centre_of(person):
    return np.nanmean(np.where(person[..., 2:] > 0, person[..., :2], np.nan), axis=(0, 1))


def test_of_several_people_the_one_in_the_box(tmp_path):
    """Two people, of whom the left one jumps; the box is around the one who waves on the right."""
    frames, joints = render_scene(
        [Performer("Jumping", start=(-1.0, 0.0)), Performer("Waving", start=(1.0, 0.0))], frames=8
    )
    write_video(tmp_path / "a.avi", frames)
    context, failures = Context(cache=tmp_path / "cache", workers=0), []
    right = int(np.argmax(np.nanmean(joints[..., 0], axis=(1, 2))))  # who jumps leaves the picture
    boxes = {"a": boxes_of(joints[right])}
    found = {}
    for people in (FOUND, NEAREST, IN_BOX):
        (found[people],) = extract_people(ONE_CLIP, tmp_path, POSES, context, failures, people=people, boxes=boxes)
    assert not failures
    assert len(found[FOUND].joints) == 2
    assert centre_of(found[FOUND].joints[main_person(found[FOUND].joints)])[0] < 160
    for people in (NEAREST, IN_BOX):
        assert len(found[people].joints) == 1
        np.testing.assert_allclose(
            centre_of(found[people].joints[0]), joints[right, ..., :2].mean(axis=(0, 1)), atol=20
        )


def test_a_clip_without_a_box_is_named(tmp_path):
    failures = []
    context = Context(cache=tmp_path / "cache", workers=0)
    assert not list(extract_people(ONE_CLIP, tmp_path, POSES, context, failures, people=IN_BOX, boxes={}))
    assert [(failure.clip_id, failure.code) for failure in failures] == [("a", "boxes.no-clip")]


def test_boxes_are_spread_over_a_clip():
    boxes = np.arange(5)[:, None] * np.ones(4)
    assert spread(boxes, 10)[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert spread(boxes, 3)[:, 0].tolist() == [0, 1, 3]
    assert spread(boxes, 1)[:, 0].tolist() == [0]


def test_the_nearest_person_overlaps_most_over_all_frames():
    """Of three people: who is in the box twice but small, who fills it twice, and who is never seen."""
    joints = np.zeros((3, 2, 2, 3))
    joints[0, :, 0], joints[0, :, 1] = (10, 10, 1), (12, 12, 1)
    joints[1, :, 0], joints[1, :, 1] = (1, 1, 1), (19, 19, 1)
    joints[2, ..., :2] = np.nan
    boxes = np.array([[0.0, 0, 20, 20], [0, 0, 20, 20]])
    assert nearest_person(joints, boxes) == 1
    assert nearest_person(joints[[2, 0]], boxes) == 1


class Looker:
    """Answers looks with poses that a test gives, and notes the squares."""

    def __init__(self, *answers):
        self.answers, self.squares = answers, []

    def look(self, frame, squares):
        self.squares += squares
        return [np.array(answer, float).reshape(-1, 2, 3) for answer in self.answers[: len(squares)]]


def test_a_look_into_a_wide_box_tries_each_way_up_and_takes_whom_it_fits():
    low, high = [[[0, 0, 0.5], [10, 4, 0.5]]], [[[0, 0, 0.9], [10, 5, 0.9]]]
    looker = Looker(low, high, [])
    found = look_into_box(looker, np.zeros((20, 20, 3), np.uint8), np.array([0.0, 0, 10, 5]))
    assert [square.turn for square in looker.squares] == [0, 1, 3]
    np.testing.assert_array_equal(found, high[0])
    upright = Looker(low)
    look_into_box(upright, np.zeros((20, 20, 3), np.uint8), np.array([0.0, 0, 5, 10]))
    assert [square.turn for square in upright.squares] == [0]


def test_whoever_is_outside_of_the_box_is_nobody():
    box = np.array([0.0, 0, 5, 10])
    assert look_into_box(Looker([]), np.zeros((20, 20, 3), np.uint8), box) is None
    assert look_into_box(Looker([[[50, 50, 1], [60, 60, 1]]]), np.zeros((20, 20, 3), np.uint8), box) is None


def test_videos_need_a_pose_network(arguments):
    with refused("benchmark.videos", DataError):
        prepare("jhmdb_video", arguments["folder"], arguments["context"])


def test_without_boxes_there_is_no_help_of_theirs(arguments):
    prepare(
        "jhmdb_video", arguments["folder"], arguments["context"], poses=POSES, selection=Selection(("walk", "wave"))
    )
    (arguments["folder"] / "raw" / "boxes.csv.gz").unlink()
    with refused("boxes.missing", DataError):
        prepare("jhmdb_video", arguments["folder"], arguments["context"], poses=POSES, selection=Selection((), NEAREST))
    assert json.loads((arguments["folder"] / Selection(("walk", "wave")).name / "data.json").read_text())["made_by"]


def test_frames_are_signs_of_life_while_they_are_read(tmp_path, monkeypatch):
    """A long video takes longer to decode than a worker may be still; a beat starts the clock before the file is opened."""
    frames, truth = render_scene([Performer("Waving")], frames=4)
    write_video(tmp_path / "a.avi", frames)
    log = []

    class Noted(FrameReader):
        def frames(self, **named):
            for frame in super().frames(**named):
                log.append("frame")
                yield frame

    monkeypatch.setattr("pan_core.benchmark.people.FrameReader", Noted)
    video = SimpleNamespace(path=tmp_path / "a.avi", boxes=boxes_of(truth[0]), key=lambda: "0" * 64)
    heartbeat = SimpleNamespace(beat=lambda: log.append("beat"), rest=lambda: log.append("rest"))
    look_into_boxes(video, heartbeat, recipe=POSES, cache=tmp_path / "cache")
    assert log == ["beat", *["frame", "beat"] * 4, *["beat"] * 4, "rest"]
