"""What `pan data list` and `pan data check` find, on a dataset whose faults are known."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pan_core import datasets
from pan_core.cli import app
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, RemoteFile
from pan_core.datasets.inspection import inspect, list_datasets
from pan_core.pose.store import ClipPoses
from pan_core.skeletons import COCO17
from pan_core.tables import empty_table


def clip(name, **changes):
    return {
        "clip_id": name, "path": f"{name}.avi", "source": "toy", "label": "wave", "group": name, "subject": "",
        "camera": "", "fps": 10.0, "n_frames": 6, "width": 64, "height": 48, "split1": "train",
    } | changes  # fmt: skip


class Toy(Dataset):
    """Three listed clips, of which one is missing, and a test clip whose group is learned from."""

    name = "toy"
    facts = Facts("Toy", classes=1, clips=3, splits={1: {"train": 2, "test": 1}}, how="made here")
    files = (RemoteFile("toy.zip", instead=("videos",)),)
    rows = (clip("a"), clip("b", group="a", split1="test"))

    def __init__(self, write_video=None):
        self.write_video = write_video

    def fetch(self, folder, context):
        for row in self.rows:
            self.write_video(folder / row["path"])

    def catalogue(self, folder, context):
        return Catalogue(pd.DataFrame(self.rows), empty_table("quarantine"), missing=("c",))


class Posed(Toy):
    """Poses of two clips; nobody is in the second."""

    name = "posed"
    facts = Facts("Posed")
    has_video = False
    layout = COCO17

    def fetch(self, folder, context):
        folder.mkdir(parents=True)

    def poses(self, folder, clips):
        for row in clips.itertuples(index=False):
            joints = np.full((1, 6, 17, 3), 0.5 if row.clip_id == "a" else 0, dtype=np.float32)
            yield ClipPoses(row.clip_id, joints, 10, 64, 48, "annotated")


def test_what_is_missing_different_and_shared_is_named(tmp_path, write_video):
    found = inspect(Toy(write_video), tmp_path / "raw", Context(cache=tmp_path))
    text = "\n".join(found.findings)
    assert "1 listed clips are not on disk: c" in text
    assert "2" in next(line for line in found.findings if "train" in line)  # one clip where two are published
    figures = dict(found.figures)
    assert figures["clips"] == "2 of 1 classes, 0.0 minutes"
    assert "1 by group" in figures["split 1"]
    assert figures["videos"] == "2 of 2 decoded to the end, 12 frames, 0 with a fault"


def test_a_video_that_ends_early_is_found_by_decoding(tmp_path, write_video):
    class Cut(Toy):
        def fetch(self, folder, context):
            super().fetch(folder, context)
            (folder / "b.avi").write_bytes(b"not a video")

    found = inspect(Cut(write_video), tmp_path / "raw", Context(cache=tmp_path))
    assert any("b.avi" in line for line in found.findings)


def test_poses_are_read_to_the_last_clip(tmp_path):
    found = inspect(Posed(), tmp_path / "raw", Context(cache=tmp_path))
    assert dict(found.figures)["poses"] == "12 frames, 50.0% of the joints, up to 1 people (coco17)"
    assert "1 clips without any joint: b" in found.findings


def test_the_list_shows_what_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "dataset_by_name", lambda name: Toy())
    monkeypatch.setattr("pan_core.datasets.inspection.dataset_by_name", lambda name: Toy())
    monkeypatch.setattr("pan_core.datasets.inspection.REGISTRY", {"toy": ("", "")})
    (tmp_path / "mirror" / "toy" / "videos").mkdir(parents=True)
    (row,) = list_datasets(Context(cache=tmp_path, mirror=tmp_path / "mirror"))
    assert (row.title, row.classes, row.clips, row.gives, row.found) == ("Toy", 1, 3, "video", ("videos",))
    (row,) = list_datasets(Context(cache=tmp_path))
    assert row.found == ()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAN_MIRROR", raising=False)
    return tmp_path


def test_every_dataset_is_in_the_printed_list(workspace):
    result = CliRunner().invoke(app, ["data", "list"])
    assert result.exit_code == 0, result.output
    for name in datasets.REGISTRY:
        assert name in result.output


def test_a_check_without_files_says_where_they_are_looked_for(workspace):
    result = CliRunner().invoke(app, ["data", "check", "penn_action"])
    assert result.exit_code == 1
    assert "Penn_Action.tar.gz" in result.output
    assert "PAN_MIRROR" in result.output


def test_an_unknown_name_gets_the_nearest(workspace):
    result = CliRunner().invoke(app, ["data", "check", "ucf11"])
    assert result.exit_code == 1
    assert "did you mean 'ucf101'" in result.output


@pytest.mark.parametrize("name", ["penn_action", "jhmdb14"])
def test_whole_real_datasets_are_as_published(workspace, real_data, monkeypatch, name):
    monkeypatch.setenv("PAN_MIRROR", str(real_data))
    result = CliRunner().invoke(app, ["data", "check", name])
    assert result.exit_code == 0, result.output
    assert "all as it should be" in result.output


@pytest.mark.parametrize(("name", "missing"), [("ucf101", "13,318"), ("hmdb51", "6,764")])
def test_parts_of_real_datasets_are_not_taken_for_the_whole(workspace, real_data, monkeypatch, name, missing):
    monkeypatch.setenv("PAN_MIRROR", str(real_data))
    result = CliRunner().invoke(app, ["data", "check", name])
    assert result.exit_code == 1, result.output
    assert f"{missing} listed clips are not on disk" in result.output
    assert "2 of 2 decoded to the end" in result.output
