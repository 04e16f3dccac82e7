"""Results of different videos never share a name, and nothing of others is replaced."""

import json
import os
import subprocess
import sys

import pytest
from scripted_people import ScriptedExtractor, make_video, person, waving_network

from pan_core.files import sha256_of
from pan_core.recognition.predict_video import predict_video
from pan_core.recognition.result_files import name_results, timeline_file


def video_of(path, **size):
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_video(path, **size)


@pytest.fixture
def cameras(tmp_path):
    """Videos of one name in two folders, of different length."""
    return [
        video_of(tmp_path / name / "0001.avi", frames=4 + 4 * number, fps=15)
        for number, name in enumerate(["cam1", "cam2"])
    ]


def predict(video, out):
    found = predict_video(
        video,
        extractor=ScriptedExtractor(lambda k: [(0, person(160))]),
        recognizer=waving_network(),
        out=out,
        model_name="m",
    )
    return out / found.annotated


def test_videos_of_one_name_keep_their_results(cameras, tmp_path):
    out = tmp_path / "predictions"
    written = [predict(video, out) for video in cameras]
    assert [path.name for path in written] == ["0001_annotated.mp4", "cam2_0001_annotated.mp4"]
    for video, path in zip(cameras, written, strict=True):
        assert json.loads(timeline_file(path).read_text())["sha256"] == sha256_of(video)
    assert len(list(out.iterdir())) == 4


def test_the_same_video_replaces_its_own_results(cameras, tmp_path):
    out = tmp_path / "predictions"
    first = [predict(video, out) for video in cameras]
    assert [predict(video, out) for video in cameras] == first
    assert len(list(out.iterdir())) == 4


def test_a_third_video_of_the_same_folder_and_name_is_named_by_its_hash(cameras, tmp_path):
    out = tmp_path / "predictions"
    other = video_of(tmp_path / "elsewhere" / "cam2" / "0001.avi", frames=12, fps=15)
    names = [predict(video, out).name for video in (*cameras, other)]
    assert names[2] == f"0001_{sha256_of(other)[:8]}_annotated.mp4"
    assert len(set(names)) == 3


@pytest.mark.parametrize("name", ["0001_annotated.mp4", "0001_annotated.avi", "0001_timeline.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"sha256": 1}', b"\xff"])
def test_a_file_that_no_prediction_wrote_is_not_replaced(cameras, tmp_path, name, content):
    out = tmp_path / "predictions"
    out.mkdir()
    (out / name).write_bytes(content)
    assert predict(cameras[0], out).name == "cam1_0001_annotated.mp4"
    assert (out / name).read_bytes() == content


def test_a_video_that_is_named_like_a_result_is_not_replaced(tmp_path):
    video = video_of(tmp_path / "a.avi", frames=4, fps=15)
    own = video_of(tmp_path / "a_annotated.avi", frames=8, fps=15)
    before = sha256_of(own)
    assert predict(video, tmp_path).stem == f"{tmp_path.name}_a_annotated"
    assert sha256_of(own) == before


def test_signs_of_patterns_in_a_name_are_no_patterns(tmp_path):
    video = video_of(tmp_path / "in" / "a.avi", frames=4, fps=15).rename(tmp_path / "in" / "[x] *?.avi")
    out = tmp_path / "out"
    assert predict(video, out).name == predict(video, out).name == "[x] *?_annotated.mp4"


def test_a_name_under_which_another_process_encodes_is_taken(cameras, tmp_path):
    out = tmp_path / "predictions"
    program = """
import sys
from pathlib import Path
from pan_core.files import atomic_path

with atomic_path(Path(sys.argv[1])):
    print("begun", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(out / "0001_annotated.mp4")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as other:
        assert other.stdout.readline() == b"begun\n"
        assert name_results(out, cameras[0]) == "cam1_0001"
        other.kill()
        other.wait()
    assert name_results(out, cameras[0]) == "0001"
