"""What `pan data list` and `pan data check` find, on a dataset whose faults are known."""

import errno
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pan_core.cli.main import app
from pan_core.datasets import registry
from pan_core.datasets.base import Catalogue, Context, Dataset, Facts, RemoteFile
from pan_core.datasets.inspection import inspect, list_datasets
from pan_core.errors import DataError
from pan_core.files import atomic_path
from pan_core.pose.pose_set import ClipPoses
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
    missing = next(finding for finding in found.findings if finding.code == "clips.missing")
    assert (missing.split()[0], missing.split()[-1]) == ("1", "c")
    differing = [finding for finding in found.findings if finding.code == "counts.differ"]
    assert any("train" in finding and "2" in finding for finding in differing)  # one clip where two are published
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


def test_a_video_that_is_damaged_in_its_middle_is_found_by_decoding(tmp_path, write_video, bad_video_files):
    class Damaged(Toy):
        def fetch(self, folder, context):
            super().fetch(folder, context)
            shutil.copy(bad_video_files["lost_frames"], folder / "b.avi")

    found = inspect(Damaged(write_video), tmp_path / "raw", Context(cache=tmp_path))
    (finding,) = [finding for finding in found.findings if finding.startswith("b.avi: ")]
    assert "middle" in finding


def test_poses_outside_the_picture_or_without_motion_are_named(tmp_path):
    """Of a nobody moves; of b a fifth of the joints is beyond the picture of 64 x 48; c moves within it."""

    class Odd(Posed):
        rows = (clip("a"), clip("b"), clip("c"))

        def poses(self, folder, clips):
            rng = np.random.default_rng(0)
            for row in clips.itertuples(index=False):
                joints = rng.uniform(5, 45, (1, 20, 17, 3)).astype(np.float32)
                joints[..., 2] = 1
                if row.clip_id == "a":
                    joints[:] = joints[:, :1]
                if row.clip_id == "b":
                    joints[:, :4, :, 0] += 100
                yield ClipPoses(row.clip_id, joints, 10, 64, 48, "annotated")

    figures = dict(inspect(Odd(), tmp_path / "raw", Context(cache=tmp_path)).figures)
    outside, still = figures["odd, as published"].split("; ")
    assert "outside" in outside and (outside.split()[0], outside.split()[-1]) == ("1", "b")
    assert "moves" in still and (still.split()[0], still.split()[-1]) == ("1", "a")


def test_poses_are_read_to_the_last_clip(tmp_path):
    found = inspect(Posed(), tmp_path / "raw", Context(cache=tmp_path))
    assert dict(found.figures)["poses"] == "12 frames, 50.0% of the joints, up to 1 people (coco17)"
    (empty,) = [finding for finding in found.findings if finding.code == "poses.empty"]
    assert (empty.split()[0], empty.split()[-1]) == ("1", "b")


def test_splits_that_would_be_made_are_shown_where_none_is_official(tmp_path):
    """Two clips of each of three groups, so that three folds are one group each."""

    class Unsplit(Posed):
        def catalogue(self, folder, context):
            rows = [clip(f"{group}{n}", group=group) for group in "abc" for n in range(2)]
            return Catalogue(pd.DataFrame(rows).drop(columns="split1"), empty_table("quarantine"))

    figures = dict(inspect(Unsplit(), tmp_path / "raw", Context(cache=tmp_path)).figures)
    expected = "made by group, 3 folds, seed 0: train 4, test 2; test clips shared with training: 0 by group"
    assert [figures[f"split {number}"] for number in (1, 2, 3)] == [expected] * 3


def test_nothing_is_said_of_groups_that_are_not_known(tmp_path):
    class Ungrouped(Posed):
        rows = (clip("a", group=""), clip("b", group="", split1="test"))

    figures = dict(inspect(Ungrouped(), tmp_path / "raw", Context(cache=tmp_path)).figures)
    assert not any(letter.isdigit() for letter in figures["groups"])
    assert "by group" not in figures["split 1"]


def test_the_list_shows_what_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "dataset_by_name", lambda name: Toy())
    monkeypatch.setattr("pan_core.datasets.inspection.dataset_by_name", lambda name: Toy())
    monkeypatch.setattr("pan_core.datasets.inspection.REGISTRY", {"toy": ("", "")})
    (tmp_path / "mirror" / "toy" / "videos").mkdir(parents=True)
    (row,) = list_datasets(lambda name: Context(cache=tmp_path, mirror=tmp_path / "mirror"))
    assert (row.title, row.classes, row.clips, row.gives, row.found) == ("Toy", 1, 3, "video", ("videos",))
    (row,) = list_datasets(lambda name: Context(cache=tmp_path))
    assert row.found == ()


@pytest.mark.parametrize(
    ("state", "size", "expected"),
    [
        ('{"total": 6900000000}', None, "toy.zip: 1.2 of 6.9 GB"),
        ("nonsense", None, "toy.zip: 1.2 GB"),
        ('{"total": null}', 6_900_000_000, "toy.zip: 1.2 of 6.9 GB"),
    ],
)
def test_the_list_shows_downloads_that_are_not_finished(tmp_path, monkeypatch, state, size, expected):
    class Unfinished(Toy):
        files = (RemoteFile("toy.zip", size=size),)

    monkeypatch.setattr("pan_core.datasets.inspection.dataset_by_name", lambda name: Unfinished())
    monkeypatch.setattr("pan_core.datasets.inspection.REGISTRY", {"toy": ("", "")})
    part = tmp_path / "downloads" / "toy" / "toy.zip.part"
    part.parent.mkdir(parents=True)
    with part.open("wb") as file:
        file.truncate(1_200_000_000)
    part.with_name("toy.zip.part.json").write_text(state)
    (row,) = list_datasets(lambda name: Context(cache=tmp_path))
    assert row.found == (expected,)


def test_the_list_shows_whether_the_users_own_files_are_there(tmp_path):
    options = {"surveillance": {"folder": str(tmp_path)}, "pyskl": {"path": "mine.pkl"}, "gmdcsa24": {}}
    rows = list_datasets(lambda name: Context(cache=tmp_path / "cache", options=options.get(name, {})))
    found = {row.name: row.found for row in rows}
    assert found["surveillance"] == (str(tmp_path),)
    assert found["pyskl"] == ("mine.pkl is not there",)
    assert found["gmdcsa24"] == ()


def test_findings_name_files_of_the_dataset_not_of_the_copy(tmp_path, write_video):
    class Cut(Toy):
        def fetch(self, folder, context):
            super().fetch(folder, context)
            (folder / "b.avi").write_bytes(b"not a video")

        def catalogue(self, folder, context):
            left_out = pd.DataFrame([{"clip_id": "d", "stage": "split", "reason": f"{folder}/d d.avi: empty"}])
            return Catalogue(pd.DataFrame(self.rows), left_out)

    findings = inspect(Cut(write_video), tmp_path / "raw", Context(cache=tmp_path)).findings
    assert "d: d d.avi: empty" in findings
    assert any(finding.startswith("b.avi: ") for finding in findings)
    assert not [finding for finding in findings if str(tmp_path) in finding]


def test_an_error_names_files_of_the_dataset_not_of_the_copy(tmp_path):
    class Bad(Toy):
        def fetch(self, folder, context):
            with atomic_path(folder) as partial, atomic_path(partial / "lists") as lists:
                raise DataError(
                    f"{lists / 'a b.txt'}: no list; {partial}: no folder; /mirror/toy.zip: left as it is; the disk of {lists.parent} is full"
                )

    with pytest.raises(DataError) as caught:
        inspect(Bad(), tmp_path / "raw", Context(cache=tmp_path))
    assert (
        str(caught.value)
        == "lists/a b.txt: no list; the dataset's folder: no folder; /mirror/toy.zip: left as it is; the disk of the dataset's folder is full"
    )


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("dataset: actors\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAN_MIRROR", raising=False)
    return tmp_path


@pytest.fixture
def footage(tmp_path, write_video):
    """A folder with one labelled video."""
    write_video(tmp_path / "footage" / "one.avi")
    (tmp_path / "footage" / "manifest.csv").write_text("video,start_s,end_s,label\none.avi,0,0.5,walk\n")
    return tmp_path / "footage"


def test_every_dataset_is_in_the_printed_list(workspace):
    result = CliRunner().invoke(app, ["data", "list"])
    assert result.exit_code == 0, result.output
    for name in registry.REGISTRY:
        assert name in result.output


def test_a_check_without_files_says_where_they_are_looked_for(workspace):
    result = CliRunner().invoke(app, ["data", "check", "penn_action"])
    assert result.exit_code == 1
    assert "Penn_Action.tar.gz" in result.output
    assert "PAN_MIRROR" in result.output


def test_an_unknown_name_gets_the_nearest(workspace):
    result = CliRunner().invoke(app, ["data", "check", "ucf11"])
    assert result.exit_code == 1
    assert "'ucf101'" in result.output


def invoked(*arguments):
    """One line that says what is wrong; every other failure has a traceback."""
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert result.output.endswith(f"{line}\n")
    return line


@pytest.mark.parametrize("command", [["list"], ["check", "penn_action"]])
def test_a_mirror_that_is_no_folder_is_said(workspace, monkeypatch, command):
    monkeypatch.setenv("PAN_MIRROR", str(workspace / "absent"))
    assert "PAN_MIRROR" in invoked(*command) and str(workspace / "absent") in invoked(*command)
    monkeypatch.setenv("PAN_MIRROR", str(workspace / "params.yaml"))
    assert "PAN_MIRROR" in invoked(*command) and str(workspace / "params.yaml") in invoked(*command)


def test_a_cache_that_cannot_be_written_is_said(workspace, monkeypatch):
    monkeypatch.setenv("PAN_CACHE", str(workspace / "params.yaml" / "cache"))
    assert "PAN_CACHE" in invoked("check", "penn_action")


def test_a_full_disk_is_said(workspace, monkeypatch, footage):
    def copy(source, target, *rest, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("shutil.copy2", copy)
    monkeypatch.setattr("pathlib.Path.hardlink_to", copy)
    assert "the disk is full; make space" in invoked("check", "surveillance", "--folder", footage)
    lists = workspace / "mirror" / "ucf101" / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Archery")
    monkeypatch.setenv("PAN_MIRROR", str(workspace / "mirror"))
    line = invoked("check", "ucf101")
    assert str(lists / "classInd.txt") in line and "No space left" in line
    assert not list((workspace / ".cache").glob(".*"))


def test_a_manifest_that_cannot_be_written_is_said(workspace, monkeypatch, footage):
    assert "is a folder, expected a file" in invoked("manifest", footage, "--out", workspace)
    assert "params.yaml: is no folder" in invoked("manifest", footage, "--out", workspace / "params.yaml" / "m.csv")

    def full(self, *rest, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    line = invoked("manifest", footage, "--out", workspace / "m.csv")
    assert line.startswith(f"error: {workspace / 'm.csv'}: the disk is full")


def test_a_check_leaves_nothing_behind_and_uses_what_the_pipeline_found(workspace, footage, monkeypatch):
    dataset = registry.dataset_by_name("surveillance")
    context = Context(cache=workspace / ".cache", options={"folder": str(footage)})
    dataset.fetch(workspace / "raw", context)
    dataset.catalogue(workspace / "raw", context)
    memory = workspace / ".cache" / "probes" / "surveillance.jsonl"
    before = memory.read_bytes()
    monkeypatch.setattr("pan_core.datasets.probing.run_supervised", None)
    monkeypatch.setattr("pan_core.datasets.probing.probe_outcome", None)
    result = CliRunner().invoke(app, ["data", "check", "surveillance", "--folder", str(footage)])
    assert result.exit_code == 0, result.output  # it has no finding
    assert memory.read_bytes() == before
    assert [path.name for path in (workspace / ".cache").iterdir()] == ["probes"]


@pytest.mark.parametrize("name", ["penn_action", "jhmdb14"])
def test_whole_real_datasets_are_as_published(workspace, real_data, monkeypatch, name):
    monkeypatch.setenv("PAN_MIRROR", str(real_data))
    result = CliRunner().invoke(app, ["data", "check", name])
    assert result.exit_code == 0, result.output  # it has no finding


@pytest.mark.parametrize(("name", "missing"), [("ucf101", "13,318"), ("hmdb51", "6,764")])
def test_parts_of_real_datasets_are_not_taken_for_the_whole(workspace, real_data, monkeypatch, name, missing):
    monkeypatch.setenv("PAN_MIRROR", str(real_data))
    result = CliRunner().invoke(app, ["data", "check", name])
    assert result.exit_code == 1, result.output
    assert f"{missing} listed clips are not on disk" in result.output
    assert "2 of 2 decoded to the end" in result.output


def test_a_folder_that_a_dataset_does_not_read_is_refused(workspace, tmp_path):
    assert "--folder" in invoked("check", "ucf101", "--folder", tmp_path)


def test_a_conversion_says_what_was_assumed(workspace, footage, tmp_path):
    (footage / "two.avi").write_bytes((footage / "one.avi").read_bytes())
    (footage / "manifest.csv").write_text("video,start_s,end_s,label,weather\none.avi,0,0.5,walk,dry\n")
    result = CliRunner().invoke(app, ["data", "manifest", str(footage), "--out", str(tmp_path / "m.csv")])
    assert result.exit_code == 0, result.output
    assert "columns ignored: weather" in result.output
    assert "two.avi" in result.output
