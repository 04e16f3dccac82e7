"""Suggested labels of real video files, with a scripted tracker in the place of the pose network."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused
from scripted_people import ScriptedExtractor, make_video, person, waving_network
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.datasets.manifests.label_studio_tasks import Suggestion
from pan_core.errors import DataError
from pan_core.recognition.predict_video import PersonTimeline, RecognizedSegment, Timeline
from pan_core.retraining.suggest_labels import label_videos, suggestions
from pan_core.workspace import recognizers

SURE = pytest.approx(np.exp(3) / (np.exp(3) + 1), abs=1e-3)


class Rewinding(ScriptedExtractor):
    """Follows the same script in every video."""

    def tracker(self):
        self.followed.calls = 0
        return self.followed


@pytest.fixture(scope="module")
def recognizer():
    return waving_network()


def test_every_readable_video_becomes_a_task(recognizer, tmp_path):
    """At 15 frames a second somebody is there from frame 15 on; the short video is over by then."""
    videos = {
        "long.avi": make_video(tmp_path / "long.avi", frames=45, fps=15),
        "short.avi": make_video(tmp_path / "short.avi", frames=10, fps=15),
        "bad.avi": tmp_path / "bad.avi",
    }
    videos["bad.avi"].write_text("not a video")
    seen = []
    found = label_videos(
        videos,
        extractor=Rewinding(lambda k: [(0, person(160))] if k >= 15 else []),
        recognizer=recognizer,
        model_name="m",
        address=lambda name: f"/videos/{name}",
        progress=lambda *now: seen.append(now),
    )
    assert seen == [(number, 55) for number in range(1, 56)]
    assert (found.segments, found.empty, list(found.left_out)) == (1, ("short.avi",), ["bad.avi"])
    long, short = found.tasks
    assert long["data"] == {"video": "/videos/long.avi", "path": "long.avi", "fps": 15}
    (region,) = long["predictions"][0]["result"]
    assert region["value"] == {"ranges": [{"start": 16, "end": 45}], "timelinelabels": ["Wave"]}
    assert region["score"] == SURE
    assert short["predictions"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.avi", "long.avi", "short.avi"]


def test_no_video_can_be_read(recognizer, tmp_path):
    (tmp_path / "bad.avi").write_text("not a video")
    with refused("labels.no-video", DataError):
        label_videos(
            {"bad.avi": tmp_path / "bad.avi"}, extractor=Rewinding(lambda k: []), recognizer=recognizer, model_name="m",
            address=str,
        )  # fmt: skip


def timeline(*people):
    """Each person is a list of (start, end, label, confidence)."""
    them = tuple(
        PersonTimeline(number, 0, 9, "", 1.0, tuple(RecognizedSegment(*segment) for segment in segments))
        for number, segments in enumerate(people)
    )
    return Timeline("v", "", 25, 250, 25, "m", None, None, 0.0, them, None)


def test_labels_are_of_the_video_whoever_does_it():
    """Walk goes on while Wave comes and goes; another person walks too, overlapping; a third one later."""
    found = suggestions(
        timeline(
            [(0, 2, "Walk", 0.9), (2, 3, "Walk & Wave", 0.7), (3, 4, "Walk", 0.8)],
            [(3.5, 5, "Walk", 0.6)],
            [(8, 9, "Walk", 0.5)],
        ),
        ("Walk", "Wave"),
    )
    assert found == [
        Suggestion("Walk", 0, 5, 0.6),
        Suggestion("Walk", 8, 9, 0.5),
        Suggestion("Wave", 2, 3, 0.7),
    ]


def test_an_action_with_the_joiner_in_its_name_stays_whole():
    found = suggestions(
        timeline([(0, 1, "Push & Pull", 0.9), (1, 2, "Push & Pull & Run", 0.8)]), ("Push & Pull", "Run")
    )
    assert [(one.label, one.start_s, one.end_s) for one in found] == [("Push & Pull", 0, 2), ("Run", 1, 2)]


@pytest.fixture
def footage(recognizer, tmp_path, monkeypatch):
    """A workspace with two videos of which one is labelled, and a recognizer in use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", raising=False)
    extractor = Rewinding(lambda k: [(0, person(160))])
    in_use = SimpleNamespace(network=recognizer, name="pan-x version 3 (champion)", extractor=extractor)
    monkeypatch.setattr(recognizers, "get_recognizer", lambda *_, **__: in_use)
    (tmp_path / "foot").mkdir()
    for name in ("known.avi", "new.avi"):
        make_video(tmp_path / "foot" / name, frames=15, fps=15)
    (tmp_path / "foot" / "manifest.csv").write_text("video,start_s,end_s,label\nknown.avi,0,1,Walk\n")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["data", "label", *words])


def test_the_command_writes_tasks_and_configuration(footage):
    result = run("foot")
    assert result.exit_code == 0, result.output
    assert "recognizer: pan-x version 3 (champion)" in result.output
    assert "1 segments in 1 videos, the least certain first" in result.output
    assert f"document root of Label Studio: {footage}" in result.output
    (task,) = json.loads((footage / "label_studio.json").read_text())
    assert task["data"]["video"] == "/data/local-files/?d=foot/new.avi"
    assert task["predictions"][0]["model_version"] == "pan-x version 3 (champion)"
    assert 'value="Both"' in (footage / "label_studio.xml").read_text()
    assert sorted(path.name for path in footage.iterdir()) == ["foot", "label_studio.json", "label_studio.xml"]


def test_the_document_root_of_label_studio_counts(footage, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(footage.parent))
    run("foot", "--out", "tasks.json")
    (task,) = json.loads((footage / "tasks.json").read_text())
    assert task["data"]["video"] == f"/data/local-files/?d={footage.name}/foot/new.avi"


def test_nothing_to_label_is_no_error(footage):
    (footage / "foot" / "new.avi").unlink()
    result = run("foot")
    assert (result.exit_code, result.output) == (0, "foot: every video has labels; nothing is written\n")
    assert not (footage / "label_studio.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "nowhere: no such folder"),
        (("empty",), "empty: no videos in it or below"),
        (("foot", "--out", "tasks.xml"), "tasks.xml: expected the name of a JSON file, such as tasks.json"),
    ],
)
def test_what_cannot_be_labelled_is_one_message(footage, words, message):
    (footage / "empty").mkdir()
    result = run(*words)
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {message}")
    assert result.output.count("\n") == 1


def test_an_interrupted_run_leaves_nothing(footage, monkeypatch):
    monkeypatch.setattr(
        "pan_core.retraining.suggest_labels.predict_video",
        lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    run("foot")
    assert sorted(path.name for path in footage.iterdir()) == ["foot"]


def test_nothing_has_been_trained(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").symlink_to(request.config.rootpath / "params.yaml")
    (tmp_path / "foot").mkdir()
    make_video(tmp_path / "foot" / "new.avi", frames=5, fps=15)
    folder = tmp_path / "models" / "pan" / "online-split1"
    monkeypatch.setattr(recognizers, "find_recognizer", lambda *_: (folder, str(folder)))
    result = run("foot")
    assert result.exit_code == 1
    assert result.output == f"error: {folder}: not a recognizer, model.json is missing; run `dvc repro` to train one\n"
