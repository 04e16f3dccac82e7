import shutil
from collections import namedtuple

import cv2
import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.actors import ActorsSettings, generate
from pan_core.datasets.actors.listing import clip_keys, held_out_groups
from pan_core.datasets.faults import FaultsError
from pan_core.errors import PanError
from pan_core.pose.pose_set import PoseSet
from pan_core.tables import read_table

SMALL = ActorsSettings(
    groups=3, width=160, height=120, min_frames=12, max_frames=15, classes=("Waving", "LongJump", "WalkingAndWaving")
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three classes of three people, one clip each: nine clips."""
    folder = tmp_path_factory.mktemp("actors")
    generate(folder, settings=SMALL, workers=1)
    return folder


def videos(folder):
    return sorted((folder / "videos").rglob("*.avi"))


def read_video(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (frame := capture.read())[0]:
        frames.append(frame[1])
    return np.stack(frames), capture


def lines(folder, name):
    return (folder / "splits" / name).read_text().splitlines()


def test_default_is_336_clips_in_16_classes():
    keys = clip_keys(ActorsSettings())
    assert len({key.clip_id for key in keys}) == 336
    assert keys[-1].path == "WalkingAndWaving/v_WalkingAndWaving_g21_c01.avi"


def test_default_groups_of_the_splits():
    groups = [list(held_out_groups(ActorsSettings(), split)) for split in (1, 2, 3)]
    assert groups == [list(range(1, 8)), list(range(8, 15)), list(range(15, 22))]


@pytest.mark.parametrize("groups", [3, 4, 5, 10, 22])
def test_every_group_is_held_out_once(groups):
    settings = ActorsSettings(groups=groups)
    held_out = [group for split in (1, 2, 3) for group in held_out_groups(settings, split)]
    assert held_out == list(range(1, groups + 1))


def test_files_are_named_as_in_ucf101(dataset):
    names = [str(path.relative_to(dataset / "videos")) for path in videos(dataset)]
    expected = [f"{c}/v_{c}_g0{g}_c01.avi" for c in ("LongJump", "WalkingAndWaving", "Waving") for g in (1, 2, 3)]
    assert names == expected
    assert not list(dataset.rglob(".*")), "no temporary file is left"


def test_split_lists(dataset):
    assert lines(dataset, "classInd.txt") == ["1 Waving", "2 LongJump", "3 WalkingAndWaving"]
    assert lines(dataset, "testlist02.txt") == [
        "Waving/v_Waving_g02_c01.avi",
        "LongJump/v_LongJump_g02_c01.avi",
        "WalkingAndWaving/v_WalkingAndWaving_g02_c01.avi",
    ]
    assert lines(dataset, "trainlist03.txt")[:3] == [
        "Waving/v_Waving_g01_c01.avi 1",
        "Waving/v_Waving_g02_c01.avi 1",
        "LongJump/v_LongJump_g01_c01.avi 2",
    ]


def test_videos_are_as_promised_and_fit_the_truth(dataset):
    poses = PoseSet(dataset / "truth" / "poses")
    segments = read_table("segments", dataset / "truth" / "segments.parquet")
    assert len(poses) == 9
    for path in videos(dataset):
        frames, capture = read_video(path)
        truth = poses.clip(path.stem)
        ends = segments[segments["clip_id"] == path.stem]
        assert capture.get(cv2.CAP_PROP_FPS) == 15
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames)
        assert 12 <= len(frames) <= 15
        assert frames.shape[1:] == (120, 160, 3)
        assert truth.joints.shape == (1, len(frames), 18, 3)
        assert ends["start_frame"].min() == 0
        assert ends["end_frame"].max() == len(frames)
        assert (ends["parent_label"] == path.parent.name).all()


def test_segments_of_composed_classes(dataset):
    segments = read_table("segments", dataset / "truth" / "segments.parquet")
    jump = segments[segments["clip_id"] == "v_LongJump_g01_c01"]
    assert list(jump["label"]) == ["Running", "Jumping"]
    assert jump["end_frame"].iloc[0] == jump["start_frame"].iloc[1]
    both = segments[segments["clip_id"] == "v_WalkingAndWaving_g01_c01"]
    assert list(both["label"]) == ["Walking", "Waving"]
    assert both["start_frame"].iloc[1] < both["end_frame"].iloc[0]


def test_a_run_goes_on_where_it_stopped(dataset, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(dataset, folder)
    before = {path: path.stat().st_mtime_ns for path in videos(folder)}
    lost = videos(folder)[4]
    content, truth = lost.read_bytes(), np.load(folder / "truth" / "poses" / "joints.npy")
    lost.unlink()
    shutil.rmtree(folder / "truth")
    generate(folder, settings=SMALL)
    after = {path: path.stat().st_mtime_ns for path in videos(folder)}
    assert [path for path in before if after[path] != before[path]] == [lost]
    assert lost.read_bytes() == content
    np.testing.assert_array_equal(np.load(folder / "truth" / "poses" / "joints.npy"), truth)


def test_an_interrupted_run_keeps_whole_videos_only(tmp_path):
    def stop(done, total):
        assert total == 9
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, settings=SMALL, progress=stop)
    assert len(videos(tmp_path)) == 2
    assert not (tmp_path / "truth").exists()


def test_number_of_workers_changes_nothing(dataset, tmp_path):
    calls = []
    generate(tmp_path, settings=SMALL, workers=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 9) for done in range(1, 10)]
    for mine, other in zip(videos(dataset), videos(tmp_path), strict=True):
        assert mine.read_bytes() == other.read_bytes()
    for name in ("poses/joints.npy", "segments.parquet"):
        assert (dataset / "truth" / name).read_bytes() == (tmp_path / "truth" / name).read_bytes()


def test_videos_of_other_settings_are_not_mixed(dataset):
    with refused("actors.other-settings") as caught:
        generate(dataset, settings=ActorsSettings(**{**vars(SMALL), "seed": 1}))
    assert "seed" in str(caught.value) and "groups" not in str(caught.value)


def test_full_disk_is_refused_before_work_starts(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 100, 10))
    with pytest.raises(PanError) as caught:
        generate(tmp_path, settings=SMALL)
    assert type(caught.value) is PanError and str(tmp_path) in str(caught.value)
    assert not videos(tmp_path)


def test_every_fault_of_the_settings_is_reported():
    with refused("actors.settings", FaultsError) as caught:
        ActorsSettings(groups=2, fps=0, classes=("Juggling",))
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["groups", "fps", "classes"]
    assert "Juggling" in caught.value.faults[2]
