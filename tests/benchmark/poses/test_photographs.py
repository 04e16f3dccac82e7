"""Photographs whose estimator is a script: what a crop and a search are worth."""

import json
import shutil

import numpy as np
import pytest
from refusals import refused
from scripted_points import ScriptedPoint

from pan_core.benchmark.poses.photographs import measure_photographs
from pan_core.benchmark.poses.pose_parts import PoseSources
from pan_core.benchmark.poses.pose_table import measure_table
from pan_core.skeletons import COCO17, OPENPOSE18, convert


@pytest.fixture
def folder(real_data, tmp_path):
    shutil.copytree(real_data / "people" / "coco", tmp_path / "coco")
    return tmp_path / "coco"


class Oracle:
    """Knows everybody by the height of the picture, or says that nobody is there."""

    def __init__(self, folder, *, searches):
        content = json.loads((folder / "person_keypoints.json").read_text())
        self.searches, self.people = searches, {}
        for image in content["images"]:
            marked = [a for a in content["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"] >= 5]
            given = np.array([a["keypoints"] for a in marked], float).reshape(-1, 17, 3)
            joints = convert(given, COCO17, OPENPOSE18)
            joints[..., 2] = np.minimum(joints[..., 2], 1)
            self.people[image["height"], image["width"]] = joints

    searches_crops = False

    def search(self, frame, *, turn=0, closely=True):
        people = self.people[frame.shape[:2]]
        return people[::-1] if self.searches else people[:0]

    def look(self, frame, squares):
        people = self.people[frame.shape[:2]]
        centres = [((p[p[:, 2] > 0, :2].min(0) + p[p[:, 2] > 0, :2].max(0)) / 2) for p in people]
        nearest = [int(np.argmin([np.linalg.norm(c - square.centre) for c in centres])) for square in squares]
        return [people[[one]] for one in nearest]


def test_true_joints_are_all_right_in_crops_and_searches(folder):
    found = measure_photographs(ScriptedPoint(estimator=Oracle(folder, searches=True)), folder)
    assert found["people"] == 12
    assert found["people_search_pck_0_1"] == 1
    assert found["people_oks_ap"] == pytest.approx(1)
    assert found["people_pck_0_1"] > 0.9  # where people overlap, the nearest one may be the other


def test_a_search_that_finds_nobody_has_nothing_whatever_the_crops_show(folder):
    found = measure_photographs(ScriptedPoint(estimator=Oracle(folder, searches=False)), folder)
    assert (found["people_search_pck_0_1"], found["people_oks_ap"]) == (0, 0)
    assert found["people_pck_0_1"] > 0.9


def test_a_picture_that_is_listed_but_missing_or_damaged_is_named(folder):
    picture = next(folder.glob("*.jpg"))
    picture.write_bytes(picture.read_bytes()[:100])
    with refused("benchmark.bad-picture") as caught:
        measure_photographs(ScriptedPoint(estimator=Oracle(folder, searches=True)), folder)
    assert picture.name in str(caught.value)


def test_pictures_without_people_are_no_data(folder):
    path = folder / "person_keypoints.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    with refused("benchmark.no-people"):
        measure_photographs(ScriptedPoint(estimator=None), folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"images": [{"id": 1}], "annotations": []}',
                                  '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}'])  # fmt: skip
def test_damaged_annotations_are_one_message_from_a_worker_process_too(text, tmp_path, movenet, quiet_bar):
    folder = tmp_path / "real" / "people" / "coco"
    folder.mkdir(parents=True)
    (folder / "person_keypoints.json").write_text(text)
    sources = PoseSources(cache=tmp_path / "cache", workers=1, real=tmp_path / "real", no_actors="no clips")
    with refused("benchmark.no-people" if '"images": [{"id": 1}]' in text else "benchmark.bad-annotations"):
        measure_table([movenet], sources, bar=quiet_bar, parts=["people"])
