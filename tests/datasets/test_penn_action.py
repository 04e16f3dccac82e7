"""Penn Action: the official archive's layout, made small here, and the real labels where they are at hand."""

import tarfile

import numpy as np
import pytest
from refusals import refused
from scipy.io import savemat

from pan_core.datasets.base import Context
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.splits import leakage
from pan_core.skeletons import PENN13
from pan_core.tables import check_table


def sequence(path, *, action="squat", train=1, frames=4, without=(), **changes):
    """Joint j of frame t stands at (10 j + t, 20 j + t); joint 3 of frame 1 is missing, joint 5 of frame 2 hidden."""
    t, j = np.meshgrid(np.arange(frames), np.arange(13), indexing="ij")
    x, y = 10.0 * (j + 1) + t, 20.0 * (j + 1) + t
    x[1, 3] = y[1, 3] = 1.0
    visibility = np.ones((frames, 13))
    visibility[2, 5] = 0
    values = {"action": action, "train": train, "x": x, "y": y, "visibility": visibility, "nframes": frames,
              "dimensions": [270, 480, frames], "bbox": np.zeros((frames - 1, 4))} | changes  # fmt: skip
    savemat(path, {name: value for name, value in values.items() if name not in without})


@pytest.fixture
def mirror(tmp_path):
    labels = tmp_path / "made" / "Penn_Action" / "labels"
    labels.mkdir(parents=True)
    sequence(labels / "0001.mat", train=1)
    sequence(labels / "0002.mat", action="bowl", train=-1)
    (labels.parent / "frames").mkdir()
    (labels.parent / "frames" / "000001.jpg").write_bytes(b"picture")
    archive = tmp_path / "mirror" / "penn_action" / "Penn_Action.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(labels.parent, "Penn_Action")
    return tmp_path / "mirror"


def fetched(tmp_path, mirror):
    folder = tmp_path / "raw"
    dataset_by_name("penn_action").fetch(folder, Context(cache=tmp_path / "cache", mirror=mirror, workers=1))
    return folder


def test_labels_alone_are_taken_out_of_the_archive(tmp_path, mirror):
    folder = fetched(tmp_path, mirror)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "labels/0001.mat",
        "labels/0002.mat",
    ]


def test_clip_table_and_poses_say_what_the_files_say(tmp_path, mirror):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, mirror)
    clips = check_table(dataset.catalogue(folder, Context(cache=tmp_path)).clips, "clips", "here")
    assert clips[["clip_id", "label", "split1", "n_frames", "width", "height"]].to_numpy().tolist() == [
        ["0001", "squat", "train", 4, 480, 270],
        ["0002", "bowl", "test", 4, 480, 270],
    ]
    joints = next(dataset.poses(folder, clips)).joints
    assert joints.shape == (1, 4, PENN13.size, 3)
    assert joints[0, 2, 4].tolist() == [52, 102, 1]
    assert joints[0, 2, 5, 2] == 0.5
    assert joints[0, 1, 3, 2] == 0
    assert np.isnan(joints[0, 1, 3, :2]).all()


def test_a_damaged_archive_is_said_and_leaves_nothing(tmp_path, mirror):
    archive = mirror / "penn_action" / "Penn_Action.tar.gz"
    archive.write_bytes(archive.read_bytes()[:200])
    with refused("archive.damaged"):
        fetched(tmp_path, mirror)
    assert not (tmp_path / "raw").exists()


def test_a_damaged_download_is_no_measure_for_the_next(tmp_path, mirror):
    downloads = tmp_path / "cache" / "downloads" / "penn_action"
    downloads.mkdir(parents=True)
    archive = (mirror / "penn_action" / "Penn_Action.tar.gz").read_bytes()
    (downloads / "Penn_Action_labels.tar.gz").write_bytes(archive[: len(archive) // 2])
    record = downloads / "Penn_Action_labels.tar.gz.sha256"
    record.write_text("0" * 64 + "  Penn_Action_labels.tar.gz\n")
    with refused("archive.damaged"):
        dataset_by_name("penn_action").fetch(tmp_path / "raw", Context(cache=tmp_path / "cache"))
    assert not record.exists()


def test_an_archive_of_something_else_is_said(tmp_path, mirror):
    archive = mirror / "penn_action" / "Penn_Action.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(__file__, "readme.txt")
    with refused("penn-action.layout"):
        fetched(tmp_path, mirror)


def test_a_folder_without_labels_is_said(tmp_path):
    (tmp_path / "mirror" / "penn_action" / "Penn_Action" / "frames").mkdir(parents=True)
    with refused("penn-action.no-labels"):
        fetched(tmp_path, tmp_path / "mirror")


def test_nothing_is_said_of_groups_where_none_are_published(tmp_path, mirror):
    clips = dataset_by_name("penn_action").catalogue(fetched(tmp_path, mirror), Context(cache=tmp_path)).clips
    assert leakage(clips, "split1") == {}


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("has no dimensions", {"without": ["dimensions"]}),
        ("has no train, x", {"without": ["x", "train"]}),
        ("Expected visibility to have shape (4, 13), but got (3, 13)", {"visibility": np.ones((3, 13))}),
        ("Expected y to have shape (4, 13), but got (5, 13)", {"y": np.ones((5, 13))}),
        ("Expected x to have shape (9, 13), but got (4, 13)", {"nframes": 9}),
        ("x has values that are not finite", {"x": np.full((4, 13), np.nan)}),
        ("y has values that are not finite or not places", {"y": np.full((4, 13), 1e300)}),
        ("Expected train to be 1 or -1, but got 7", {"train": 7}),
        ("Expected train to be 1 or -1, but got 0", {"train": 0}),
        ("Expected dimensions to be height and width", {"dimensions": [np.inf, 480, 4]}),
        ("Expected dimensions to be height and width", {"dimensions": [270.5, 480, 4]}),
        ("Expected dimensions to be height and width", {"dimensions": [270]}),
        ("Expected action to be text", {"action": 3}),
        ("Expected action to be text and all else numbers", {"x": "here"}),
    ],
)
def test_an_odd_label_file_goes_to_quarantine_and_the_rest_goes_on(tmp_path, mirror, reason, changes):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, mirror)
    sequence(folder / "labels" / "0001.mat", **changes)
    catalogue = dataset.catalogue(folder, Context(cache=tmp_path))
    assert catalogue.clips["clip_id"].tolist() == ["0002"]
    (row,) = check_table(catalogue.quarantine, "quarantine", "here").itertuples()
    assert row.clip_id == "0001"
    assert reason in row.reason


@pytest.mark.parametrize("mark", [0.0, 1.0, 1.5])
def test_the_mark_of_a_missing_joint_is_known_in_frames_that_were_resized(tmp_path, mirror, mark):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, mirror)
    x = np.full((4, 13), 90.0)
    x[2, 7] = mark
    sequence(folder / "labels" / "0001.mat", x=x, y=x)
    clips = dataset.catalogue(folder, Context(cache=tmp_path)).clips
    joints = next(iter(dataset.poses(folder, clips))).joints[0]
    assert np.argwhere(joints[..., 2] == 0).tolist() == [[2, 7]]
    assert np.isnan(joints[2, 7, :2]).all()


@pytest.mark.parametrize("size", [0, 100, 130, 200, 500])
def test_a_label_file_cut_short_goes_to_quarantine(tmp_path, mirror, size):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, mirror)
    path = folder / "labels" / "0001.mat"
    path.write_bytes(path.read_bytes()[:size])
    catalogue = dataset.catalogue(folder, Context(cache=tmp_path))
    assert catalogue.clips["clip_id"].tolist() == ["0002"]
    assert catalogue.quarantine["clip_id"].tolist() == ["0001"]


def test_label_files_none_of_which_can_be_used_are_said(tmp_path, mirror):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, mirror)
    for path in (folder / "labels").iterdir():
        path.write_bytes(b"")
    with refused("penn-action.no-clip"):
        dataset.catalogue(folder, Context(cache=tmp_path))


def test_the_real_archive_has_the_official_split(tmp_path, real_data):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, real_data)
    clips = dataset.catalogue(folder, Context(cache=tmp_path)).clips
    assert len(clips) == 2326
    assert set(clips["group"]) == {""}
    assert clips["label"].nunique() == 15
    assert clips["split1"].value_counts().to_dict() == {"train": 1258, "test": 1068}


def test_no_joint_of_the_real_archive_that_counts_as_seen_lies_in_the_corner(tmp_path, real_data):
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, real_data)
    clips = dataset.catalogue(folder, Context(cache=tmp_path)).clips
    joints = np.concatenate([clip.joints[0].reshape(-1, 3) for clip in dataset.poses(folder, clips)])
    missing = np.isnan(joints[:, 0])
    assert 0.05 < missing.mean() < 0.12  # 8 % by the notes on the data
    assert (joints[~missing, :2].max(axis=1) > 5).all()


def test_left_and_right_of_the_real_archive_are_those_of_the_person(tmp_path, real_data):
    """Who faces the camera has the left shoulder on the right of the picture; most people throw with the right hand."""
    dataset, folder = dataset_by_name("penn_action"), fetched(tmp_path, real_data)
    clips = dataset.catalogue(folder, Context(cache=tmp_path)).clips
    right_shoulder, left_shoulder = PENN13.index("right_shoulder"), PENN13.index("left_shoulder")
    wrists = [PENN13.index("right_wrist"), PENN13.index("left_wrist")]
    faces, throws = [], []
    for clip in dataset.poses(folder, clips[clips["label"].isin(["strum_guitar", "bowl", "baseball_pitch"])]):
        label = clips.loc[clips["clip_id"] == clip.clip_id, "label"].iloc[0]
        places = clip.joints[0, ..., :2]
        if label == "strum_guitar":
            across = places[:, left_shoulder, 0] - places[:, right_shoulder, 0]
            if not np.isnan(across).all():
                faces.append(np.nanmedian(across) > 0)
        elif not np.isnan(places[:, wrists]).any():
            speed = np.linalg.norm(np.diff(places[:, wrists], axis=0), axis=-1)
            throws.append(np.percentile(speed[:, 0], 95) > np.percentile(speed[:, 1], 95))
    assert len(faces) > 70
    assert np.mean(faces) > 0.95
    assert len(throws) > 100
    assert np.mean(throws) > 0.65
