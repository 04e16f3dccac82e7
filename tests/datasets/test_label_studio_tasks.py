"""Tasks as the documentation of Label Studio has them, and back through the reader as a person would export them."""

import json
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.manifests import read_any, unlabelled_videos
from pan_core.datasets.manifests.label_studio_tasks import (
    Suggestion,
    labelling_config,
    local_address,
    make_task,
    write_tasks,
)

NAMES = ("door.mp4", "cam/door.mp4", "cam/two people & 50 %+.mp4")


@pytest.fixture
def footage(tmp_path):
    """Three videos of 40 frames at 12.5 a second; two of them have the same name."""
    folder = tmp_path / "foot age"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (64, 48))
        for level in range(40):
            writer.write(np.full((48, 64, 3), 5 * level, np.uint8))
        writer.release()
    return folder


def task_of(footage, name, *suggestions):
    address = local_address(footage, name, footage.parent)
    return make_task(name, suggestions, address=address, fps=12.5, frames=40, model="pan-x version 3")


def annotated(tasks):
    """The export after somebody has accepted every prediction: Label Studio keeps data and region, and adds its own."""
    return [
        {
            "id": number,
            "data": task["data"],
            "annotations": [
                {
                    "id": number,
                    "was_cancelled": False,
                    "ground_truth": False,
                    "result": [
                        region | {"origin": "prediction"} for p in task["predictions"] for region in p["result"]
                    ],
                }
            ],
            "predictions": task["predictions"],
        }
        for number, task in enumerate(tasks, start=1)
    ]


def test_a_task_by_hand(footage):
    """Frames 26 to 38 are those from 2.0 s up to 3.04 s, at 12.5 a second."""
    task = task_of(footage, NAMES[2], Suggestion("Walking", 0, 1.6, 0.9), Suggestion("Falling", 2, 3.04, 0.4))
    assert task["data"] == {
        "video": "/data/local-files/?d=foot%20age/cam/two%20people%20%26%2050%20%25%2B.mp4",
        "path": "cam/two people & 50 %+.mp4",
        "fps": 12.5,
    }
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("pan-x version 3", 0.4)
    falling, walking = prediction["result"]
    assert falling == {
        "id": falling["id"],
        "type": "timelinelabels",
        "from_name": "videoLabels",
        "to_name": "video",
        "score": 0.4,
        "value": {"ranges": [{"start": 26, "end": 38}], "timelinelabels": ["Falling"]},
    }
    assert walking["value"] == {"ranges": [{"start": 1, "end": 20}], "timelinelabels": ["Walking"]}
    assert walking["id"] != falling["id"]


def test_a_span_is_a_frame_at_least_and_ends_with_the_video(footage):
    task = task_of(footage, NAMES[0], Suggestion("A", 1.04, 1.041, 0.1), Suggestion("B", 3.19, 3.3, 0.2))
    ranges = [region["value"]["ranges"][0] for region in task["predictions"][0]["result"]]
    assert ranges == [{"start": 14, "end": 14}, {"start": 40, "end": 40}]


def test_the_least_certain_come_first_and_those_without_suggestion_last(footage, tmp_path):
    tasks = [
        task_of(footage, NAMES[0]),
        task_of(footage, NAMES[1], Suggestion("A", 0, 1, 0.8), Suggestion("A", 2, 3, 0.7)),
        task_of(footage, NAMES[2], Suggestion("A", 0, 1, 0.99), Suggestion("A", 2, 3, 0.3)),
    ]
    config = write_tasks(tasks, ["A"], tmp_path / "tasks.json")
    written = json.loads((tmp_path / "tasks.json").read_text())
    assert [task["data"]["path"] for task in written] == [NAMES[2], NAMES[1], NAMES[0]]
    assert written[2]["predictions"] == []
    assert config == tmp_path / "tasks.xml"
    assert {path.name for path in tmp_path.iterdir()} == {"tasks.json", "tasks.xml", "foot age"}


def test_the_loop_closes(footage):
    """Spans come back within half a frame, 0.04 s, each in its own video although two share a name."""
    given = {
        NAMES[0]: [Suggestion("Walking", 0.013, 1.111, 0.9), Suggestion("Sitting", 0.5, 3.2, 0.8)],
        NAMES[1]: [Suggestion("Falling", 1.0, 1.5, 0.4)],
        NAMES[2]: [Suggestion("Walking", 0.0, 3.2, 0.7)],
    }
    tasks = [task_of(footage, name, *suggestions) for name, suggestions in given.items()]
    write_tasks(tasks, ["Walking"], footage / "tasks.json")
    assert set(unlabelled_videos(footage)) == set(NAMES), "predictions are no labels"
    (footage / "export.json").write_text(json.dumps(annotated(json.loads((footage / "tasks.json").read_text()))))
    manifest = read_any(footage)
    assert manifest.quarantine.empty
    assert manifest.notes == ()
    rows = {(row.video, row.label): (row.start_s, row.end_s) for row in manifest.rows.itertuples()}
    assert rows == {
        (name, one.label): pytest.approx((one.start_s, one.end_s), abs=0.0401)
        for name, suggestions in given.items()
        for one in suggestions
    }
    assert unlabelled_videos(footage) == {}


def test_the_labelling_configuration_names_the_tags_of_the_regions():
    view = ElementTree.fromstring(labelling_config(["Walking", 'Push & "pull" <both>']))
    video, control = view
    assert video.attrib | {"timelineHeight": ""} == {
        "name": "video", "value": "$video", "frameRate": "$fps", "timelineHeight": "",
    }  # fmt: skip
    assert (control.tag, control.attrib) == ("TimelineLabels", {"name": "videoLabels", "toName": "video"})
    assert [label.attrib["value"] for label in control] == ["Walking", 'Push & "pull" <both>']


def test_footage_outside_the_document_root_is_refused(footage, tmp_path):
    with refused("label-studio.outside-root") as caught:
        local_address(footage, NAMES[0], tmp_path / "elsewhere")
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in str(caught.value)
    assert str(tmp_path / "elsewhere") in str(caught.value)


def test_videos_that_no_label_names(footage, tmp_path):
    assert set(unlabelled_videos(footage)) == set(NAMES)
    (footage / "manifest.csv").write_text("video,start_s,end_s,label\ncam/door.mp4,0,1,Walking\n")
    assert unlabelled_videos(footage) == {name: footage / name for name in (NAMES[0], NAMES[2])}
    (footage / "manifest.csv").write_text("video,start_s\ncam/door.mp4,0\n")
    with refused("manifest.missing-column"):
        unlabelled_videos(footage)
    (tmp_path / "empty").mkdir()
    with refused("footage.no-videos"):
        unlabelled_videos(tmp_path / "empty")
    with refused("footage.no-folder"):
        unlabelled_videos(tmp_path / "nowhere")
