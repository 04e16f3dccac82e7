"""Pickles of the PYSKL format: made small here, and the real one where it is at hand."""

import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused

from pan_core.datasets.base import Context
from pan_core.datasets.hmdb51 import CLASSES as HMDB_CLASSES
from pan_core.datasets.jhmdb14 import CLASSES as JHMDB14_CLASSES
from pan_core.datasets.pyskl_format import joints_of, pair_splits, read_pyskl, require_pixels
from pan_core.datasets.registry import dataset_by_name
from pan_core.datasets.ucf101 import CLASSES as UCF_CLASSES
from pan_core.errors import PanError
from pan_core.skeletons import COCO17, JHMDB15
from pan_core.tables import check_table


def annotation(name, label=0, *, people=1, frames=4, joints=17, scores=True, **fields):
    """Joint v of frame t of person m stands at (100 m + 10 t + v + 1, 5 v + 1) with score 0.5."""
    m, t, v = np.meshgrid(np.arange(people), np.arange(frames), np.arange(joints), indexing="ij")
    place = np.stack([100 * m + 10 * t + v + 1, 5 * v + 1], axis=-1).astype(np.float16)
    made = {"frame_dir": name, "total_frames": frames, "img_shape": (240, 320), "original_shape": (240, 320),
            "label": label, "keypoint": place}  # fmt: skip
    if scores:
        made["keypoint_score"] = np.full((people, frames, joints), 0.5, dtype=np.float16)
    return made | fields


def write(path, annotations, split=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"annotations": annotations} | ({} if split is None else {"split": split})
    path.write_bytes(pickle.dumps(content))
    return path


def fetched(tmp_path, annotations, split=None, **options):
    """The dataset `pyskl` and its folder."""
    path = write(tmp_path / "mine.pkl", annotations, split)
    dataset, folder = dataset_by_name("pyskl"), tmp_path / "raw"
    context = Context(cache=tmp_path / "cache", options={"path": str(path), **options})
    dataset.fetch(folder, context)
    return dataset, folder, dataset.catalogue(folder, context)


def published(tmp_path, name, file, annotations, split):
    """A published dataset out of a mirror folder."""
    write(tmp_path / "mirror" / name / file, annotations, split)
    dataset, folder = dataset_by_name(name), tmp_path / "raw"
    context = Context(cache=tmp_path / "cache", mirror=tmp_path / "mirror", download=False)
    dataset.fetch(folder, context)
    return dataset, folder, dataset.catalogue(folder, context)


def test_normalised_places_do_not_pass_for_pixels(tmp_path):
    small = annotation("small", keypoint=np.linspace(-1, 1, 4 * 17 * 2, dtype=np.float32).reshape(1, 4, 17, 2))
    _, _, catalogue = fetched(tmp_path, [small, annotation("good")])
    assert catalogue.clips["clip_id"].tolist() == ["good"]
    assert "normalised" in catalogue.quarantine["reason"].iloc[0]
    with refused("pyskl.normalised"):
        require_pixels(joints_of(small), 320, 240)


def test_a_pickle_becomes_a_clip_table_and_poses(tmp_path):
    (tmp_path / "classes.txt").write_text("sit\nrun\n")
    dataset, folder, catalogue = fetched(
        tmp_path,
        [annotation("b", 1), annotation("a", 0, people=2, frames=3), annotation("c", 0, scores=False)],
        {"train": ["a"], "test": ["b"]},
        classes=str(tmp_path / "classes.txt"),
        fps=25,
    )
    clips = check_table(catalogue.clips, "clips", "here")
    columns = ["clip_id", "label", "group", "fps", "n_frames", "width", "height", "split1"]
    assert clips[columns].to_numpy().tolist() == [
        ["b", "run", "", 25.0, 4, 320, 240, "test"],
        ["a", "sit", "", 25.0, 3, 320, 240, "train"],
        ["c", "sit", "", 25.0, 4, 320, 240, "unused"],
    ]
    assert catalogue.quarantine.empty
    assert catalogue.missing == ()
    poses = {pose.clip_id: pose for pose in dataset.poses(folder, clips)}
    assert poses["a"].joints.shape == (2, 3, 17, 3)
    assert poses["a"].joints[1, 2, 4].tolist() == [125, 21, 0.5]
    assert poses["c"].joints[0, 0, 0].tolist() == [1, 1, 1]
    assert (poses["b"].fps, poses["b"].width, poses["b"].height) == (25, 320, 240)
    assert dataset.pose_layout(folder) == COCO17


def test_the_disk_is_looked_at_before_poses_are_written(tmp_path, monkeypatch):
    needed = 2 * 4 * 17 * 3 * 4  # people, frames, joints, numbers of 4 bytes
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=needed - 1))
    with pytest.raises(PanError) as caught:
        fetched(tmp_path, [annotation("a", people=2), {"keypoint": None}, None])
    assert type(caught.value) is PanError and "mine.pkl" in str(caught.value)
    assert not any((tmp_path / "raw").glob("*"))


def test_classes_without_names_are_numbered_and_without_splits_there_is_no_column(tmp_path):
    dataset, folder, catalogue = fetched(tmp_path, [annotation("a", 7, joints=15)], layout="jhmdb15")
    assert catalogue.clips["label"].tolist() == ["class 7"]
    assert not [column for column in catalogue.clips if column.startswith("split")]
    assert dataset.pose_layout(folder) == JHMDB15
    assert catalogue.clips["fps"].tolist() == [30.0]


def test_missing_joints_absent_people_and_scores_above_one(tmp_path):
    """Person 0: joint 3 of frame 1 missing; person 1 is filled in with zeros; person 2: a score of 1.02."""
    made = annotation("a", people=3)
    made["keypoint"][0, 1, 3] = made["keypoint_score"][0, 1, 3] = 0
    made["keypoint"][1] = made["keypoint_score"][1] = 0
    made["keypoint_score"][2, 0, 0] = 1.02
    joints = joints_of(made)
    assert joints.shape == (2, 4, 17, 3)
    assert joints.dtype == np.float32
    assert np.isnan(joints[0, 1, 3, :2]).all()
    assert joints[0, 1, 3, 2] == 0
    assert np.isnan(joints).sum() == 2
    assert joints[1, 0, 0].tolist() == [201, 1, 1]


def test_without_scores_a_joint_at_the_corner_is_missing():
    made = annotation("a", scores=False)
    made["keypoint"][0, 2, 5] = 0
    made["keypoint"][0, 2, 6] = (0, 9)
    joints = joints_of(made)
    assert np.isnan(joints[0, 2, 5, :2]).all()
    assert joints[0, 2, 6].tolist() == [0, 9, 1]
    assert joints[..., 2].sum() == 4 * 17 - 1


def test_a_clip_in_which_nobody_was_found_stays_a_clip(tmp_path):
    made = annotation("a")
    made["keypoint_score"][:] = 0
    dataset, folder, catalogue = fetched(tmp_path, [made])
    assert catalogue.clips["n_frames"].tolist() == [4]
    assert next(dataset.poses(folder, catalogue.clips)).joints.shape == (0, 4, 17, 3)


def unplaced():
    made = annotation("x")
    made["keypoint"][0, 1, 2, 0] = np.inf
    return made


def unscored():
    made = annotation("x")
    made["keypoint_score"][0, 1, 2] = np.nan
    return made


@pytest.mark.parametrize(
    ("reason", "made"),
    [
        ("Expected keypoint to be numbers of shape (M, T, 17, 2), but got float16 of shape (1, 4, 15, 2)",
         annotation("x", joints=15)),
        ("Expected keypoint to be numbers of shape (M, T, 17, 2), but got float64 of shape (1, 4, 17, 3)",
         annotation("x", keypoint=np.zeros((1, 4, 17, 3)))),
        ("but got <U1 of shape (1, 4, 17, 2)", annotation("x", keypoint=np.full((1, 4, 17, 2), "a"))),
        ("but got list", annotation("x", keypoint=[[1, 2]] * 9)),
        ("keypoint has 4 frames, but total_frames is 5", annotation("x", total_frames=5)),
        ("Expected total_frames to be a whole number from 1, but got 0", annotation("x", total_frames=0)),
        ("Expected keypoint_score to have shape (1, 4, 17), but got float64 of shape (1, 3, 17)",
         annotation("x", keypoint_score=np.zeros((1, 3, 17)))),
        ("1 of the joints have a place that is not finite", unplaced()),
        ("1 of the keypoint scores are not finite", unscored()),
        ("label 2 is outside 0..1", annotation("x", 2)),
        ("Expected label to be a whole number from 0, but got -1", annotation("x", -1)),
        ("Expected label to be a whole number from 0, but got 'run'", annotation("x", "run")),
        ("but got a huge number", annotation("x", 10**6000)),
        ("Expected img_shape to be (height, width) in pixels, but got (240, 0)", annotation("x", img_shape=(240, 0))),
        ("missing total_frames, label", {"frame_dir": "x", "img_shape": (1, 1), "keypoint": np.zeros(1)}),
        ("a second annotation of this clip", annotation("good")),
        ("in train and test of split1 at once", annotation("both")),
        ("Expected a dict, but got 'text'", "text"),
        ("Expected frame_dir to be a name, but got 3", annotation(3)),
    ],
)  # fmt: skip
def test_a_bad_annotation_goes_to_quarantine_and_the_others_stay(tmp_path, reason, made):
    (tmp_path / "classes.txt").write_text("sit\nrun\n")
    _, _, catalogue = fetched(
        tmp_path,
        [annotation("good"), made],
        {"train": ["good", "both"], "test": ["both"]},
        classes=str(tmp_path / "classes.txt"),
    )
    assert catalogue.clips["clip_id"].tolist() == ["good"]
    name = made.get("frame_dir") if isinstance(made, dict) else None
    (row,) = check_table(catalogue.quarantine, "quarantine", "here").itertuples()
    assert row.clip_id == (name if isinstance(name, str) else "annotation 1")
    assert reason in row.reason


def test_every_fault_of_an_annotation_is_named(tmp_path):
    bad = annotation("bad", -1, total_frames=9, img_shape=None)
    _, _, catalogue = fetched(tmp_path, [annotation("good"), bad])
    (reason,) = catalogue.quarantine["reason"]
    faults = reason.split("; ")
    assert len(faults) == 3
    for name, fault in zip(("label", "img_shape", "total_frames"), faults, strict=True):
        assert name in fault


def test_clips_that_a_split_names_and_the_file_lacks_are_missing(tmp_path):
    _, _, catalogue = fetched(
        tmp_path, [annotation("a"), annotation("bad", -1)], {"train": ["a", "z", "bad"], "test": ["y"]}
    )
    assert catalogue.missing == ("y", "z")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train1", "train2", "test1", "test2"], {"split1": ["train1", "test1"], "split2": ["train2", "test2"]}),
        (["train", "test"], {"split1": ["train", "test"]}),
        (["train", "val"], {"split1": ["train", "val"]}),
        (
            ["xsub_train", "xsub_val", "xset_train", "xset_val"],
            {"split1": ["xsub_train", "xsub_val"], "split2": ["xset_train", "xset_val"]},
        ),
        (["latest_train", "latest_test"], {"split1": ["latest_train", "latest_test"]}),
    ],
)
def test_splits_are_paired_by_name(names, expected):
    """Names as in PYSKL's configurations: UCF101 and HMDB51 train1/test1, GYM and Diving48 train/val, NTU xsub_train."""
    splits = pair_splits({name: [name] for name in names}, "here")
    assert {column: [*parts["train"], *parts["test"]] for column, parts in splits.items()} == expected


def test_official_validation_stays_validation_where_there_is_a_test_list():
    assert pair_splits({"train": ["a"], "val": ["b"], "test": ["c"]}, "here") == {
        "split1": {"train": {"a"}, "val": {"b"}, "test": {"c"}}
    }


@pytest.mark.parametrize(
    ("split", "code", "named"),
    [
        ({"train": ["a"]}, "pyskl.one-list-only", "''"),
        ({"first": ["a"]}, "pyskl.split-list", "'first'"),
        ({"train": ["a"], "Train": ["c"], "test": ["b"]}, "pyskl.second-list", "'Train'"),
        ({"train": ["a"], "val": ["c"], "validation": ["b"]}, "pyskl.second-list", "'validation'"),
        ({"train": ["a"], "test": []}, "pyskl.empty-list", "''"),
        ({"x_train": [], "x_val": []}, "pyskl.empty-list", "'x'"),
        ({"train": [1], "test": []}, "pyskl.split-list", "'train'"),
        ({"train": "abc", "test": []}, "pyskl.split-list", "'abc'"),
        ([1, 2], "pyskl.splits", "(1, 2)"),
    ],
)
def test_splits_that_are_not_understood_are_said(split, code, named):
    with refused(code) as caught:
        pair_splits(split, "here")
    assert named in str(caught.value)


@pytest.mark.parametrize("content", [[1], {"annotations": 3}, {"split": {}}, None, np.zeros(3)])
def test_another_content_is_said(tmp_path, content):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    with refused("pyskl.format") as caught:
        read_pyskl(path)
    assert "x.pkl" in str(caught.value)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_bare_list_of_annotations_is_a_file_without_splits(tmp_path, kind):
    path = tmp_path / "mine.pkl"
    path.write_bytes(pickle.dumps(kind([annotation("a"), annotation("b", 1), {"keypoint": 3}])))
    dataset, folder = dataset_by_name("pyskl"), tmp_path / "raw"
    context = Context(cache=tmp_path / "cache", options={"path": str(path)})
    dataset.fetch(folder, context)
    catalogue = dataset.catalogue(folder, context)
    assert list(catalogue.clips["clip_id"]) == ["a", "b"]
    assert not [column for column in catalogue.clips if column.startswith("split")]
    assert list(catalogue.quarantine["clip_id"]) == ["annotation 2"]
    assert [poses.joints.shape for poses in dataset.poses(folder, catalogue.clips)] == [(1, 4, 17, 3)] * 2
    path.write_bytes(pickle.dumps([]))
    with refused("pyskl.empty"):
        read_pyskl(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_first_class_has_no_byte_order_mark(tmp_path, encoding):
    (tmp_path / "classes.txt").write_bytes("\r\nS\u00edt\r\nrun\r\n".encode(encoding))
    _, _, catalogue = fetched(tmp_path, [annotation("a"), annotation("b", 1)], classes=str(tmp_path / "classes.txt"))
    assert list(catalogue.clips["label"]) == ["S\u00edt", "run"]


def test_classes_in_another_encoding_are_refused(tmp_path):
    (tmp_path / "classes.txt").write_bytes("S\u00edt\nrun\n".encode("latin-1"))
    with refused("pyskl.classes-unreadable"):
        fetched(tmp_path, [annotation("a")], classes=str(tmp_path / "classes.txt"))


def test_a_file_of_which_nothing_can_be_used_leaves_nothing(tmp_path):
    (tmp_path / "one.txt").write_text("sit\n")
    with refused("pyskl.no-clip") as caught:
        fetched(tmp_path, [annotation("bad", 200), annotation("worse", 3)], classes=str(tmp_path / "one.txt"))
    assert "bad:" in str(caught.value) and "200" in str(caught.value)
    assert not (tmp_path / "raw").exists()
    with refused("pyskl.empty"):
        fetched(tmp_path, [])


def test_a_fault_in_the_options_is_said(tmp_path):
    with refused("pyskl.path"):
        dataset_by_name("pyskl").fetch(tmp_path / "raw", Context(cache=tmp_path, options={"path": ""}))
    with refused("skeleton.unknown-layout"):
        fetched(tmp_path, [annotation("a")], layout="body25")
    with refused("pyskl.classes-unreadable"):
        fetched(tmp_path, [annotation("a")], classes="nowhere.txt")
    (tmp_path / "twice.txt").write_text("sit\nrun\nsit\n")
    with refused("pyskl.classes") as caught:
        fetched(tmp_path, [annotation("a")], classes=str(tmp_path / "twice.txt"))
    assert str(caught.value).endswith("sit")


def test_progress_counts_annotations(tmp_path):
    path, calls = write(tmp_path / "mine.pkl", [annotation("a"), annotation("b", -1)]), []
    context = Context(cache=tmp_path, options={"path": str(path)}, progress=lambda *counts: calls.append(counts))
    dataset_by_name("pyskl").fetch(tmp_path / "raw", context)
    assert calls == [(1, 2), (2, 2)]


def test_ucf101_takes_label_and_group_from_list_and_name(tmp_path):
    """Index 36 is HandstandPushups in classInd.txt (counted from 1: 37); its videos are named HandStandPushups."""
    dataset, folder, catalogue = published(
        tmp_path,
        "ucf101_pose",
        "ucf101_hrnet.pkl",
        [
            annotation("v_HandStandPushups_g08_c01", 36),
            annotation("v_Archery_g01_c02", 2),
            annotation("v_Archery_g01_c03", 3),
            annotation("Archery_1", 2),
        ],
        {"train1": ["v_HandStandPushups_g08_c01"], "test1": ["v_Archery_g01_c02"],
         "train2": ["v_Archery_g01_c02"], "test2": ["v_HandStandPushups_g08_c01"]},
    )  # fmt: skip
    assert catalogue.clips[["label", "group", "split1", "split2"]].to_numpy().tolist() == [
        ["HandstandPushups", "HandstandPushups_g08", "train", "test"],
        ["Archery", "Archery_g01", "test", "train"],
    ]
    assert catalogue.quarantine[["clip_id", "reason"]].to_numpy().tolist() == [
        ["v_Archery_g01_c03", "the name says Archery, but the label says BabyCrawling"],
        ["Archery_1", "Expected a name like v_LongJump_g03_c02"],
    ]
    assert next(dataset.poses(folder, catalogue.clips)).joints.shape == (1, 4, 17, 3)


def test_hmdb51_groups_by_film(tmp_path):
    name, other = "Return_of_the_King_4_draw_sword_u_cm_np1_ri_bad_1", "RATRACE_wave_f_nm_np1_fr_goo_37"
    split = {f"{part}{k}": [f"gone {part}"] for k in (1, 2, 3) for part in ("train", "test")} | {"train1": [name]}
    annotations = [annotation(name, 8), annotation(other, 50), annotation(other.replace("37", "38"), 49)]
    _, _, catalogue = published(tmp_path, "hmdb51_pose", "hmdb51_2d.pkl", annotations, split)
    assert catalogue.clips[["label", "group", "split1", "split2"]].to_numpy().tolist() == [
        ["draw_sword", "return_of_the_king", "train", "unused"],
        ["wave", "ratrace", "unused", "unused"],
    ]
    assert catalogue.quarantine["reason"].tolist() == ["the name says wave, but the label says walk"]


@pytest.mark.parametrize(("name", "classes"), [("ucf101_pose", UCF_CLASSES), ("hmdb51_pose", HMDB_CLASSES)])
def test_published_facts_fit_together(name, classes):
    facts = dataset_by_name(name).facts
    assert facts.classes == len(classes)
    for parts in facts.splits.values():
        assert sum(parts.values()) == facts.clips
    assert sorted(facts.splits) == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("pickle.unknown-name", b"cos\nsystem\n(Vtouch owned\ntR."),
        ("pickle.damaged", b"<html>404 not found</html>"),
    ],
)
def test_a_hostile_or_wrong_file_is_refused_and_leaves_nothing(tmp_path, code, content):
    (tmp_path / "mine.pkl").write_bytes(content)
    context = Context(cache=tmp_path, options={"path": str(tmp_path / "mine.pkl")})
    with refused(code) as caught:
        dataset_by_name("pyskl").fetch(tmp_path / "raw", context)
    assert "mine.pkl" in str(caught.value)
    assert not (tmp_path / "raw").exists()


@pytest.fixture(scope="module")
def jhmdb14(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jhmdb14") / "raw"
    dataset = dataset_by_name("jhmdb14")
    context = Context(cache=folder.parent / "cache", mirror=real_data, download=False)
    dataset.fetch(folder, context)
    catalogue = dataset.catalogue(folder, context)
    return catalogue, list(dataset.poses(folder, catalogue.clips))


def test_jhmdb14_has_its_609_clips_in_three_splits(jhmdb14, real_data):
    """Counts by `Counter` over the pickle as the standard library reads it."""
    catalogue, _ = jhmdb14
    assert catalogue.quarantine.empty
    assert catalogue.missing == ()
    clips = check_table(catalogue.clips, "clips", "here")
    assert len(clips) == 609
    assert clips["split1"].value_counts().to_dict() == {"train": 433, "test": 176}
    assert clips["split2"].value_counts().to_dict() == {"train": 433, "test": 176}
    assert clips["split3"].value_counts().to_dict() == {"train": 434, "test": 175}
    plain = pickle.loads((real_data / "jhmdb14" / "jhmdb14_2d.pkl").read_bytes())
    names = (real_data / "jhmdb14" / "classes.txt").read_text().split()
    assert tuple(names) == JHMDB14_CLASSES
    assert Counter(clips["label"]) == Counter(names[made["label"]] for made in plain["annotations"])


def test_jhmdb14_poses_stand_upright_in_their_picture(jhmdb14):
    """Order of the joints and direction of y: anatomy holds for the median of all frames of all clips."""
    joints = np.concatenate([pose.joints[0] for pose in jhmdb14[1]])
    assert (joints[..., 2] == 1).all()
    y = dict(zip(JHMDB15.joints, np.median(joints[..., 1], axis=0), strict=True))
    assert y["face"] < y["neck"] < y["belly"] < y["right_hip"] < y["right_knee"] < y["right_ankle"]
    inside = ((joints[..., :2] >= 0) & (joints[..., :2] < [320, 240])).all(axis=-1)
    assert inside.mean() > 0.99
    length = {
        (JHMDB15.joints[a], JHMDB15.joints[b]): np.median(np.linalg.norm(joints[:, a, :2] - joints[:, b, :2], axis=-1))
        for a, b in JHMDB15.bones
    }
    for (a, b), value in length.items():
        if a.startswith("right") and b.startswith("right"):
            left = length[a.replace("right", "left"), b.replace("right", "left")]
            assert 0.8 < value / left < 1.25
